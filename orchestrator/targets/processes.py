"""Finds and ends every process of a run on this node: by its cgroup, if it has one, and by its mark."""

import contextlib
import functools
import itertools
import math
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.targets.base import TargetUnreachableError

MARK = "DEPLOYMENT_RUN_ID"
"""The variable that all processes of a run bear in their environment.

Its value is unique for ever; a run's name is not on a node that serves two orchestrators.
"""

KILL_LIMIT_SECONDS = 30.0
UNSURE_LIMIT_SECONDS = 1.0
CLEAN_SCANS = 2
BATCH = 64
PF_KTHREAD = 0x00200000


@dataclass(frozen=True, slots=True)
class Processes:
    """Every process that one start of a run brought about."""

    mark: str
    cgroup: str = ""
    supervisor: int = 0

    def terminate(self, grace_seconds: float) -> None:
        """Send TERM to each process group but the supervisor's; return when none is left or grace is over."""
        deadline = time.monotonic() + grace_seconds
        told: set[int] = {0, self.supervisor, os.getpgrp()}

        def tell(unsure: list[int]) -> bool:
            pids = self._members(unsure)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    group = os.getpgid(pid)
                    if group not in told:
                        told.add(group)
                        os.killpg(group, signal.SIGTERM)
            if pids:
                _wait_for_one(pids, min(deadline - time.monotonic(), 0.1))
            return bool(pids)

        _repeat_until_none(tell, deadline)

    def kill(self) -> None:
        """Kill until nothing is left. Raises TargetUnreachableError when something does not die."""
        deadline = time.monotonic() + KILL_LIMIT_SECONDS
        if self.supervisor:  # first, so that it cannot record the kill as the command's own end
            self._kill_all([self.supervisor], deadline)
        _kill_cgroup(self.cgroup, deadline)
        _repeat_until_none(lambda unsure: self._kill_all(self._scan(unsure), deadline))

    def _kill_all(self, pids: Iterable[int], deadline: float) -> bool:
        """Stop some as they come, so that they fork no more, kill them and see them end; False if none came."""
        some = False
        remaining = iter(pids)
        while batch := list(itertools.islice(remaining, BATCH)):
            with contextlib.ExitStack() as stack:
                pidfds = [pidfd for pid in batch if (pidfd := self._stop(pid, stack)) is not None]
                some = some or bool(pidfds)
                for pidfd in pidfds:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                if not all(_has_ended(pidfd, deadline - time.monotonic()) for pidfd in pidfds):
                    raise TargetUnreachableError(f"of {len(pidfds)} processes of the run not all die")
        return some

    def _stop(self, pid: int, stack: contextlib.ExitStack) -> int | None:
        """Return what the process can be killed by, None if it has ended and is somebody else by now."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        stack.callback(os.close, pidfd)
        if not self._is_in(_read_proc(pid, "environ")):
            return None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
        return pidfd

    def _members(self, unsure: list[int]) -> list[int]:
        with contextlib.suppress(OSError):
            if self.cgroup:
                pids = (Path(self.cgroup) / "cgroup.procs").read_text().split()
                return [int(pid) for pid in pids if pid != "0"]  # 0: of another PID namespace
        return list(self._scan(unsure))

    def _scan(self, unsure: list[int]) -> Iterator[int]:
        """Yield each process that bears the mark, the newest first, so that one which keeps forking is met.

        `unsure` gets those of which that cannot be said at this moment.
        """
        own = os.getpid()
        pids = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
        for pid in sorted(pids, reverse=True):
            environ = _read_proc(pid, "environ")
            if self._is_in(environ):
                if pid != own:
                    yield pid
            elif environ == b"" and _is_between(pid):
                unsure.append(pid)

    def _is_in(self, environ: bytes | None) -> bool:
        return environ is not None and f"\0{MARK}={self.mark}\0".encode() in b"\0%b\0" % environ


def _repeat_until_none(act: Callable[[list[int]], bool], deadline: float = math.inf) -> None:
    """Act until it finds nothing twice, at the deadline at the latest.

    `act` returns whether it found something and adds to its argument whatever it could not judge: once more then.
    """
    clean = 0
    unsure_until = time.monotonic() + UNSURE_LIMIT_SECONDS
    while clean < CLEAN_SCANS and time.monotonic() < deadline:
        unsure: list[int] = []
        if act(unsure):
            clean = 0
            unsure_until = time.monotonic() + UNSURE_LIMIT_SECONDS
        elif unsure and time.monotonic() < unsure_until:
            time.sleep(0.002)  # nothing tells when an exec is over
        else:
            clean += 1


def wait_for_end(pid: int, seconds: float) -> None:
    """Return when the process has ended, after `seconds` at the latest."""
    _wait_for_one([pid], seconds)


def _wait_for_one(pids: list[int], seconds: float) -> None:
    with contextlib.ExitStack() as stack:
        poller = select.poll()
        for pid in pids[:BATCH]:
            try:
                pidfd = os.pidfd_open(pid)
            except ProcessLookupError:
                return
            stack.callback(os.close, pidfd)
            poller.register(pidfd, select.POLLIN)
        poller.poll(max(0.0, seconds) * 1000)


def _has_ended(pidfd: int, seconds: float) -> bool:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(max(0.0, seconds) * 1000))


def _read_proc(pid: int, name: str) -> bytes | None:
    """Return None for a process that is gone or may not be looked into."""
    try:
        fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY)
    except OSError:
        return None
    try:
        pieces = []
        while piece := os.read(fd, 1 << 20):
            pieces.append(piece)
        return b"".join(pieces)
    except OSError:
        return None
    finally:
        os.close(fd)


def _is_between(pid: int) -> bool:
    """Say whether a process that shows no environment may yet show one, or is not quite dead.

    So it is in the middle of an exec and while it closes its files at the end; a zombie has done that, and a
    thread of the kernel or a program that was started without any environment is none of ours.
    """
    stat = (_read_proc(pid, "stat") or b"").rpartition(b")")[2].split()
    is_over = not stat or stat[0] in b"ZX" or int(stat[6]) & PF_KTHREAD
    return not is_over and _read_proc(pid, "cmdline") == b""


@functools.cache
def _cgroup_base() -> Path | None:
    """Find the folder in which this process may make cgroups, if there is one."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
        own = next(
            line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")
        )
        mount = next(fields[1] for fields in mounts if fields[2] == "cgroup2")
        base = Path(mount + own) / "orchestrator-runs"
        base.mkdir(exist_ok=True)
    except (OSError, StopIteration):
        return None
    may_move = all(os.access(folder / "cgroup.procs", os.W_OK) for folder in (base.parent, base))
    return base if may_move and (base / "cgroup.kill").exists() else None


def make_cgroup(name: str) -> str:
    """Make a cgroup for one run and return its folder, or "" where none can be had."""
    base = _cgroup_base()
    if base is None:
        return ""
    try:
        (base / name).mkdir()
    except OSError:
        return ""
    return str(base / name)


def remove_cgroup(folder: str) -> None:
    """Remove the cgroup if nothing lives in it."""
    if folder:
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


def is_populated(folder: str) -> bool:
    """Say whether something lives in the cgroup."""
    try:
        return "populated 1" in (Path(folder) / "cgroup.events").read_text() if folder else False
    except OSError:
        return False


def prune_cgroups(older_than_seconds: float) -> None:
    """Remove the empty cgroups that killed workers left."""
    if (base := _cgroup_base()) is None:
        return
    now = time.time()
    for folder in base.iterdir():
        with contextlib.suppress(OSError):
            if folder.is_dir() and now - folder.stat().st_mtime > older_than_seconds:
                folder.rmdir()


def _kill_cgroup(folder: str, deadline: float) -> None:
    """Kill all that lives in the cgroup and confirm that it is empty; a cgroup that is gone is empty."""
    if not folder:
        return
    try:
        Path(folder, "cgroup.kill").write_text("1")
        events = os.open(f"{folder}/cgroup.events", os.O_RDONLY)
    except OSError:
        return
    try:
        poller = select.poll()
        poller.register(events, select.POLLPRI)
        while b"populated 1" in os.pread(events, 256, 0):
            if time.monotonic() > deadline:
                raise TargetUnreachableError(f"the processes in {folder} do not die")
            poller.poll(100)
    except OSError:
        return
    finally:
        os.close(events)
