"""What the commands themselves said: one line for each start, end and sign of life, in the order in which it happened."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: `S` a command starts at `detail`, `E` it ends with the code `detail`, `D` a daemon of it lives."""

    kind: str
    run: str
    detail: str
    at: float
    """Seconds since 1970, from before the line was written."""

    @property
    def deployment_id(self) -> int:
        return int(self.run.split("-")[0])

    @property
    def step_id(self) -> int:
        return int(self.run.split("-")[1])

    @property
    def place(self) -> str:
        """Application, environment and target of a start, as `shop.staging.web-a`."""
        return self.detail

    @property
    def slot(self) -> str:
        """Application and environment of a start."""
        return self.detail.rpartition(".")[0]


def parse(line: str) -> Entry:
    """Read one line. Raises ValueError for what no command writes."""
    kind, run, detail, at = line.split(" ")
    if kind not in {"S", "E", "D"}:
        raise ValueError(f"not a line of the ledger: {line!r}")
    return Entry(kind, run, detail, float(at))


def read(path: Path) -> list[Entry]:
    """Everything that was said so far."""
    return [parse(line) for line in path.read_text().splitlines()]


@dataclass
class Tail:
    """Reads on in the ledger."""

    path: Path
    _offset: int = field(default=0)

    def new(self) -> list[Entry]:
        """What was said since the last call, whole lines only."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        if not newline:
            return []
        self._offset += len(whole) + 1
        return [parse(line) for line in whole.decode().splitlines()]
