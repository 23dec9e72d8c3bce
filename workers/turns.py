"""Who may begin a transaction that locks a deployment: a few threads at a time, so that who waits holds no connection."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

AT_ONCE = 2
"""One that has the deployment's row, and one that is next when the first has committed."""


@dataclass(slots=True)
class _Turn:
    places: threading.Semaphore
    wanted: int = 0
    """By how many threads, those that have it among them."""


class Turns:
    """Every claim and every end of a step locks its deployment's row: of 200 at once all but one would wait with a connection."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._lock = threading.Lock()
        self._turns: dict[int, _Turn] = {}

    @contextmanager
    def of(self, deployment_id: int) -> Iterator[None]:
        """Wait until few others are at it. Nothing that holds a connection may wait here."""
        with self._lock:
            turn = self._turns.setdefault(deployment_id, _Turn(threading.Semaphore(self._at_once)))
            turn.wanted += 1
        try:
            with turn.places:
                yield
        finally:
            with self._lock:
                turn.wanted -= 1
                if not turn.wanted:
                    del self._turns[deployment_id]

    def deployments(self) -> int:
        """Of how many somebody has the turn."""
        with self._lock:
            return len(self._turns)
