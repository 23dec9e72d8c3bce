"""Events for Flower go to Redis together: the worker's consumer, on Celery's own loop."""

from collections.abc import Iterator
from typing import Any

import pytest
from kombu.asynchronous import hub

from workers.consumer import Consumer


class Dispatcher:
    """In the place of Celery's, which keeps events until they are flushed."""

    def __init__(self) -> None:
        self.kept = 0
        self.sent: list[int] = []

    def flush(self) -> None:
        self.sent.append(self.kept)
        self.kept = 0


class Events:
    """A consumer without a worker, and the loop that it is on."""

    def __init__(self, loop: Any) -> None:
        self.hub = loop
        self.dispatcher = Dispatcher()
        self.consumer = Consumer.__new__(Consumer)
        self.consumer.hub, self.consumer.event_dispatcher = loop, self.dispatcher

    def happen(self, count: int) -> None:
        for _ in range(count):
            self.dispatcher.kept += 1
            self.consumer.on_send_event_buffered()

    def wait(self) -> None:
        """Until nothing is kept any more; the suite's own limit ends it."""
        while self.dispatcher.kept:
            self.hub.run_once()


@pytest.fixture
def events() -> Iterator[Events]:
    make: Any = hub.Hub
    loop = make()
    yield Events(loop)
    loop.close()


def test_events_of_a_moment_are_sent_together(events: Events) -> None:
    events.happen(20)
    events.wait()
    assert events.dispatcher.sent == [20]


def test_what_happens_later_is_sent_later(events: Events) -> None:
    for count in (3, 1, 2):
        events.happen(count)
        events.wait()
    assert events.dispatcher.sent == [3, 1, 2]


def test_timers_that_went_with_a_lost_connection_cost_no_later_event(events: Events) -> None:
    events.happen(2)
    events.hub.run_once()
    events.hub.timer.clear()
    while not events.hub.timer.queue:
        events.consumer.on_send_event_buffered()
        events.hub.run_once()
    events.wait()
    assert events.dispatcher.sent == [2]
