"""What a host is asked: its `remote.sh` is brought there if it is not there, called, and its answer read."""

import hashlib
import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from orchestrator.targets.base import TargetError, TargetUnreachableError
from orchestrator.targets.ssh_hosts import Done, Way

CALL_SECONDS = 45.0
POLL_SECONDS = 15.0
"""For a question that changes nothing, which is soon asked again; at 18 KB a second that is enough for what it may bring."""
_HERE = Path(__file__).parent
_PROGRAMS = ("supervisor.sh", "remote.sh")

# Into a folder of its own and renamed as one; where somebody else was quicker, theirs is the same.
_INSTALL = """umask 077; t={folder}.{nonce}; mkdir -p "$t" && cat >"$t/all" &&
[ "$(wc -c <"$t/all")" -eq {size} ] && head -c {first} "$t/all" >"$t/supervisor.sh" &&
tail -c +{second} "$t/all" >"$t/remote.sh" && rm "$t/all" && {{ [ -d {folder} ] || mv "$t" {folder}; }}
rm -rf "$t" {folder}/"${{t##*/}}"; [ -f {folder}/remote.sh ]"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What `remote.sh` said: a word with what belongs to it, and a run's output."""

    word: str
    rest: str
    output: bytes


def ask(
    way: Way, root: str, words: Sequence[str], *, stdin: bytes = b"", seconds: float = CALL_SECONDS
) -> Answer:
    """Let the host's `remote.sh` do something. Raises HostKeyError, AccessRefusedError, TargetUnreachableError."""
    home = f"{root}/bin/{_digest()}"
    for again in (True, False):
        nonce = secrets.token_hex(8)
        command = shlex.join(["exec", "sh", f"{home}/remote.sh", nonce, root, *words])
        done = _call(way, command, stdin, seconds)
        if answer := _read(done.stdout, nonce):
            return answer
        if nonce.encode() in done.stdout:
            raise TargetUnreachableError(f"the connection to {way.hop} was lost in the middle of an answer")
        if again:
            _install(way, home, nonce)
    raise TargetError(f"{way.hop} cannot run {home}/remote.sh: {_last_line(done.stderr)}")


def _install(way: Way, home: str, nonce: str) -> None:
    first, second = _programs()
    script = _INSTALL.format(
        folder=shlex.quote(home),
        nonce=nonce,
        size=len(first) + len(second),
        first=len(first),
        second=len(first) + 1,
    )
    done = _call(way, shlex.join(["exec", "sh", "-c", script]), first + second, CALL_SECONDS)
    if done.code != 0:
        raise TargetError(f"{way.hop} does not take {home}: {_last_line(done.stderr)}")


def _call(way: Way, command: str, stdin: bytes, seconds: float) -> Done:
    from orchestrator.targets import ssh_transport  # noqa: PLC0415 - asyncssh is only for who calls a host

    return ssh_transport.call(way, command, stdin, seconds=seconds)


@cache
def _programs() -> tuple[bytes, bytes]:
    first, second = ((_HERE / name).read_bytes() for name in _PROGRAMS)
    return first, second


@cache
def _digest() -> str:
    """The name of what is brought to hosts, by its content."""
    return hashlib.sha256(b"\0".join(_programs())).hexdigest()[:16]


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
