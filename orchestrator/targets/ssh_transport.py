"""Calls a host by OpenSSH's `ssh`: connections that are kept and shared, pinned host keys, and what its failures mean."""

import hashlib
import os
import secrets
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from orchestrator.targets.base import TargetError, TargetUnreachableError

CONNECT_SECONDS = 10
KEPT_SECONDS = 60
"""How long a connection stays open that nobody uses."""
CALL_SECONDS = 45.0
_FROM_US = ("PATH", "HOME", "SSH_AUTH_SOCK")
_HERE = Path(__file__).parent
_PROGRAMS = ("supervisor.sh", "remote.sh")

# Into a folder of its own and renamed as one; where somebody else was quicker, theirs is the same.
_INSTALL = """umask 077; t={folder}.{nonce}; mkdir -p "$t" && cat >"$t/all" &&
[ "$(wc -c <"$t/all")" -eq {size} ] && head -c {first} "$t/all" >"$t/supervisor.sh" &&
tail -c +{second} "$t/all" >"$t/remote.sh" && rm "$t/all" && {{ [ -d {folder} ] || mv "$t" {folder}; }}
rm -rf "$t" {folder}/"${{t##*/}}"; [ -f {folder}/remote.sh ]"""


class HostKeyError(TargetError):
    """The host's key is not the recorded one."""


class AccessRefusedError(TargetError):
    """The host lets nobody in with what the worker has."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One host on the way, and as whom it is entered."""

    host: str
    user: str = ""
    port: int = 22

    def __str__(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@" * bool(self.user) + name + f":{self.port}" * (self.port != 22)


@dataclass(frozen=True, slots=True)
class Answer:
    """What `remote.sh` said: a word with what belongs to it, and a run's output."""

    word: str
    rest: str
    output: bytes


@dataclass(frozen=True)
class Connection:
    """How a host is reached. `folder` is the worker's own: there are the recorded host keys and the sockets of its connections."""

    hop: Hop
    jump: Hop | None
    identity: str
    folder: Path

    @property
    def known_hosts(self) -> Path:
        """The recorded host keys."""
        return self.folder / "known_hosts"

    def ask(
        self, root: str, words: Sequence[str], *, stdin: bytes = b"", seconds: float = CALL_SECONDS
    ) -> Answer:
        """Let the host's `remote.sh` do something; it is brought there if it is not there.

        Raises HostKeyError, AccessRefusedError, TargetUnreachableError.
        """
        home = f"{root}/bin/{_digest()}"
        for again in (True, False):
            nonce = secrets.token_hex(8)
            command = shlex.join(["exec", "sh", f"{home}/remote.sh", nonce, root, *words])
            done = self._run(command, stdin, seconds)
            if answer := _read(done.stdout, nonce):
                return answer
            if nonce.encode() in done.stdout:
                raise TargetUnreachableError(
                    f"the connection to {self.hop} was lost in the middle of an answer"
                )
            if again:
                self._install(home, nonce)
        raise TargetError(f"{self.hop} cannot run {home}/remote.sh: {_last_line(done.stderr)}")

    def _install(self, home: str, nonce: str) -> None:
        first, second = ((_HERE / name).read_bytes() for name in _PROGRAMS)
        script = _INSTALL.format(
            folder=shlex.quote(home),
            nonce=nonce,
            size=len(first) + len(second),
            first=len(first),
            second=len(first) + 1,
        )
        done = self._run(shlex.join(["exec", "sh", "-c", script]), first + second, CALL_SECONDS)
        if done.returncode != 0:
            raise TargetError(f"{self.hop} does not take {home}: {_last_line(done.stderr)}")

    def _run(self, command: str, stdin: bytes, seconds: float) -> "subprocess.CompletedProcess[bytes]":
        """Run a command line there. Raises as `ask` does where `ssh` itself failed."""
        sockets = self.folder / "ssh"
        sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            done = subprocess.run(
                [*self._words, command],
                input=stdin,
                capture_output=True,
                check=False,
                cwd=sockets,  # sockets by short names: a path to one has at most 107 bytes
                env={name: os.environ[name] for name in _FROM_US if name in os.environ},
                start_new_session=True,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise TargetUnreachableError(f"{self.hop} did not answer within {seconds:g} s") from error
        except OSError as error:
            raise TargetError(f"OpenSSH's ssh cannot be started on the worker: {error.strerror}") from error
        if done.returncode == 255:
            raise self._failure(done.stderr + self._said_by_proxy(sockets))
        return done

    def _said_by_proxy(self, sockets: Path) -> bytes:
        """Why the host in between let nobody through: where connections are kept, `ssh` drops what its proxy says."""
        if self.jump is None:
            return b""
        try:
            return (sockets / self._proxy_said).read_bytes()
        except FileNotFoundError:
            return b""

    def _failure(self, stderr: bytes) -> TargetError:
        said = stderr.decode(errors="replace")
        scan = (
            f"look who answers there, then record its key with `releasectl targets scan` ({self.known_hosts})"
        )
        if "IDENTIFICATION HAS CHANGED" in said:
            return HostKeyError(f"the key of {self._way()} is not the recorded one: {scan}")
        if "Host key verification failed" in said:
            return HostKeyError(f"the key of {self._way()} is not recorded: {scan}")
        if "Permission denied" in said or "Too many authentication failures" in said:
            return AccessRefusedError(f"{self._way()} lets the worker not in: {_last_line(stderr)}")
        return TargetUnreachableError(f"{self._way()} cannot be reached: {_last_line(stderr)}")

    def _way(self) -> str:
        return f"{self.hop} by {self.jump}" if self.jump else str(self.hop)

    @cached_property
    def _words(self) -> list[str]:
        """The command line of `ssh` up to what is to be done; a connection is shared by those whose words are the same."""
        options = [*self._options(), *self._proxy(), "-p", str(self.hop.port), *_as(self.hop)]
        socket = hashlib.sha256("\0".join([*options, self.hop.host]).encode()).hexdigest()[:16]
        shared = ["ControlMaster=auto", f"ControlPath={socket}", f"ControlPersist={KEPT_SECONDS}"]
        return ["ssh", "-T", *options, *(f"-o{each}" for each in shared), self.hop.host]

    def _options(self) -> list[str]:
        options = [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={_path(str(self.known_hosts))}",
            "GlobalKnownHostsFile=none",
            "UpdateHostKeys=no",
            "CheckHostIP=no",
            "LogLevel=ERROR",
            f"ConnectTimeout={CONNECT_SECONDS}",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
        ]
        if self.identity:
            options += [f"IdentityFile={_path(self.identity)}", "IdentitiesOnly=yes"]
        return ["-F", "none", *(f"-o{each}" for each in options)]

    def _proxy(self) -> list[str]:
        """By a command, not `-J`: that would look for the keys of the host in between in the worker's home."""
        if self.jump is None:
            return []
        words = ["ssh", *self._options(), "-p", str(self.jump.port), *_as(self.jump)]
        command = shlex.join([*words, "-W", "TO", self.jump.host]).replace("%", "%%")
        return [f"-oProxyCommand={command.replace(' TO ', ' [%h]:%p ')} 2>{self._proxy_said}"]

    @property
    def _proxy_said(self) -> str:
        return hashlib.sha256(self._way().encode()).hexdigest()[:16] + ".said"


def _as(hop: Hop) -> list[str]:
    return ["-l", hop.user] if hop.user else []


def _path(path: str) -> str:
    """A path as `ssh` reads it in an option."""
    return '"' + path.replace("%", "%%") + '"'


def _digest() -> str:
    """The name of what is brought to hosts, by its content."""
    return hashlib.sha256(b"\0".join((_HERE / name).read_bytes() for name in _PROGRAMS)).hexdigest()[:16]


def _read(stdout: bytes, nonce: str) -> Answer | None:
    """The answer behind the nonce, None where there is none or not the whole of it."""
    _, found, said = stdout.partition(nonce.encode() + b" ")
    line, newline, output = said.partition(b"\n")
    if not found or not newline:
        return None
    word, _, rest = line.decode(errors="replace").partition(" ")
    if word in {"running", "exited"}:
        length = int(rest.rpartition(" ")[2])
        if len(output) < length:
            return None
        output = output[:length]
    return Answer(word, rest, output)


def _last_line(said: bytes) -> str:
    return said.decode(errors="replace").strip().rpartition("\n")[2].strip() or "it said nothing"
