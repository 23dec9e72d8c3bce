"""The folders in which local runs live, as files: what the supervisor and every worker of the node agree on.

runs/NAME/    script env output pid mark work/; `exit` = the verdict; `fence`, `lock` -> below
runs/.FENCE   the greatest token the fence has seen, and the run that brought it
locks/FENCE   held for the life of a run
incoming/ID/  a run that is not claimed yet
artifacts/    files of releases by their checksums

Names of files are made as text here: to join them by pathlib costs a start more than all the files it opens.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.targets.base import Command, Run, TargetError
from orchestrator.targets.processes import (
    MARK,
    Processes,
    is_populated,
    make_cgroup,
    prune_cgroups,
    remove_cgroup,
)

LOST = b"lost"
RESERVED = "exit.new"
"""Room for a run's verdict, taken when it begins: a full disk must not keep it from being written."""
SHORT_BYTES = 65_536
ARTIFACT_KEPT_SECONDS = 86_400.0
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A run that is ready to be claimed."""

    folder: Path
    mark: str
    cgroup: str


@dataclass(frozen=True, slots=True)
class Runs:
    """All local runs of one node."""

    root: Path
    cgroups: bool = True
    """Whether each run gets a cgroup where one can be had."""

    def folder(self, name: str) -> Path:
        """Return where the run of that name lives. Raises TargetError for a name that cannot be a file's."""
        if not NAME.fullmatch(name):
            raise TargetError(f"{name!r} cannot name a run: at most 200 letters, digits, '.', '_' and '-'")
        return Path(f"{self.root}/runs/{name}")

    def token(self, fence: str) -> Path:
        """Return the file with the greatest token the fence has seen."""
        return Path(f"{self.root}/runs/.{fence_key(fence)}")

    def lock(self, fence: str) -> Path:
        """Return the file that the run which holds the fence has locked."""
        return Path(f"{self.root}/locks/{fence_key(fence)}")

    def artifact(self, sha256: str) -> Path:
        """Return where the file of that checksum is, if it is."""
        return self.root / "artifacts" / sha256

    def take_in(self, file: Path, sha256: str) -> None:
        """Give a file a second name among the artifacts."""
        place = self.artifact(sha256)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            place.hardlink_to(file)

    def prepare(self, run: Run, command: Command) -> Incoming:
        """Write down what the supervisor needs. Raises TargetError for what no environment can hold."""
        setters = exports(command.env)
        incoming = self._new_incoming(run)
        mark, folder = incoming.name, f"{incoming}/{run.name}"
        cgroup = make_cgroup(mark) if self.cgroups else ""
        try:
            Path(f"{folder}/work").mkdir(mode=0o700)
            Path(f"{folder}/fence").symlink_to(self.token(run.fence))
            Path(f"{folder}/lock").symlink_to(self.lock(run.fence))
            _write(f"{folder}/script", os.fsencode(command.script))
            _write(f"{folder}/env", setters + exports({"DEPLOYMENT_RUN": run.name, MARK: mark}))
            _write(f"{folder}/mark", f"{mark}\n{cgroup}\n".encode())
            _write(f"{folder}/{RESERVED}", b" " * 4 + b"\n")
        except OSError:
            self.discard(incoming)
            remove_cgroup(cgroup)
            raise
        return Incoming(incoming, mark, cgroup)

    def entomb(self, run: Run, code: int) -> bool:
        """Make a run that was never started one that ended with `code`; False if there is such a run."""
        incoming = self._new_incoming(run)
        try:
            _write(incoming / run.name / "exit", b"%d\n" % code)
            (incoming / run.name).rename(self.folder(run.name))
        except OSError:
            if not self.folder(run.name).is_dir():
                raise
            return False
        finally:
            self.discard(incoming)
        return True

    def record_token(self, run: Run) -> None:
        """Let the fence see the run's token; while a run holds the fence it has seen that run's."""
        token = self.token(run.fence)
        with _opened(self.lock(run.fence), os.O_CREAT | os.O_RDWR) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            if greatest_token(token)[0] < run.token:
                temporary = self.root / "incoming" / uuid.uuid4().hex
                _write(temporary, f"{run.token} {run.name}\n".encode())
                temporary.rename(token)

    def discard(self, incoming: Path) -> None:
        """Remove an incoming folder; a supervisor about to claim it fails, and never finds half of it."""
        try:
            incoming.rmdir()
        except OSError:
            trash = incoming.with_name(f"trash-{uuid.uuid4().hex}")
            with contextlib.suppress(OSError):
                incoming.rename(trash)
            shutil.rmtree(trash, ignore_errors=True)

    def ended(self, older_than_seconds: float) -> list[str]:
        """Return the names of runs that ended that long ago and of which nothing is alive."""
        before = time.time() - older_than_seconds
        found = []
        for folder in _children(self.root / "runs"):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                ended = (folder / "exit").stat().st_mtime < before
                traces = processes(folder)
                if ended and not (traces and is_populated(traces.cgroup)):
                    found.append(folder.name)
        return found

    def prune(self, names: Iterable[str], *, older_than_seconds: float) -> None:
        """Forget these runs (`poll` then says Absent of them), and what killed workers left that long ago."""
        before = time.time() - older_than_seconds
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self.discard(self.folder(name).rename(self.root / "incoming" / uuid.uuid4().hex))
        forget_unused(self.root / "artifacts")
        for leftover in _children(self.root / "incoming"):
            with contextlib.suppress(FileNotFoundError):
                if leftover.stat().st_mtime < before:
                    leftover.unlink() if leftover.is_file() else self.discard(leftover)
        prune_cgroups(older_than_seconds)

    def living(self) -> list[str]:
        """Return the names of runs that have not ended."""
        return [folder.name for folder in _children(self.root / "runs") if _is_open(folder)]

    def _new_incoming(self, run: Run) -> Path:
        self.folder(run.name)  # refuses a name that cannot be
        incoming = Path(f"{self.root}/incoming/{uuid.uuid4().hex}")
        try:
            incoming.mkdir(mode=0o700)
        except FileNotFoundError:
            for part in ("locks", "runs", "incoming"):
                (self.root / part).mkdir(mode=0o700, parents=True, exist_ok=True)
            incoming.mkdir(mode=0o700)
        Path(f"{incoming}/{run.name}").mkdir(mode=0o700)
        _write(f"{incoming}/{run.name}/output", b"")
        return incoming


def keep_fresh(artifact: Path) -> bool:
    """Say whether the file is there, and keep it from being forgotten today."""
    try:
        os.utime(artifact)
    except FileNotFoundError:
        return False
    return True


def forget_unused(artifacts: Path) -> None:
    """Remove the files that nobody has asked for in a day."""
    before = time.time() - ARTIFACT_KEPT_SECONDS
    for artifact in _children(artifacts):
        with contextlib.suppress(FileNotFoundError):
            if artifact.stat().st_mtime < before:
                artifact.unlink()


def _is_open(folder: Path) -> bool:
    return folder.is_dir() and verdict(folder) is None


def fence_key(fence: str) -> str:
    """Return the fence's name as a file's."""
    return hashlib.sha256(fence.encode()).hexdigest()[:40]


def verdict(folder: Path) -> bytes | None:
    """Return how the run ended (a code, or `lost`), None while that is open."""
    try:
        text = read(f"{folder}/exit")
    except FileNotFoundError:
        return None
    return text.strip() if text.endswith(b"\n") else None


def settle(path: Path, word: bytes) -> bytes:
    """Make `word` what the file says for ever, unless it says something already; returns what it says."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        _write_somehow(temporary, word + b"\n")
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
    except FileNotFoundError:
        pass  # no room, and the reserved one is taken: it has been said already
    finally:
        temporary.unlink(missing_ok=True)
    return path.read_bytes().strip()


def output_size(folder: Path, *, at_least: int) -> int:
    """Return the size of an ended run's output; once past `at_least` that holds, whatever still writes."""
    try:
        return int(read(f"{folder}/size"))
    except FileNotFoundError:
        size = Path(f"{folder}/output").stat().st_size
    if size <= at_least:
        return size
    try:
        return int(settle(folder / "size", b"%d" % size))
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        return size  # with no room nobody moves it


def is_supervised(folder: Path) -> bool:
    """Say whether the run's supervisor lives: the lock of its fence is held, and in its name."""
    with _opened(f"{folder}/lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return greatest_token(f"{folder}/fence")[1] == folder.name
    return False


def greatest_token(path: str | Path) -> tuple[int, str]:
    """Return the greatest token a fence has seen, and the run that brought it."""
    try:
        token, _, name = read(path).decode().strip().partition(" ")
    except FileNotFoundError:
        return 0, ""
    return int(token or 0), name


def processes(folder: Path) -> Processes | None:
    """Return what finds the processes of a run; None for one that was aborted before it started."""
    try:
        mark, cgroup = os.fsdecode(read(f"{folder}/mark")).splitlines()
    except FileNotFoundError:
        return None
    return Processes(mark, cgroup, supervisor(folder))


def supervisor(folder: Path) -> int:
    """Return the supervisor's process id, 0 if there never was one."""
    try:
        return int(read(f"{folder}/pid"))
    except (FileNotFoundError, ValueError):
        return 0


def _write_somehow(path: Path, data: bytes) -> None:
    """Write a short file; on a full disk over the room that its run reserved. Raises FileNotFoundError if that was used."""
    try:
        _write(path, data)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        path.with_name(RESERVED).rename(path)
        with _opened(path, os.O_WRONLY) as fd:
            os.pwrite(fd, data, 0)


def exports(env: Mapping[str, str]) -> bytes:
    """Return lines of sh that set these variables. Raises TargetError for what no environment can hold."""
    lines = []
    for name, value in env.items():
        if not VARIABLE.fullmatch(name):
            raise TargetError(f"{name!r} cannot be the name of an environment variable")
        if "\0" in value:
            raise TargetError(f"the environment variable {name} holds a NUL character")
        quoted = value.replace("'", "'\\''")
        lines.append(f"export {name}='{quoted}'\n")
    return os.fsencode("".join(lines))


def _children(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def read(path: str | Path) -> bytes:
    """Return what a short file holds."""
    with _opened(path) as fd:
        return os.read(fd, SHORT_BYTES)


def _write(path: str | Path, data: bytes) -> None:
    with _opened(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY) as fd:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]


@contextlib.contextmanager
def _opened(path: str | Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    fd = os.open(path, flags, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)
