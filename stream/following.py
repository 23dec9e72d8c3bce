"""One follower from its beginning: catches up with what was, joins what is, and is sent what comes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from orchestrator.presenting.deployments import present_step
from orchestrator.presenting.json import dumps
from orchestrator.presenting.logs import MAX_PAGE_BYTES, Place, within_bounds
from stream import events
from stream.events import EventWriter, Key, Mark
from stream.followers import Follower
from stream.hub import Channel, Hub, Topic
from stream.store import Store

FIRST_PIECES, MOST_PIECES = 32, 1000

Send = Callable[[bytes], Awaitable[None]]


@dataclass(slots=True)
class Following:
    """What one follower is sent, in order: `run` returns when there is nothing more."""

    hub: Hub
    store: Store
    follower: Follower[Key]
    topic: Topic
    writer: EventWriter
    mark: Mark
    send: Send
    _version: int = field(default=-1, init=False)
    _pieces: int = field(default=FIRST_PIECES, init=False)

    async def run(self) -> None:
        """Send everything from the mark on."""
        await self.send(events.OPENING)
        while not self.follower.over and not await self._catch_up():
            pass
        while chunk := await self.follower.take():
            await self.send(chunk)

    async def _catch_up(self) -> bool:
        """One piece of the way; whether the rest comes by itself."""
        await self._send_news()
        ended, channel = self.topic.ended, self.hub.channel(self.follower.key)
        if not ended and channel is not None and self.mark.place.after > channel.mark.place.after:
            await self.topic.next_look()  # we have read what the others are still to be sent
            return False
        upto = None if ended or channel is None else channel.mark
        exhausted = await self._send_pieces(upto, ended=ended)
        if not exhausted:
            return False
        if ended and self._version != self.topic.version:
            return False  # it ended while we sent how it stood before
        if ended:
            await self._send_end()
            return True
        return self._join(channel)

    def _join(self, channel: Channel | None) -> bool:
        """Go on with the others, if nothing happened while we sent: then nothing is missed and nothing comes twice."""
        now = self.hub.channel(self.follower.key)
        if self.topic.ended or self.topic.version != self._version or now is not channel:
            return False
        if now is not None and now.mark.place.after != self.mark.place.after:
            return False
        self.hub.join(self.follower, self.mark)
        return True

    async def _send_news(self) -> None:
        """How the deployment stands, and its steps, unless it was sent already."""
        news = self.topic.news
        if news is None or self._version == self.topic.version:
            return
        version, steps = self.topic.version, list(self.topic.steps.values())
        if self.mark.wave is not None and self.mark.wave < news.wave:
            rows = await self.store.steps(self.follower.key.deployment_id, self.mark.wave, news.wave)
            steps = [(row.wave_index, dumps(present_step(row))) for row in rows]
        before, self.mark = self.mark, Mark(news.wave, self.mark.place)
        self._version = version
        await self.send(self.writer.status(before if steps else self.mark, news.shown))
        if steps:
            await self.send(self.writer.steps(self.mark, [shown for _, shown in steps]))

    async def _send_pieces(self, upto: Mark | None, *, ended: bool) -> bool:
        """The next part of the log, not beyond `upto`; whether that was all for now."""
        after, limit = self.mark.place.after, self._pieces
        if upto is not None and after == upto.place.after:
            return True
        read = await self.store.pieces(self.follower.key, after=after, limit=limit, ended=ended)
        rows = [row for row in read if upto is None or _place_of(row) <= upto.place.after]
        taken = within_bounds(rows)
        if taken:
            self._pieces = max(FIRST_PIECES, min(MOST_PIECES, MAX_PAGE_BYTES * len(taken) // _size_of(taken)))
            frames, self.mark = self.writer.log(self.mark, taken)
            for frame in frames:
                await self.send(frame)
        exhausted = len(taken) == len(rows) and (len(rows) < len(read) or len(read) < limit)
        if exhausted and upto is not None:  # what may have been pruned in between is nothing to wait for
            self.mark = Mark(self.mark.wave, Place(upto.place.after, self.mark.place.tails))
        return exhausted

    async def _send_end(self) -> None:
        news = self.topic.news
        if news is not None:
            for event in self.writer.end(self.mark, self.follower.key.deployment_id, news.status):
                await self.send(event)
        self.follower.finish()


def _place_of(row: Row[Any]) -> tuple[int, int]:
    return int(row.xid), row.id


def _size_of(rows: list[Row[Any]]) -> int:
    return max(1, sum(len(row.data) for row in rows))
