"""CPU seconds of processes and all that they started, from /proc."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> tuple[int, float] | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[1]), sum(int(field) for field in fields[11:15]) / _TICKS


def seconds(roots: list[int]) -> float:
    """User and system time of these processes, of those below them, and of children that were waited for."""
    stats = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))) is not None:
            stats[int(entry.name)] = stat
    wanted = set(roots)
    grown = True
    while grown:
        below = {pid for pid, (parent, _) in stats.items() if parent in wanted}
        grown = not below <= wanted
        wanted |= below
    return sum(stats[pid][1] for pid in wanted if pid in stats)
