"""Where the lines go that supervised processes write."""

import threading
from typing import Self, TextIO

_COLOURS = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")
_WIDTH = 10


class Output:
    """Prefixes each line with the name of its process; coloured if asked. May be called from any thread."""

    def __init__(self, stream: TextIO | None, *, colour: bool = False) -> None:
        self._stream = stream
        self._colour = colour
        self._colours: dict[str, str] = {}
        self._lock = threading.Lock()

    @classmethod
    def nowhere(cls) -> Self:
        """Drops every line; what a process that fails said last is in its error all the same."""
        return cls(None)

    def write(self, name: str, line: str) -> None:
        """Write one line; a stream that is gone (a closed pipe) loses the line and nothing else."""
        if self._stream is None:
            return
        with self._lock:
            try:
                self._stream.write(f"{self._prefix(name)} {line}\n")
                self._stream.flush()
            except (BrokenPipeError, ValueError):
                return

    def _prefix(self, name: str) -> str:
        text = f"{name:<{_WIDTH}} |"
        if not self._colour:
            return text
        code = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
        return f"\x1b[{code}m{text}\x1b[0m"
