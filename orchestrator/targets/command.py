"""The target kind `command`: a script on the worker's node, under a supervisor that outlives the worker."""

import contextlib
import math
import os
import pwd
import select
import signal
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from orchestrator import clock
from orchestrator.domain.artifacts import Artifact
from orchestrator.targets import runs as files
from orchestrator.targets.base import (
    ABORTED_CODE,
    Absent,
    Command,
    Exited,
    LateStartError,
    Lost,
    Poll,
    Run,
    Running,
    StaleTokenError,
    TargetBusyError,
    TargetError,
    TargetUnreachableError,
)
from orchestrator.targets.files import is_unpacked
from orchestrator.targets.processes import MARK, remove_cgroup, wait_for_end
from orchestrator.targets.settings import absolute_path, refuse_unknown, variables

SUPERVISOR = Path(__file__).with_name("supervisor.sh")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PIECE_BYTES = 256 * 1024
CLAIM_SECONDS = 20.0
SIGNALS = [int(number) for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}]
ANSWERS = {"started", "exists", "stale", "busy", "late"}

_spawned: set[int] = set()
_spawned_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """This node. Runs start in `directory`, by default in a folder of their own that goes with the run."""

    node_bound: ClassVar[bool] = True

    runs: files.Runs
    directory: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Weaker than the command's own variables of the same name, stronger than PATH, HOME and LANG."""
    interpreter: tuple[str, ...] = ("/bin/sh",)
    """What runs the supervisor."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], *, runs_dir: str) -> Self:
        """Take `directory` (absolute; optional) and `variables` (text to text; optional)."""
        refuse_unknown(settings, ["directory", "variables"])
        directory = absolute_path(settings, "directory")
        return cls(files.Runs(Path(runs_dir).absolute()), directory, variables(settings))

    def start(self, run: Run, command: Command) -> None:
        """Claim the run's name and start its command under its own supervisor; a second call does nothing."""
        _reap()
        folder = self.runs.folder(run.name)
        if folder.is_dir():
            return
        try:
            incoming = self.runs.prepare(run, replace(command, env={**self.variables, **command.env}))
        except OSError as error:
            raise TargetError(f"the run cannot be written down: {error}") from error
        answer = ""
        try:
            answer = self._spawn(run, incoming, directory="" if command.apart else self.directory)
        except OSError as error:
            raise TargetError(f"the supervisor cannot be started: {error}") from error
        finally:
            self.runs.discard(incoming.folder)
            if answer != "started":
                remove_cgroup(incoming.cgroup)
        word, _, rest = answer.partition(" ")
        if word == "stale":
            raise StaleTokenError(f"the target has seen token {rest}, this run has {run.token}")
        if word == "late":
            raise LateStartError("the lease ran out before the run could be started")
        if word == "busy":
            raise TargetBusyError(f"run {rest or 'of another worker'} still holds the target")
        if word not in ANSWERS and not folder.is_dir():
            raise TargetUnreachableError(f"the run was not claimed: {answer or 'its supervisor died'}")

    def poll(self, run: Run, offset: int) -> Poll:
        """Say where the run is, from its files; ends what a dead supervisor left before it says Lost."""
        folder = self.runs.folder(run.name)
        try:
            return _poll(folder, offset)
        except OSError as error:
            raise TargetUnreachableError(f"the run's files cannot be read: {error}") from error

    def abort(self, run: Run, *, grace_seconds: float) -> None:
        """End all that bears the run's mark, also what a command that has ended left behind."""
        folder = self.runs.folder(run.name)
        seen, _ = files.greatest_token(self.runs.token(run.fence))
        if run.token < seen:
            raise StaleTokenError(f"the target has seen token {seen}, this abort has {run.token}")
        try:
            if folder.is_dir() or not self.runs.entomb(run, ABORTED_CODE):
                _end(folder, grace_seconds)
            self.runs.record_token(run)
        except OSError as error:
            raise TargetUnreachableError(f"the run cannot be ended: {error}") from error

    def missing(self, run: Run, artifact: Artifact) -> int | None:
        """Say 0 until the node has the whole artifact, then None."""
        there = self.runs.artifact(artifact.sha256)
        return None if is_unpacked(artifact) or files.keep_fresh(there) else 0

    def bring(self, run: Run, artifact: Artifact, file: Path, offset: int) -> int | None:
        """Make the worker's file one of the node's; it is on the same disk."""
        try:
            self.runs.take_in(file, artifact.sha256)
        except OSError as error:
            raise TargetError(f"the artifact cannot be brought to the runs of this node: {error}") from error
        return None

    def wait(self, run: Run, seconds: float) -> None:
        """Return when the run has ended, after `seconds` at the latest."""
        folder = self.runs.folder(run.name)
        pid = files.supervisor(folder)
        if pid and files.verdict(folder) is None and files.is_supervised(folder):
            wait_for_end(pid, seconds)

    def _spawn(self, run: Run, incoming: files.Incoming, *, directory: str) -> str:
        """Start the supervisor and return its answer, or what it said instead."""
        runs = f"{self.runs.root}/runs"
        arguments = [
            *(run.name, str(run.token), str(incoming.folder)),
            *(str(self.runs.lock(run.fence)), files.fence_key(run.fence), runs),
            *(directory or f"{runs}/{run.name}/work", incoming.cgroup, uptime(run.start_by)),
        ]
        env = {
            "PATH": PATH,
            "HOME": _home(),
            "LANG": "C.UTF-8",
            "DEPLOYMENT_RUN": run.name,
            MARK: incoming.mark,
        }
        reader, writer = os.pipe()
        try:
            pid = os.posix_spawn(
                self.interpreter[0],
                [*self.interpreter, str(SUPERVISOR), *arguments],
                env,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, writer, 1),
                    (os.POSIX_SPAWN_DUP2, writer, 2),
                    *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=SIGNALS,
            )
            os.close(writer)
            writer = -1
            answer = _read_answer(reader)
        finally:
            os.close(reader)
            if writer >= 0:
                os.close(writer)
        if answer == "started":
            with _spawned_lock:
                _spawned.add(pid)
            return answer
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(
                pid, signal.SIGKILL
            )  # it has answered, or takes too long; not reaped yet, so it is still itself
            os.waitpid(pid, 0)
        return answer


def living(runs_dir: str) -> list[str]:
    """Return the names of this node's runs that have not ended."""
    return files.Runs(Path(runs_dir).absolute()).living()


def prune(
    runs_dir: str, *, older_than_seconds: float, still_wanted: Callable[[list[str]], Collection[str]]
) -> int:
    """Forget runs that ended that long ago, but for those that `still_wanted` picks; returns how many."""
    runs = files.Runs(Path(runs_dir).absolute())
    ended = runs.ended(older_than_seconds)
    wanted = still_wanted(ended) if ended else ()
    forgotten = [name for name in ended if name not in wanted]
    runs.prune(forgotten, older_than_seconds=older_than_seconds)
    return len(forgotten)


def _poll(folder: Path, offset: int) -> Poll:
    verdict = files.verdict(folder)
    if verdict is None and not folder.is_dir():
        return Absent()
    if verdict is None and not files.is_supervised(folder):
        verdict = files.verdict(folder) or _bury(folder)
    output, more = _read_output(folder, offset, ended=verdict is not None)
    end = offset + len(output)
    if verdict is None or more:
        return Running(output, end)
    _tidy(folder)
    if verdict == files.LOST:
        return Running(output, end) if output else Lost("its supervisor ended without leaving an exit code")
    return Exited(int(verdict), output, end)


def _end(folder: Path, grace_seconds: float) -> None:
    processes = files.processes(folder)
    if processes is None:
        return
    (folder / "aborting").touch(mode=0o600)
    processes.terminate(grace_seconds)
    processes.kill()
    files.settle(folder / "exit", b"%d" % ABORTED_CODE)
    _tidy(folder)


def _bury(folder: Path) -> bytes:
    """End what a dead supervisor left, then record its run as lost, or as aborted if somebody wanted that."""
    if processes := files.processes(folder):
        processes.kill()
    aborted = (folder / "aborting").exists()
    return files.settle(folder / "exit", b"%d" % ABORTED_CODE if aborted else files.LOST)


def _tidy(folder: Path) -> None:
    """Remove what an ended run needs no more: its variables may be secrets."""
    try:
        Path(f"{folder}/env").unlink()
    except FileNotFoundError:
        return
    if processes := files.processes(folder):
        remove_cgroup(processes.cgroup)
    _reap()


def _read_output(folder: Path, offset: int, *, ended: bool) -> tuple[bytes, bool]:
    """Return a piece of the output from `offset` on, and whether an ended run has more of it."""
    end = files.output_size(folder, at_least=offset + PIECE_BYTES) if ended else offset + PIECE_BYTES
    fd = os.open(f"{folder}/output", os.O_RDONLY)
    try:
        output = os.pread(fd, max(0, min(PIECE_BYTES, end - offset)), offset)
    finally:
        os.close(fd)
    return output, ended and offset + len(output) < end


def _read_answer(reader: int) -> str:
    deadline = time.monotonic() + CLAIM_SECONDS
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    said = b""
    while poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
        piece = os.read(reader, 4096)
        said += piece
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        if not piece or (said.endswith(b"\n") and last.partition(" ")[0] in ANSWERS):
            return last
    return "its supervisor did not answer"


def uptime(moment: float) -> str:
    """A moment of our clock in hundredths of a second of /proc/uptime; empty where there is none."""
    if math.isinf(moment):
        return ""
    # Read before our clock is: who falls asleep in between comes out earlier, not later.
    up = files.read("/proc/uptime").decode().split()[0]
    return str(int(up.replace(".", "")) + math.floor((moment - clock.monotonic()) * 100))


def _inheritable() -> list[int]:
    fds = []
    with os.scandir("/proc/self/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if int(entry.name) > 2 and os.get_inheritable(int(entry.name)):
                    fds.append(int(entry.name))
    return fds


def _home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/"


def _reap() -> None:
    with _spawned_lock:
        for pid in tuple(_spawned):
            try:
                ended, _ = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:  # inherited over a fork, or reaped by somebody who waits for any child
                ended = pid
            if ended:
                _spawned.discard(pid)
