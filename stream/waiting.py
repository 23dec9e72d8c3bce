"""How much waits for each of those who have a page open: read once for all of them."""

from collections.abc import Collection, Mapping

from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.services import inbox
from orchestrator.services.actors import Actor

ANEW_SECONDS = 5.0
"""After which it is counted again though nothing has happened: an approval and a lock run out by themselves."""


class Counting:
    """Remembers what it counted. One caller at a time."""

    def __init__(self) -> None:
        self._found = inbox.Waiting((), ())
        self._counts: dict[Actor, int] = {}
        self._counted_at: float | None = None

    def miss(self) -> None:
        """Nobody was told of what was counted last."""
        self._counted_at = None

    def count(self, session: Session, actors: Collection[Actor], *, is_eventful: bool) -> Mapping[Actor, int]:
        """For each of them; `is_eventful`: something has happened since the last time."""
        now = clock.monotonic()
        is_old = self._counted_at is None or now - self._counted_at > ANEW_SECONDS
        if is_old or is_eventful:
            before, self._found = self._found, inbox.read(session)
            if is_old or self._found != before:
                self._counts, self._counted_at = {}, now
        at = clock.now()
        self._counts = {
            actor: self._counts[actor] if actor in self._counts else self._found.count_for(actor, at)
            for actor in actors
        }
        return self._counts
