"""Logs: pieces of bytes become pieces of text, and no character is torn apart."""

import base64
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from itertools import takewhile
from typing import Any

from sqlalchemy import Row

MAX_PAGE_BYTES = 1 << 20
_MOST_TAILS = 8
"""Halves of characters a cursor carries, which must fit into a URL; of more attempts at once they are shown torn."""


@dataclass(frozen=True, slots=True)
class Tail:
    """The first bytes of a character whose rest is in the attempt's next piece; otherwise named as a row is."""

    attempt_id: int
    step_id: int
    target_name: str
    wave_index: int
    attempt: int
    start: int
    at: str
    data: str

    @property
    def bytes(self) -> bytes:
        return base64.b64decode(self.data)


@dataclass(frozen=True, slots=True)
class Place:
    """How far a reader is, with the halves of characters it was not shown yet."""

    after: tuple[int, int] = (0, 0)
    tails: tuple[Tail, ...] = ()

    @classmethod
    def read(cls, value: Any) -> "Place":
        """From a cursor's value; None is the beginning."""
        if value is None:
            return cls()
        return cls((value[0], value[1]), tuple(Tail(*each) for each in value[2]))

    def value(self) -> list[Any]:
        """For a cursor."""
        return [*self.after, [list(astuple(each)) for each in self.tails]]


def within_bounds(rows: list[Row[Any]]) -> list[Row[Any]]:
    """The rows up to where what one page can hold ended: those after it were read without their data."""
    return list(takewhile(lambda row: row.data is not None, rows))


def present(place: Place, rows: Iterable[Row[Any]]) -> tuple[list[dict[str, Any]], Place]:
    """The pieces as text, and where the next page begins."""
    tails = {each.attempt_id: each for each in place.tails}
    items, after = [], place.after
    for row in rows:
        after = (int(row.xid), row.id)
        before = tails.pop(row.attempt_id, None)
        data = (before.bytes if before else b"") + bytes(row.data)
        start = before.start if before else row.start_byte
        whole = _whole(data) if len(tails) < _MOST_TAILS else len(data)
        if whole < len(data):
            tails[row.attempt_id] = _tail(row, start + whole, data[whole:])
        if whole:
            items.append(_item(row, start, data[:whole]))
    return items, Place(after, tuple(tails.values()))


def present_last(rows: Iterable[Row[Any]], *, lines: int) -> tuple[list[dict[str, Any]], Place]:
    """The last lines of the last pieces (fewer, where the pieces hold fewer), and where what comes after them begins."""
    items, place = present(Place(), rows)
    left = lines
    for number in range(len(items) - 1, -1, -1):
        text = items[number]["text"]
        end = len(text) - (number == len(items) - 1 and text.endswith("\n"))
        while left and (end := text.rfind("\n", 0, end)) >= 0:
            left -= 1
        if not left:
            return [_shortened(items[number], end + 1), *items[number + 1 :]], place
    if items and items[0]["offset"]:  # the first line is not whole
        items[0] = _shortened(items[0], items[0]["text"].find("\n") + 1)
    return items, place


def _shortened(item: dict[str, Any], start: int) -> dict[str, Any]:
    before, text = item["text"][:start], item["text"][start:]
    return {**item, "offset": item["offset"] + len(before.encode()), "text": text}


def present_tails(place: Place) -> tuple[list[dict[str, Any]], Place]:
    """What is left of characters whose rest never came, once nothing more will come."""
    items = [_item(each, each.start, each.bytes) for each in place.tails]
    return items, Place(place.after)


def _item(row: Row[Any] | Tail, start: int, data: bytes) -> dict[str, Any]:
    return {
        "step_id": row.step_id,
        "target": row.target_name,
        "wave": row.wave_index,
        "attempt": row.attempt,
        "offset": start,
        "at": row.at,
        "text": data.decode("utf-8", "replace"),
    }


def _tail(row: Row[Any], offset: int, data: bytes) -> Tail:
    return Tail(
        row.attempt_id,
        row.step_id,
        row.target_name,
        row.wave_index,
        row.attempt,
        offset,
        row.at.isoformat().replace("+00:00", "Z"),
        base64.b64encode(data).decode(),
    )


def _whole(data: bytes) -> int:
    """How many bytes there are before a character that is not all there yet."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:  # inside a character: its first byte is further back
            continue
        needs = 2 if byte & 0xE0 == 0xC0 else 3 if byte & 0xF0 == 0xE0 else 4 if byte & 0xF8 == 0xF0 else 1
        return len(data) - back if needs > back else len(data)
    return len(data)
