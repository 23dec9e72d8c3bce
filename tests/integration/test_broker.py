"""What is put into a queue is what Celery itself would put there; and sending to a broker that is not there."""

import json
import socket
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from redis import Redis
from redis.exceptions import RedisError

from orchestrator import queue
from orchestrator.broker import Sender
from orchestrator.config import Settings
from orchestrator.queue import Message
from orchestrator.tasks import TaskName, make_celery

OWN = {"id", "root_id", "correlation_id", "delivery_tag", "reply_to", "argsrepr", "kwargsrepr"}
"""What is different in each message, whoever sends it, and the text that Flower shows."""


@pytest.fixture
def redis(settings: Settings) -> Iterator[Redis]:
    made: Redis = Redis.from_url(settings.redis_url)
    queue._sender.cache_clear()  # made for another test's Redis
    yield made
    queue._sender.cache_clear()
    made.close()


def taken(redis: Redis, name: str) -> dict[str, Any]:
    """The one message of a queue, with its body as it is read."""
    (raw,) = redis.lrange(name, 0, -1)
    redis.delete(name, f"_kombu.binding.{name}")
    found: dict[str, Any] = json.loads(raw)
    return found | {"body": json.loads(b64decode(found["body"]))}


def without_own(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in OWN}


def test_a_nudge_looks_as_if_celery_had_sent_it(redis: Redis) -> None:
    name = f"compared-{uuid4().hex}"
    with make_celery() as app:
        app.send_task(TaskName.ADVANCE, (7,), queue=name, ignore_result=True)
    theirs = taken(redis, name)
    assert queue.send(Message(TaskName.ADVANCE, 7, "shop", name))
    ours = taken(redis, name)
    assert ours.keys() == theirs.keys()
    assert ours["properties"].keys() == theirs["properties"].keys()
    for part in ("headers", "properties"):
        assert without_own(ours[part]) == without_own(theirs[part])
    assert ours["body"] == theirs["body"]
    assert ours["headers"]["argsrepr"] == "(shop)"
    assert ours["headers"]["id"] == ours["properties"]["correlation_id"]


def test_a_broker_that_hangs_up_is_called_once() -> None:
    calls: list[object] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        with suppress(OSError):
            while True:
                connection, address = listener.accept()
                connection.close()
                calls.append(address)

    broker = threading.Thread(target=hang_up)
    broker.start()
    try:
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}"
        sender = Sender(Celery("sends-nothing", set_as_current=False), queue.lines_to(url))
        with pytest.raises((RedisError, OSError)):
            sender.send("deployments.advance", 1, queue="deployments", shown="(1)")
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        broker.join()
        listener.close()
    assert len(calls) == 1
