"""One connection of somebody who follows something: what it is to be sent waits here, within bounds."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from orchestrator.services.actors import Actor
from stream import events
from stream.metrics import CUT

K = TypeVar("K")


@dataclass(slots=True, eq=False)
class Follower(Generic[K]):
    """One connection. What it is to be sent waits here; who falls too far behind is cut off."""

    key: K
    """What is followed."""
    actor: Actor
    good_until: float
    """When the access token runs out, seconds since the epoch."""
    most_bytes: int
    is_page: bool = False
    """Scripts of a page do not hear what keeps its connection alive."""
    over: bool = False
    """Nothing more is put here; what is left is sent, and then it ends."""
    _waiting: deque[bytes] = field(default_factory=deque)
    _size: int = 0
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, chunk: bytes) -> None:
        """Let this be sent next. Cut off where more than may be waits already."""
        if self.over:
            return
        if self._size > self.most_bytes:
            self.cut("too_slow", "you read slower than it is written; come back with Last-Event-ID")
            return
        self._put(chunk)

    def heartbeat(self) -> None:
        """Show that the connection lives, unless something is about to be sent anyway."""
        if not self._waiting and not self.over:
            self._put(events.beat() if self.is_page else events.HEARTBEAT)

    def cut(self, code: str, detail: str) -> None:
        """End it now, saying why; what waited is read again by who comes back."""
        if not self.over:
            CUT.labels(code).inc()
            self._waiting.clear()
            self._put(events.cut(code, detail))
            self.finish()

    def finish(self) -> None:
        """Nothing more will come."""
        self.over = True
        self._woken.set()

    async def take(self) -> bytes:
        """All that waits, as soon as anything does; nothing where it is over."""
        while not self._waiting and not self.over:
            self._woken.clear()
            await self._woken.wait()
        chunk = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        return chunk

    def _put(self, chunk: bytes) -> None:
        self._waiting.append(chunk)
        self._size += len(chunk)
        self._woken.set()
