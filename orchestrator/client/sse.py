"""Server-Sent Events, read as https://html.spec.whatwg.org/multipage/server-sent-events.html says."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE_END = re.compile("\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event; `id` is the last id that was sent, with it or before it."""

    type: str
    data: str
    id: str


class EventParser:
    """Bytes in, events out, wherever the bytes are cut. `retry_ms`: how long the server asks to wait before coming back."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry_ms: int | None = None
        # A byte order mark at the very beginning is none of the text.
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
        self._rest = ""
        self._id = last_id
        self._type = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """The events that are whole now."""
        for line in self._lines(self._decode(chunk)):
            if line:
                self._take(line)
                continue
            event = self._dispatch()
            if event is not None:
                yield event

    def _lines(self, text: str) -> Iterator[str]:
        """The lines that are whole; a CR at the very end may yet be half of a CRLF, so it waits."""
        text = self._rest + text
        held = text.endswith("\r")
        *lines, self._rest = _LINE_END.split(text[:-1] if held else text)
        if held:
            self._rest += "\r"
        yield from lines

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._type = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdecimal():
            self.retry_ms = int(value)

    def _dispatch(self) -> ServerEvent | None:
        self.last_id = self._id
        kind, data = self._type or "message", self._data
        self._type, self._data = "", []
        return ServerEvent(kind, "\n".join(data), self.last_id) if data else None
