"""The processes of runs as /proc shows them: an observation of the harness's own, apart from the product's."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

RUN = "DEPLOYMENT_RUN"
"""The variable in which every process of a run finds the run's name."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """A live process that bears the name of a run."""

    pid: int
    run: str
    words: str

    @property
    def supervises(self) -> bool:
        """Whether it is the run's supervisor and not what the run started."""
        return "supervisor.sh" in self.words


def bearers(folder: Path) -> list[Bearer]:
    """The processes of runs that belong to the installation in `folder`."""
    ours = f"{folder}{os.sep}".encode()
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            environ = Path(entry.path, "environ").read_bytes()
            words = Path(entry.path, "cmdline").read_bytes()
            state = Path(entry.path, "stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        values = dict(part.split(b"=", 1) for part in environ.split(b"\0") if b"=" in part)
        run = values.get(RUN.encode())
        if run is not None and state not in "ZX" and (ours in environ or ours in words):
            text = words.replace(b"\0", b" ").decode(errors="replace")
            found.append(Bearer(int(entry.name), run.decode(), text))
    return found


def keepers(folder: Path) -> dict[str, int]:
    """Of each live run the process without which nobody can tell its end: its supervisor, or the first of its container."""
    found = {}
    for each in bearers(folder):
        if pid := each.pid if each.supervises else _first_of_container(each.pid):
            found[each.run] = pid
    return found


def _first_of_container(pid: int) -> int:
    """The process that is 1 to this one; 0 if it is in no container, or gone."""
    try:
        while True:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            status = dict(line.split(":", 1) for line in lines)
            names = status["NSpid"].split()
            if len(names) == 1:
                return 0
            if names[-1] == "1":
                return pid
            pid = int(status["PPid"])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def kill_all(folder: Path) -> None:
    """Kill whatever runs left, until nothing is left."""
    while found := bearers(folder):
        for each in found:
            try:
                os.kill(each.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
