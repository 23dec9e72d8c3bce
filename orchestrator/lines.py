"""Connections to Redis for single questions: what redis-py does around one (pool, retries, counters) costs twice as much."""

from collections import deque
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError


class Lines:
    """Connections of the kind that a pool of redis-py would make, each for one question at a time."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._idle: deque[Any] = deque()

    def ask(self, *command: str | bytes) -> object:
        """The answer, asked for once. Raises RedisError or OSError; whatever the others met then, they are made anew."""
        line = self._take()
        try:
            line.send_command(*command)
            answer: object = line.read_response()
        except BaseException:
            line.disconnect()
            self.close()
            raise
        self._idle.append(line)
        return answer

    def close(self) -> None:
        """End those that nobody uses at this moment."""
        with suppress(IndexError):
            while True:
                self._idle.pop().disconnect()

    def _take(self) -> Any:
        """One that is free; a new one if there is none, or Redis has ended it since."""
        with suppress(IndexError):
            line = self._idle.pop()
            with suppress(RedisError, OSError):
                if not line.can_read():
                    return line
            line.disconnect()
        return self._pool.connection_class(**self._pool.connection_kwargs)
