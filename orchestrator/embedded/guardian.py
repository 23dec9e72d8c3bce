"""Ends what a supervisor started when the supervisor itself dies, however it dies.

Run as a program (standard library only, imports nothing of this project). Its standard input is a pipe whose
other end is held by the supervisor and, until they exec, by the processes that the supervisor starts. Each of
them first writes `+<session> <signal>`; the end of the pipe therefore means that the supervisor is gone and
that every session it made is known. Sessions that those processes made themselves (the runs of deployments)
are not touched. Linux only: it reads /proc.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

CLEAN_SECONDS = 15.0
"""How long stores may take to close their files before they are killed."""


def start_ticks(pid: int) -> str | None:
    """When `pid` started, so that a reused pid is recognised; None if it is gone or a zombie."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in {"Z", "X"} else fields[19]


def members(session: int) -> list[int]:
    """Every live process of `session`; zombies are not alive."""
    return [
        pid
        for pid in pids()
        if (fields := _stat(pid)) and fields[3] == str(session) and fields[0] not in {"Z", "X"}
    ]


def pids() -> list[int]:
    """Every process of this machine that can be seen."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208  # ten times cheaper than Path here


def kill_session(session: int) -> None:
    """Kill every process of `session`, again until none is left: one may fork while it is being killed."""
    wait_until(lambda: not _signal_all(members(session), signal.SIGKILL), seconds=5.0)


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Ask `condition` every 20 ms until it holds; False if it did not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)  # /proc has nothing to wait on for processes that are not ours
    return True


def end_all(sessions: Mapping[int, tuple[str, str | None]]) -> None:
    """Kill the sessions booked with KILL, then end the others (the stores) by their own signal, then KILL."""
    ours = {sid: name for sid, (name, ticks) in sessions.items() if start_ticks(sid) in {None, ticks}}
    for sid in [sid for sid, name in ours.items() if name == "KILL"]:
        kill_session(sid)
    stores = {sid: name for sid, name in ours.items() if name != "KILL"}
    for sid, name in stores.items():
        _signal_all([sid] if members(sid) else [], signal.Signals[f"SIG{name}"])
    wait_until(lambda: not _any_left(stores), seconds=CLEAN_SECONDS)
    for sid in stores:
        kill_session(sid)


def watch() -> None:
    """Keep the book of sessions until the pipe ends, then end them all."""
    sessions: dict[int, tuple[str, str | None]] = {}
    for line in sys.stdin:
        sid, _, name = line[1:].strip().partition(" ")
        if line[0] == "+":
            sessions[int(sid)] = (name, start_ticks(int(sid)))
        else:
            sessions.pop(int(sid), None)
    end_all(sessions)


def _any_left(sessions: Collection[int]) -> bool:
    return any(members(sid) for sid in sessions)


def _signal_all(targets: list[int], number: signal.Signals) -> bool:
    for pid in targets:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
    return bool(targets)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat from `state` on; the name before them may hold spaces and brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


if __name__ == "__main__":
    watch()
