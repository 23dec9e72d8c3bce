"""Puts the pieces of a log together into whole lines, run by run."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

LONGEST_LINE = 16_384


@dataclass(slots=True)
class LineAssembler:
    """Pieces in, lines out; what has no line end yet waits for more, or for `flush`."""

    pending: dict[tuple[int, int], tuple[str, str]] = field(default_factory=dict)

    def feed(self, pieces: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
        """(target, line) for each line that is now whole, or too long to wait for its end."""
        for piece in pieces:
            run = (piece["step_id"], piece["attempt"])
            target = str(piece["target"])
            text = self.pending.pop(run, (target, ""))[1] + piece["text"]
            *whole, rest = text.split("\n")
            for line in whole:
                yield target, _overwritten(line)
            if len(rest) > LONGEST_LINE:
                yield target, _overwritten(rest)
            elif rest:
                self.pending[run] = (target, rest)

    def flush(self) -> Iterator[tuple[str, str]]:
        """What is left when no more will come."""
        left, self.pending = self.pending, {}
        for target, rest in left.values():
            yield target, _overwritten(rest)


def _overwritten(line: str) -> str:
    """What a terminal would show of a line that returns to its start: the last of its versions."""
    return line.rstrip("\r").rpartition("\r")[2]
