"""Everybody who has a page open: what is made once is sent to all who see the same."""

import asyncio
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from orchestrator import clock, log
from orchestrator.db import DATABASE_AWAY
from orchestrator.presenting.pages.rendering import View
from orchestrator.pulse import Pulse
from orchestrator.services.actors import Actor
from stream import events
from stream.followers import Follower
from stream.metrics import VIEWS
from stream.reader import AWAY, CHECK_SECONDS, LOOK_EVERY_SECONDS, PAGE_OUTAGE_SECONDS
from stream.view_keys import NEWS, ViewKey
from stream.view_looking import Seen, ViewLooker, pieces_of

MOST_SHARE = 0.5
"""How much of its time the thread may spend on views: a change waits for the rest after the look before it."""

_logger = log.get(__name__)


@dataclass(slots=True, eq=False)
class _Topic:
    """A view that somebody sees, as it was made last."""

    followers: set[Follower[ViewKey]] = field(default_factory=set)
    view: View | None = None


class Views:
    """Runs until it is cancelled. Views are made in one thread of its own, one after the other."""

    def __init__(self, looker: ViewLooker, pulse: Pulse) -> None:
        self._looker = looker
        self._pulse = pulse
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="views")
        self._topics: dict[ViewKey, _Topic] = {}
        self._waits: dict[Follower[ViewKey], int] = {}
        """How much waits for each, as they were told last."""
        self._seen = asyncio.Event()
        self._checked_at = clock.monotonic()
        self._away_since: float | None = None
        self._took = 0.0

    def enter(self, follower: Follower[ViewKey]) -> None:
        """Let it be sent how its view is, at once or as soon as that is known, and then what changes.

        A page that asks web is told at once: something may have happened since it did.
        """
        topic = self._topics.setdefault(follower.key, _Topic())
        topic.followers.add(follower)
        if follower.key.name == NEWS:  # all may come in one moment, as when this process has just begun
            here = sum(len(topic.followers) for key, topic in self._topics.items() if key.name == NEWS)
            follower.offer(events.news(here - 1, of=here))
        elif topic.view is not None:
            follower.offer(events.view(topic.view.text))
        self._seen.set()

    def leave(self, follower: Follower[ViewKey]) -> None:
        """Forget it, and its view if nobody else sees it."""
        topic = self._topics[follower.key]
        topic.followers.discard(follower)
        self._waits.pop(follower, None)
        if not topic.followers:
            del self._topics[follower.key]
        if not self._topics:
            self._seen.clear()

    async def run(self) -> None:
        """Look, hand out, rest; sleep while nobody has a page open."""
        try:
            while True:
                await self._seen.wait()
                await self._look()
                rest = max(LOOK_EVERY_SECONDS - self._took, self._took / MOST_SHARE - self._took)
                await asyncio.sleep(rest)
        finally:
            self._thread.shutdown(wait=False)

    def everybody(self) -> Iterator[Follower[ViewKey]]:
        """All who have a page open."""
        return (follower for topic in self._topics.values() for follower in topic.followers)

    async def _look(self) -> None:
        check = clock.monotonic() - self._checked_at >= CHECK_SECONDS
        sign_ins = {each.actor.sign_in_id for each in self.everybody()} if check else set()
        keys, actors = list(self._topics), {each.actor for each in self.everybody()}
        look = partial(self._timed_look, keys, sign_ins, actors=actors)
        loop = asyncio.get_running_loop()
        try:
            seen = await loop.run_in_executor(self._thread, look)
        except AWAY as error:
            self._bear(error)
            return
        self._away_since = None
        for key, view in seen.views.items():
            self._publish(key, view)
        self._tell(seen.told)
        self._say_waits(seen.waits)
        if check:
            self._checked_at = clock.monotonic()
            self._cut_signed_out(sign_ins, seen.signed_in)

    def _timed_look(self, keys: list[ViewKey], sign_ins: set[str], *, actors: set[Actor]) -> Seen:
        begun = clock.monotonic()
        try:
            with self._pulse.waiting():
                return self._looker.look(keys, sign_ins, actors=actors)
        finally:
            self._took = clock.monotonic() - begun
            VIEWS.observe(self._took)

    def _publish(self, key: ViewKey, view: View | None) -> None:
        topic = self._topics.get(key)
        if topic is None:
            return
        if view is None:
            for follower in list(topic.followers):
                follower.cut("not_found", "it cannot be shown; ask for the page")
            return
        pieces, topic.view = pieces_of(topic.view, view), view
        if pieces is not None and not pieces:
            return
        chunk = events.view(view.text) if pieces is None else events.view_pieces(pieces)
        for follower in topic.followers:
            follower.offer(chunk)

    def _tell(self, keys: Collection[ViewKey]) -> None:
        """Each page is told at once, with its turn to ask web."""
        told = [each for key, topic in self._topics.items() if key in keys for each in topic.followers]
        for turn, follower in enumerate(told):
            follower.offer(events.news(turn, of=len(told)))

    def _say_waits(self, counts: Mapping[Actor, int]) -> None:
        for follower in self.everybody():
            count = counts.get(follower.actor)
            if count is not None and self._waits.get(follower) != count:
                self._waits[follower] = count
                follower.offer(events.waits(count))

    def _cut_signed_out(self, asked: set[str], signed_in: set[str]) -> None:
        now = clock.now().timestamp()
        for follower in list(self.everybody()):
            sign_in = follower.actor.sign_in_id
            if sign_in in asked and sign_in not in signed_in:
                follower.cut("unauthenticated", "this login has ended")
            elif follower.good_until <= now:
                follower.cut("renew", "come back with a new ticket")

    def _bear(self, error: Exception) -> None:
        now = clock.monotonic()
        if self._away_since is None:
            self._away_since = now
            _logger.warning("database_away", error=type(error).__name__)
        elif now - self._away_since > PAGE_OUTAGE_SECONDS:
            for follower in list(self.everybody()):
                follower.cut("unavailable", DATABASE_AWAY)
