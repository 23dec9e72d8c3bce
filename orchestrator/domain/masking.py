"""Hiding secret values in a stream of bytes, wherever it is cut."""

import re
from collections.abc import Iterable
from typing import Protocol

MASK = b"***"
LEAST_CHARACTERS = 4
"""Shorter values are not masked (they would hide half of every log) and not accepted as secrets."""


class Masker(Protocol):
    """What output goes through before it is stored."""

    @property
    def held(self) -> int:
        """How many of the bytes that were fed are kept back, because a secret may begin with them."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Take what comes next; what may be stored now."""
        ...

    def finish(self) -> bytes:
        """Nothing more comes: what was kept back."""
        ...


class Secrets:
    """Masks these values. Any way of cutting the stream gives the same bytes."""

    def __init__(self, values: Iterable[str]) -> None:
        parts = {part for value in values for part in (value, *value.splitlines())}
        hidden = sorted((p.encode() for p in parts if len(p) >= LEAST_CHARACTERS), key=lambda p: (-len(p), p))
        self._hidden = tuple(hidden)
        self._longest = len(hidden[0]) if hidden else 0
        self._pattern = re.compile(b"|".join(map(re.escape, hidden))) if hidden else None
        self._kept = b""

    @property
    def held(self) -> int:
        return len(self._kept)

    def feed(self, data: bytes) -> bytes:
        if self._pattern is None:
            return data
        return self._mask(self._kept + data, self._pattern, is_last=False)

    def finish(self) -> bytes:
        return b"" if self._pattern is None else self._mask(self._kept, self._pattern, is_last=True)

    def _mask(self, data: bytes, pattern: re.Pattern[bytes], *, is_last: bool) -> bytes:
        """The leftmost secret wins, of those that begin together the longest; what may become one is kept."""
        shown = bytearray()
        at = 0
        undecided = len(data) if is_last else self._undecided(data, at)
        # Looking for one after the other is many times faster than for any of them, and most output has none.
        search = pattern.search if any(secret in data for secret in self._hidden) else _find_nothing
        while (found := search(data, at)) and found.start() < undecided:
            shown += data[at : found.start()] + MASK
            at = found.end()
            if at > undecided:
                undecided = self._undecided(data, at)
        shown += data[at:undecided]
        self._kept = data[undecided:]
        return bytes(shown)

    def _undecided(self, data: bytes, at: int) -> int:
        """The first place from which on the data is the beginning of a secret and not the whole of it."""
        first = len(data)
        for secret in self._hidden:
            place = data.find(secret[:1], max(at, len(data) - len(secret) + 1), first)
            while place >= 0 and not secret.startswith(data[place:]):
                place = data.find(secret[:1], place + 1, first)
            if place >= 0:
                first = place
        return first


class Withheld:
    """Shows nothing but the reason, once nothing more comes: nobody knows what would have to be masked.

    Until then all is kept back, so that it is read again should that be known by then.
    """

    def __init__(self, reason: str) -> None:
        self._notice = f"[output withheld: {reason}]\n".encode()
        self.held = 0

    def feed(self, data: bytes) -> bytes:
        self.held += len(data)
        return b""

    def finish(self) -> bytes:
        notice = self._notice if self.held else b""
        self.held = 0
        return notice


def _find_nothing(_data: bytes, _at: int) -> None:
    return None
