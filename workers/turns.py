"""Who may begin a transaction that locks a deployment: a few threads at a time, so that who waits holds no connection."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

AT_ONCE = 2
"""One that has the deployment's row, and one that is next when the first has committed."""
LOOK_SECONDS = 1.0
"""How often who waits looks whether that is still of use."""


@dataclass(slots=True)
class _Turn:
    free: int
    waiting: deque[threading.Lock] = field(default_factory=deque)
    """A lock of each thread that waits, which is released when its turn has come."""


class Turns:
    """Every claim and every end of a step locks its deployment's row: of 200 at once all but one would wait with a connection.

    Who comes first has it first. With a semaphore those that come again at once take it from those that are still to wake up,
    and some wait as long as the deployment lasts.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._lock = threading.Lock()
        self._turns: dict[int, _Turn] = {}

    @contextmanager
    def of(self, deployment_id: int, *, is_of_use: Callable[[], bool] = lambda: True) -> Iterator[bool]:
        """Wait until few others are at it, and say whether it is one's turn: not where it is of no use any more.

        Nothing that holds a connection may wait here.
        """
        has_come = self._take(deployment_id, is_of_use)
        try:
            yield has_come
        finally:
            if has_come:
                self._give(deployment_id)

    def deployments(self) -> int:
        """Of how many somebody has the turn."""
        with self._lock:
            return len(self._turns)

    def waiting(self) -> int:
        """How many threads wait for theirs."""
        with self._lock:
            return sum(len(turn.waiting) for turn in self._turns.values())

    def _take(self, deployment_id: int, is_of_use: Callable[[], bool]) -> bool:
        with self._lock:
            turn = self._turns.setdefault(deployment_id, _Turn(self._at_once))
            if turn.free:
                turn.free -= 1
                return True
            mine = threading.Lock()
            mine.acquire()
            turn.waiting.append(mine)
        while not mine.acquire(timeout=LOOK_SECONDS):
            if not is_of_use() and self._leave(turn, mine):
                return False
        return True

    def _leave(self, turn: _Turn, mine: threading.Lock) -> bool:
        """Wait no longer; False where the turn has come in this moment."""
        with self._lock:
            if mine not in turn.waiting:
                return False
            turn.waiting.remove(mine)
            return True

    def _give(self, deployment_id: int) -> None:
        """Hand it to who has waited longest."""
        with self._lock:
            turn = self._turns[deployment_id]
            if turn.waiting:
                turn.waiting.popleft().release()
                return
            turn.free += 1
            if turn.free == self._at_once:
                del self._turns[deployment_id]
