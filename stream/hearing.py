"""Pages that ask web for what they show: which of them are to hear that something has happened."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.domain.news import DELIVERY_TRIED, TARGET_CHANGED, fits
from orchestrator.repositories import streams
from stream.view_keys import ViewKey

MOST_TRIES = 20
"""How many of the newest tries are compared: more than end between two looks, late ones among them."""


class Hearing:
    """Finds out who is to hear of what is new. One caller at a time."""

    def __init__(self) -> None:
        self._marks: dict[str, object] = {}
        self._has_missed = False

    def miss(self) -> None:
        """Nobody was told of what was found last: the next time all are to hear."""
        self._has_missed = True

    def notice(
        self, session: Session, keys: Collection[ViewKey], news: Sequence[Row[Any]], *, is_all: bool
    ) -> set[ViewKey]:
        """Those of the keys to which something of the news matters; `is_all`: there may be more than these."""
        if not keys:
            return set()
        happened = [*self._recorded(session, keys, news), *self._unrecorded(session, keys)]
        if self._has_missed or not is_all:
            self._has_missed = False
            return set(keys)
        return {key for key in keys if any(_matters(key, *each) for each in happened)}

    def _recorded(
        self, session: Session, keys: Collection[ViewKey], news: Sequence[Row[Any]]
    ) -> Iterator[tuple[str, str]]:
        """What events say: the kind, and the application or nothing."""
        ids = {row.deployment_id for row in news if row.deployment_id is not None}
        names = streams.applications_of(session, sorted(ids)) if ids and any(key.what for key in keys) else {}
        return ((row.kind, names.get(row.deployment_id, "")) for row in news)

    def _unrecorded(self, session: Session, keys: Collection[ViewKey]) -> Iterator[tuple[str, str]]:
        """What no event tells of, as far as anybody wants to hear it."""
        if any(fits(key.news, DELIVERY_TRIED) for key in keys):
            yield from self._compare(DELIVERY_TRIED, streams.newest_tries(session, limit=MOST_TRIES))
        if any(fits(key.news, TARGET_CHANGED) for key in keys):
            yield from self._compare(TARGET_CHANGED, streams.targets(session))

    def _compare(self, kind: str, mark: object) -> Iterator[tuple[str, str]]:
        before, self._marks[kind] = self._marks.get(kind), mark
        if before != mark:
            yield kind, ""


def _matters(key: ViewKey, kind: str, application: str) -> bool:
    return fits(key.news, kind) and (not key.what or application in {"", key.what})
