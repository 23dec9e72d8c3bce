"""Who follows what, and handing what is new to each: bounded queues, no input or output, one event loop."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.domain.errors import UnavailableError
from stream.events import Key, Mark
from stream.followers import Follower
from stream.looking import Asked, Found, News, Read
from stream.metrics import FOLLOWERS


class StreamFullError(UnavailableError):
    """As many follow here as may; read on without following, or come back."""

    code = "stream_full"


@dataclass(slots=True, eq=False)
class Topic:
    """A deployment that is followed, as the last look saw it. `news` None after `looked`: there is none."""

    followers: set[Follower[Key]] = field(default_factory=set)
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    news: News | None = None
    version: int = 0
    steps: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """Steps of the wave it is in, as JSON."""
    _next_look: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        return self.news is not None and self.news.ended

    def publish(self, news: News | None) -> None:
        """Take in what a look saw, and wake who waits for it."""
        if news is not None:
            self.steps.update(news.steps)
            self.steps = {id: each for id, each in self.steps.items() if each[0] >= news.wave}
            self.version += news.changed
        self.news = news
        self.looked.set()
        self._next_look.set()
        self._next_look.clear()

    async def next_look(self) -> None:
        """Wait for the next one."""
        await self._next_look.wait()


@dataclass(slots=True, eq=False)
class Channel:
    """A log that is read live: all who joined are at the same mark, so they get the very same bytes."""

    mark: Mark
    followers: set[Follower[Key]] = field(default_factory=set)


class Hub:
    """Everybody who follows anything in this process."""

    def __init__(self, *, most_followers: int) -> None:
        self._most = most_followers
        self._places = 0
        self._topics: dict[int, Topic] = {}
        self._channels: dict[Key, Channel] = {}
        self._tell_anew: set[int] = set()
        """Of these the next look that succeeds is to tell all."""
        self.followed = asyncio.Event()
        """Set while anything is."""

    def take_place(self) -> None:
        """Count one more. Raises StreamFullError; call `give_place` otherwise."""
        if self._places >= self._most:
            raise StreamFullError
        self._places += 1
        FOLLOWERS.inc()

    def give_place(self) -> None:
        """Count one less."""
        self._places -= 1
        FOLLOWERS.dec()

    def enter(self, follower: Follower[Key]) -> Topic:
        """Let its deployment be looked at."""
        topic = self._topics.setdefault(follower.key.deployment_id, Topic())
        topic.followers.add(follower)
        self.followed.set()
        return topic

    def leave(self, follower: Follower[Key]) -> None:
        """Forget it, and whatever was looked at only for it."""
        channel = self._channels.get(follower.key)
        if channel is not None:
            channel.followers.discard(follower)
            if not channel.followers:
                del self._channels[follower.key]
        topic = self._topics[follower.key.deployment_id]
        topic.followers.discard(follower)
        if not topic.followers:
            del self._topics[follower.key.deployment_id]
        if not self._topics:
            self.followed.clear()

    def channel(self, key: Key) -> Channel | None:
        """The log that is read live, if it is."""
        return self._channels.get(key)

    def join(self, follower: Follower[Key], mark: Mark) -> None:
        """Send it what comes after `mark` from now on; the first who joins begins the channel there."""
        self._channels.setdefault(follower.key, Channel(mark)).followers.add(follower)

    def asked(self, *, with_sign_ins: bool) -> Asked:
        """What to look for next. What has ended needs no further look."""
        going_on = {id for id, topic in self._topics.items() if not topic.ended}
        wanted = going_on | {key.deployment_id for key in self._channels}
        fresh = {id for id in going_on if not self._topics[id].looked.is_set()}
        marks = {key: channel.mark for key, channel in self._channels.items()}
        sign_ins = {each.actor.sign_in_id for each in self.everybody()} if with_sign_ins else set()
        return Asked(wanted, fresh | (self._tell_anew & wanted), marks, sign_ins)

    def publish(self, asked: Asked, found: Found) -> bool:
        """Hand out what a look found; whether there is more to be read at once."""
        for id in asked.deployments:
            if id in self._topics:
                self._topics[id].publish(found.news.get(id))
        for key, read in found.logs.items():
            self._hand_out(key, read)
        # Who joined during the look was not thought of in it.
        changed = {id for id, news in found.news.items() if news.changed}
        self._tell_anew = {key.deployment_id for key in self._channels.keys() - asked.marks.keys()} & changed
        return any(read.more for read in found.logs.values())

    def _hand_out(self, key: Key, read: Read) -> None:
        channel = self._channels.get(key)
        if channel is None:
            return
        channel.mark = read.mark
        chunk = b"".join(read.events)
        for follower in channel.followers:
            if chunk:
                follower.offer(chunk)
            if read.over:
                follower.finish()
        if read.over:
            del self._channels[key]

    def everybody(self) -> Iterator[Follower[Key]]:
        """All followers."""
        return (follower for topic in self._topics.values() for follower in topic.followers)

    def cut_signed_out(self, asked: Asked, signed_in: set[str], now: float) -> None:
        """Send those away whose sign-in has ended, or whose access token has run out."""
        for follower in list(self.everybody()):
            sign_in = follower.actor.sign_in_id
            if (sign_in in asked.sign_ins and sign_in not in signed_in) or follower.good_until <= now:
                follower.cut("unauthenticated", "this login has ended or its token has run out")

    def cut_everybody(self, detail: str) -> None:
        """Send all away; they come back."""
        for follower in list(self.everybody()):
            follower.cut("unavailable", detail)

    def cut_pages(self, detail: str) -> None:
        """Send pages away, and no program."""
        for follower in list(self.everybody()):
            if follower.is_page:
                follower.cut("unavailable", detail)
