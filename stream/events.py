"""What is sent: the events of the stream, as bytes, and the ids by which a follower comes back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Row

from orchestrator.presenting import logs as log_texts
from orchestrator.presenting.json import dumps
from orchestrator.presenting.logs import Place
from orchestrator.services.cursors import BadCursorError, Cursors, log_scope

RETRY_MS = 1000
HEARTBEAT = b":\n\n"
OPENING = f"retry: {RETRY_MS}\n\n".encode()
FRAME_BYTES = 65_536
"""How many bytes of output go into one event, unless a single piece has more."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is followed: a deployment; of its log all, or one step's."""

    deployment_id: int
    step_id: int | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """How far somebody is: in which wave, and where in the log. `wave` None: nothing was sent yet."""

    wave: int | None = None
    place: Place = field(default_factory=Place)


class EventWriter:
    """Writes the events of what one key names, each with the id that stands for all that was sent up to it."""

    def __init__(self, cursors: Cursors, key: Key) -> None:
        self._cursors = cursors
        self._scope = log_scope(key.deployment_id, key.step_id)

    def read_id(self, text: str) -> Mark:
        """The mark that an id stands for; none: the beginning. Raises BadCursorError."""
        if not text:
            return Mark()
        wave, dot, cursor = text.partition(".")
        if not dot or not wave.isascii() or not wave.isdecimal() or len(wave) > 9:
            raise BadCursorError("this is no id of an event of this stream")
        return Mark(int(wave), Place.read(self._cursors.read(self._scope, cursor)))

    def status(self, mark: Mark, deployment: bytes) -> bytes:
        """The deployment as the API shows it."""
        return _event("status", deployment, self._id(mark))

    def steps(self, mark: Mark, steps: Iterable[bytes]) -> bytes:
        """Steps that changed."""
        return _event("steps", b'{"items":[' + b",".join(steps) + b"]}", self._id(mark))

    def log(self, mark: Mark, rows: list[Row[object]]) -> tuple[list[bytes], Mark]:
        """The next pieces, and the mark after them."""
        events = []
        for group in _grouped(rows):
            items, place = log_texts.present(mark.place, group)
            mark = Mark(mark.wave, place)
            events.append(self._log(mark, items, complete=False))
        return events, mark

    def end(self, mark: Mark, deployment_id: int, status: str) -> list[bytes]:
        """What is left of characters torn apart, and that nothing more will come."""
        rest, place = log_texts.present_tails(mark.place)
        mark = Mark(mark.wave, place)
        data = dumps({"id": deployment_id, "status": status})
        return [self._log(mark, rest, complete=True), _event("end", data, self._id(mark))]

    def _log(self, mark: Mark, items: list[dict[str, object]], *, complete: bool) -> bytes:
        page = {"items": items, "next_cursor": self._cursor(mark), "complete": complete}
        return _event("log", dumps(page), self._id(mark))

    def _id(self, mark: Mark) -> str:
        return f"{mark.wave or 0}.{self._cursor(mark)}"

    def _cursor(self, mark: Mark) -> str:
        return self._cursors.write(self._scope, mark.place.value())


def cut(code: str, detail: str) -> bytes:
    """The last event of somebody who is sent away before the end; without an id: what was sent last stays so."""
    return _event("cut", dumps({"code": code, "detail": detail}), None)


def view(html: str) -> bytes:
    """A view as a whole; nobody comes back to it by an id, so it has none."""
    return _event("view", dumps({"html": html}), None)


def news(turn: int, *, of: int) -> bytes:
    """That something has happened that a page is told of; what it is the page asks web, in turn with all that are told."""
    return _event("news", dumps({"turn": turn, "of": of}), None)


def beat() -> bytes:
    """That somebody is there; unlike HEARTBEAT it is an event, so that scripts of pages hear it."""
    return _event("beat", b"{}", None)


def waits(count: int) -> bytes:
    """How much waits for whoever looks."""
    return _event("waits", dumps({"count": count}), None)


def view_pieces(pieces: Mapping[str, str]) -> bytes:
    """What of a view changed, by the ids of elements."""
    return _event("pieces", dumps({"pieces": dict(pieces)}), None)


def _event(kind: str, data: bytes, id: str | None) -> bytes:
    named = b"" if id is None else b"id: " + id.encode() + b"\n"
    return b"event: " + kind.encode() + b"\n" + named + b"data: " + data + b"\n\n"


def _grouped(rows: list[Row[object]]) -> Iterable[list[Row[object]]]:
    group: list[Row[object]] = []
    size = 0
    for row in rows:
        if group and size + len(row.data) > FRAME_BYTES:
            yield group
            group, size = [], 0
        group.append(row)
        size += len(row.data)
    if group:
        yield group
