"""Those who watch: they follow deployments over Server-Sent Events and come back to where they were, whatever breaks."""

import http.client
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

from orchestrator import clock
from orchestrator.client import API
from orchestrator.client.sse import EventParser, ServerEvent
from tests.chaos.load import Desk, StoppedError
from tests.chaos.observer import Observer

FOLLOWERS = 8
SILENCE_SECONDS = 20.0
"""Longer than the stream lets a connection be without a sign of life."""
_AGAIN_SECONDS = 0.3
_LEAVES = 0.04
"""How often a follower goes away by itself after an event, and comes back."""


@dataclass
class Followed:
    """What one follower was told of a deployment, over all its connections."""

    deployment_id: int
    statuses: list[str] = field(default_factory=list)
    steps: dict[int, str] = field(default_factory=dict)
    """The last that was told of each."""
    pieces: list[tuple[int, int, int, str]] = field(default_factory=list)
    """Of the log: step, attempt, first byte and text."""
    end: str | None = None
    connections: int = 0
    last_id: str = ""

    def take(self, event: ServerEvent) -> None:
        """Note what an event says."""
        self.last_id = event.id
        data = json.loads(event.data)
        if event.type == "status":
            self.statuses.append(data["status"])
        elif event.type == "steps":
            self.steps |= {each["id"]: each["status"] for each in data["items"]}
        elif event.type == "log":
            for each in data["items"]:
                self.pieces.append((each["step_id"], each["attempt"], each["offset"], each["text"]))
        elif event.type == "end":
            self.end = data["status"]


class Follower(threading.Thread):
    """Follows one deployment after the other, each to its end."""

    def __init__(self, url: str, desk: Desk, observer: Observer, *, seed: str) -> None:
        super().__init__(name=f"follower {seed}", daemon=True)
        self.followed: list[Followed] = []
        self.stopping = threading.Event()
        self._place = urlsplit(url).netloc
        self._desk = desk
        self._observer = observer
        self._rng = random.Random(seed)

    def run(self) -> None:
        try:
            while not self.stopping.wait(_AGAIN_SECONDS):
                sample = self._observer.last
                if sample and sample.deployments:
                    self.followed.append(Followed(self._rng.choice(sorted(sample.deployments))))
                    self._follow(self.followed[-1])
        except StoppedError:
            return

    def _follow(self, followed: Followed) -> None:
        """Come back until the end was told. Raises StoppedError."""
        while followed.end is None:
            try:
                with self._open(followed) as answer:
                    if answer.status == HTTPStatus.OK:
                        self._listen(followed, answer)
                    elif answer.status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE}:
                        what = f"GET stream of deployment {followed.deployment_id}"
                        self._desk.refused.append(f"{what}: {answer.status} {answer.read()[:200]!r}")
                        return
            except (OSError, http.client.HTTPException):
                pass  # the connection broke: what was told up to here was told
            if self._desk.halted.wait(_AGAIN_SECONDS):
                raise StoppedError

    @contextmanager
    def _open(self, followed: Followed) -> Iterator[http.client.HTTPResponse]:
        headers = {"Authorization": f"Bearer {self._desk.access_token()}"}
        if followed.last_id:
            headers["Last-Event-ID"] = followed.last_id
        connection = http.client.HTTPConnection(self._place, timeout=SILENCE_SECONDS)
        try:
            connection.request("GET", f"{API}/deployments/{followed.deployment_id}/stream", headers=headers)
            with connection.getresponse() as answer:
                yield answer
        finally:
            connection.close()

    def _listen(self, followed: Followed, answer: http.client.HTTPResponse) -> None:
        followed.connections += 1
        parser = EventParser(followed.last_id)
        while piece := answer.read1(65_536):
            for event in parser.feed(piece):
                followed.take(event)
                if self._rng.random() < _LEAVES:
                    return


@dataclass
class Crowd:
    """All followers of an installation."""

    members: list[Follower]

    @classmethod
    def of(cls, url: str, desk: Desk, observer: Observer, *, seed: int) -> "Crowd":
        """So many that start at once."""
        made = cls([Follower(url, desk, observer, seed=f"{seed} {n}") for n in range(FOLLOWERS)])
        for each in made.members:
            each.start()
        return made

    @property
    def followed(self) -> list[Followed]:
        return [each for member in self.members for each in member.followed]

    def wait_until_told(self, seconds: float) -> None:
        """Begin nothing more, and return when all have come to an end, or after so long."""
        until = clock.monotonic() + seconds
        for each in self.members:
            each.stopping.set()
        for each in self.members:
            each.join(max(0.0, until - clock.monotonic()))
