"""Ends what an earlier server left running in its folder.

The caller holds the data folder, so that nobody who is entitled to run there is hit.
"""

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from orchestrator.embedded import guardian


def end_leftovers(folder: Path, program: str, *, clean: signal.Signals, main_pid: int | None = None) -> None:
    """End every `program` that works in `folder`: `clean` to the main one (default: all), later KILL to all.

    Pid files are not trusted: their number may belong to a stranger or a zombie by now.
    """
    found = _working_in(folder, program)
    if not found:
        return
    _signal((pid for pid in found if main_pid in {None, pid}), clean)
    if guardian.wait_until(lambda: not _working_in(folder, program), seconds=guardian.CLEAN_SECONDS):
        return
    _signal(_working_in(folder, program), signal.SIGKILL)
    guardian.wait_until(lambda: not _working_in(folder, program), seconds=5.0)


def _working_in(folder: Path, program: str) -> list[int]:
    place = str(folder.resolve())
    return [
        pid
        for pid in guardian.pids()
        if _link(pid, "cwd") == place and Path(_link(pid, "exe")).name.split(" ")[0] == program
    ]


def _link(pid: int, name: str) -> str:
    try:
        return str(Path(f"/proc/{pid}/{name}").readlink())
    except OSError:  # gone, a zombie, or another user's: none of them is ours
        return ""


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
