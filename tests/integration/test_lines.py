"""Connections for single questions: what becomes of the others when one of them fails."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import redis
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as NoAnswerError
from redis.retry import Retry

from orchestrator.lines import Lines
from tests.acceptance.fleet import eventually
from tests.chaos.proxy import Mode, Proxy

MANY = 3


@pytest.fixture
def way(redis_url: str) -> Iterator[tuple[Proxy, Lines]]:
    """A way to Redis, and connections over it."""
    parts = urlsplit(redis_url)
    assert parts.port is not None
    with Proxy() as proxy:
        url = redis_url.replace(f":{parts.port}", f":{proxy.link('redis', parts.port)}")
        client = redis.Redis.from_url(url, socket_timeout=5.0, retry=Retry(NoBackoff(), 0))
        lines = Lines(client.connection_pool)
        yield proxy, lines
        proxy.turn("redis", Mode.OPEN, reset=True)
        lines.close()
        client.close()


def test_when_one_gets_no_answer_none_of_those_beside_it_is_relied_on(way: tuple[Proxy, Lines]) -> None:
    proxy, lines = way
    link = proxy.links["redis"]
    proxy.turn("redis", Mode.STALLED)
    with ThreadPoolExecutor(MANY) as threads:
        asked = [threads.submit(lines.ask, "PING") for _ in range(MANY)]
        eventually(lambda: link.pieces >= MANY, "all have asked")
        proxy.turn("redis", Mode.OPEN)
        assert [each.result() for each in asked] == [b"PONG"] * MANY
    proxy.forget("redis")
    with pytest.raises(NoAnswerError):
        lines.ask("PING")
    assert lines.ask("PING") == b"PONG"
