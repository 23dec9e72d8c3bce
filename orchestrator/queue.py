"""Messages to the workers. Postgres is the queue: a message is a nudge, which may be lost, late or doubled."""

import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from celery import Celery
from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from sqlalchemy.orm import Session

from orchestrator import clock, log
from orchestrator.broker import Sender
from orchestrator.db import after_commit
from orchestrator.lines import Lines
from orchestrator.tasks import QueueName, TaskName, node_queue

PUBLISH_TIMEOUT_SECONDS = 0.25
BREAKER_OPEN_SECONDS = 2.0
DEPTHS_TIMEOUT_SECONDS = 0.5

_logger = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """One nudge. `text` is what Flower shows for its arguments."""

    task: TaskName
    subject_id: int
    text: str
    queue: str = QueueName.DEPLOYMENTS


@cache
def _sender() -> Sender:
    """Gives up within PUBLISH_TIMEOUT_SECONDS."""
    app = Celery("orchestrator.producer", set_as_current=False)
    app.config_from_object("celeryconfig")
    return Sender(app, lines_to(app.conf.broker_url))


def lines_to(broker_url: str) -> Lines:
    """Connections to publish on. Each is called once: what fails is left to the tick."""
    pool = ConnectionPool.from_url(
        broker_url,
        socket_timeout=PUBLISH_TIMEOUT_SECONDS,
        socket_connect_timeout=PUBLISH_TIMEOUT_SECONDS,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
    )
    return Lines(pool)


class _Breaker:
    """Open for a while after a failed publish, so that a broker that is away costs one timeout and not one a request."""

    def __init__(self) -> None:
        self._open_until = 0.0
        self._lock = threading.Lock()

    def is_open(self) -> bool:
        return clock.monotonic() < self._open_until

    def trip(self) -> bool:
        """Open it; whether this call was the one that did."""
        with self._lock:
            first = not self.is_open()
            self._open_until = clock.monotonic() + BREAKER_OPEN_SECONDS
            return first


_breaker = _Breaker()


def send(message: Message) -> bool:
    """Publish now, at most once; whether the broker took it. One it did not take is left to the tick."""
    if _breaker.is_open():
        return False
    try:
        _sender().send(message.task, message.subject_id, queue=message.queue, shown=f"({message.text})")
    except (RedisError, OSError) as error:
        if _breaker.trip():
            _logger.warning("broker_away", error=type(error).__name__, left_to="the tick")
        return False
    _logger.debug("message_sent", task=message.task, subject=message.subject_id, queue=message.queue)
    return True


def depths(redis_url: str, nodes: Iterable[str]) -> dict[str, int] | None:
    """How many messages wait in each queue, those of these nodes included; None: the broker does not answer."""
    names = [*map(str, QueueName), *map(node_queue, nodes)]
    try:
        with _questioner(redis_url) as client, client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.llen(name)
            return dict(zip(names, pipeline.execute(), strict=True))
    except (RedisError, OSError):
        return None


def refusal(redis_url: str) -> str:
    """Why a broker that answers takes no messages: it is full, a replica, or cannot save. Empty: it takes them, or is away."""
    with _questioner(redis_url) as client, suppress(RedisError, OSError):
        try:
            client.set("broker:probe", "", px=1000)
        except ResponseError as error:
            return str(error)
    return ""


def _questioner(redis_url: str) -> Redis:
    """A client of its own: Kombu's tries to connect for ever."""
    made: Redis = Redis.from_url(
        redis_url,
        socket_timeout=DEPTHS_TIMEOUT_SECONDS,
        socket_connect_timeout=DEPTHS_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    return made


def send_after_commit(session: Session, message: Message) -> None:
    """Publish once the open transaction is committed: the only way for a use case to enqueue."""
    after_commit(session, lambda: _send_quietly(message))


def _send_quietly(message: Message) -> None:
    send(message)
