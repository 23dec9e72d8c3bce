"""The target kind `ssh`: a script on a host, under a supervisor that outlives the connection."""

import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from orchestrator.domain.artifacts import Artifact
from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.targets.base import (
    Absent,
    Command,
    Exited,
    Lost,
    Poll,
    Run,
    Running,
    StaleTokenError,
    TargetBusyError,
    TargetError,
    TargetUnreachableError,
)
from orchestrator.targets.command import PIECE_BYTES as OUTPUT_BYTES
from orchestrator.targets.files import PIECE_BYTES
from orchestrator.targets.processes import KILL_LIMIT_SECONDS, MARK
from orchestrator.targets.runs import NAME, exports, fence_key
from orchestrator.targets.settings import absolute_path, refuse_unknown, variables
from orchestrator.targets.ssh_hosts import Hop, Way
from orchestrator.targets.ssh_remote import CALL_SECONDS, POLL_SECONDS, Answer, ask

DEFAULT_ROOT = ".release-manager"
_KNOWN = ("host", "user", "port", "identity", "jump", "directory", "runs", "variables", "post_quantum")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]{0,252}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_JUMP = re.compile(r"(?:(?P<user>[^@]+)@)?(?P<host>[^\[\]:]+|\[[^\[\]]+\])(?::(?P<port>[0-9]+))?")
_ORIGIN = re.compile(r"[A-Za-z0-9-]{0,64}")


@dataclass(frozen=True, slots=True)
class SshTarget:
    """A host. Runs start in `directory`, by default in a folder of their own that goes with the run."""

    node_bound: ClassVar[bool] = False
    longest_pause_seconds: ClassVar[float] = 2.0

    way: Way
    directory: str = ""
    root: str = DEFAULT_ROOT
    """Where the host keeps runs; a relative path begins in the user's home."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Weaker than the command's own variables of the same name, stronger than PATH, HOME and LANG."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], *, runs_dir: str) -> Self:
        """Take `host` (required), `user`, `port`, `identity`, `jump`, `post_quantum`, `directory`, `runs` and `variables`.

        The recorded host keys are in `known_hosts` beside `runs_dir`.
        """
        refuse_unknown(settings, _KNOWN)
        hop = Hop(_host(settings), _user(settings), _port(settings.get("port", 22), "port"))
        known_hosts = Path(runs_dir).absolute().with_name("known_hosts")
        identity, post_quantum = absolute_path(settings, "identity"), _post_quantum(settings)
        way = Way(hop, _jump(settings), identity, known_hosts, post_quantum)
        root = absolute_path(settings, "runs") or DEFAULT_ROOT
        return cls(way, absolute_path(settings, "directory"), root, variables(settings))

    def start(self, run: Run, command: Command) -> Poll | None:
        """Claim the run's name at the host and start its command under its own supervisor; a second call does nothing.

        One that has ended within a fifth of a second costs no second call.
        """
        mark = uuid.uuid4().hex
        script = os.fsencode(command.script)
        own = {"DEPLOYMENT_RUN": run.name, MARK: mark}
        payload = script + exports({**self.variables, **command.env, **own})
        sizes = (str(len(payload)), str(len(script)))
        directory = "" if command.apart else self.directory
        words = (str(run.token), mark, *sizes, directory, str(OUTPUT_BYTES))
        answer = self._ask(run, "start", *words, stdin=payload)
        if answer.word == "stale":
            raise StaleTokenError(f"the target has seen token {answer.rest}, this run has {run.token}")
        if answer.word == "busy":
            raise TargetBusyError(f"run {answer.rest or 'of another worker'} still holds the target")
        if answer.word == "cut":
            raise TargetUnreachableError("the connection was lost before the whole command had arrived")
        if answer.word == "failed":
            raise TargetError(answer.rest)
        return None if answer.word in {"started", "exists"} else _read(answer, 0)

    def poll(self, run: Run, offset: int) -> Poll:
        """Say where the run is; the host ends what a dead supervisor left before it says Lost."""
        asked = ("poll", str(offset), str(OUTPUT_BYTES))
        return _read(self._ask(run, *asked, seconds=POLL_SECONDS), offset)

    def abort(self, run: Run, *, grace_seconds: float) -> None:
        """End all that bears the run's mark, also what a command that has ended left behind."""
        seconds = CALL_SECONDS + grace_seconds + KILL_LIMIT_SECONDS
        grace = str(round(grace_seconds * 100))
        answer = self._ask(run, "abort", str(run.token), grace, seconds=seconds)
        if answer.word == "stale":
            raise StaleTokenError(f"the target has seen token {answer.rest}, this abort has {run.token}")
        if answer.word != "done":
            raise TargetUnreachableError(answer.rest)

    def missing(self, run: Run, artifact: Artifact) -> int | None:
        """Say from which byte on the host lacks the artifact, None where it needs nothing."""
        return self._take(run, artifact, b"", size=0, offset=0)

    def bring(self, run: Run, artifact: Artifact, file: Path, offset: int) -> int | None:
        """Send one piece; a host that has more by now, or less, says so and leaves it."""
        with file.open("rb") as opened:
            size = opened.seek(0, os.SEEK_END)
            opened.seek(offset)
            piece = opened.read(PIECE_BYTES)
        return self._take(run, artifact, piece, size=size, offset=offset)

    def _take(self, run: Run, artifact: Artifact, piece: bytes, *, size: int, offset: int) -> int | None:
        what = (artifact.sha256, artifact.version, artifact.directory)
        answer = self._ask(run, "take", *what, str(size), str(offset), str(len(piece)), stdin=piece)
        match answer.word:
            case "whole":
                return None
            case "part":
                return int(answer.rest)
            case "busy":
                raise TargetBusyError(f"run {answer.rest} brings the artifact there already")
            case "cut":
                raise TargetUnreachableError("the connection was lost before the whole piece had arrived")
            case "wrong":
                raise TargetUnreachableError("what arrived is not the artifact: it is brought anew")
        raise TargetError(answer.rest)

    def _ask(
        self, run: Run, verb: str, *words: str, stdin: bytes = b"", seconds: float = CALL_SECONDS
    ) -> Answer:
        if not NAME.fullmatch(run.name) or not _ORIGIN.fullmatch(run.origin):
            raise TargetError(
                f"{run.name!r} cannot name a run: at most 200 letters, digits, '.', '_' and '-'"
            )
        asked = [run.origin or "alone", verb, run.name, fence_key(run.fence), *words]
        return ask(self.way, self.root, asked, stdin=stdin, seconds=seconds)


def _read(answer: Answer, offset: int) -> Poll:
    """Where a run is, as the host says it to who asked from that byte on."""
    end = offset + len(answer.output)
    match answer.word:
        case "absent":
            return Absent()
        case "running":
            return Running(answer.output, end)
        case "exited":
            return Exited(int(answer.rest.partition(" ")[0]), answer.output, end)
        case "lost":
            return Lost(answer.rest)
    raise TargetUnreachableError(answer.rest)


def _host(settings: Mapping[str, Any]) -> str:
    host = settings.get("host")
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        raise SettingsRefusedError("host", f"must be a host's name or address, not {host!r}")
    return host


def _user(settings: Mapping[str, Any]) -> str:
    user = settings.get("user") or ""
    if not isinstance(user, str) or not (user == "" or _USER.fullmatch(user)):
        raise SettingsRefusedError("user", f"must be the name of a user, not {user!r}")
    return user


def _port(port: object, field_name: str) -> int:
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
        raise SettingsRefusedError(field_name, f"must have a port from 1 to 65535, not {port!r}")
    return port


def _post_quantum(settings: Mapping[str, Any]) -> bool:
    wanted = settings.get("post_quantum", False)
    if not isinstance(wanted, bool):
        raise SettingsRefusedError("post_quantum", f"must be true or false, not {wanted!r}")
    return wanted


def _jump(settings: Mapping[str, Any]) -> Hop | None:
    """The host in between, from `user@host:port`."""
    jump = settings.get("jump")
    if jump is None:
        return None
    found = _JUMP.fullmatch(jump) if isinstance(jump, str) else None
    host, user = (found["host"].strip("[]"), found["user"] or "") if found else ("", "")
    if found is None or not _HOST.fullmatch(host) or not (user == "" or _USER.fullmatch(user)):
        raise SettingsRefusedError("jump", f"must be user@host:port of one host, not {jump!r}")
    return Hop(host, user, _port(int(found["port"] or 22), "jump"))
