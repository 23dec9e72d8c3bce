"""How a worker takes messages: as Celery does, but for the events that Flower sees, which it sends together."""

from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer

from orchestrator import clock

EVENTS_SECONDS = 0.1
"""How long an event may wait for others: a message has three, and to send one costs as much as a step does."""


class Consumer(CeleryConsumer):  # type: ignore[misc]  # Celery has no types
    """The setting `worker_consumer`. Celery's own sends what there is whenever its loop goes round."""

    _flushes_at = 0.0

    def on_send_event_buffered(self) -> None:
        """Have a flush, unless one is to come. Called by every thread."""
        now = clock.monotonic()
        if self.hub and now >= self._flushes_at:
            self._flushes_at = now + EVENTS_SECONDS
            # The loop's own thread sets its timers. They go when the connection to Redis does; the next event has one again.
            self.hub.call_soon(self._flush_later)

    def _flush_later(self) -> None:
        self.hub.call_later(EVENTS_SECONDS, self._flush_events)

    def shutdown(self) -> Any:
        """End it, after its last events."""
        self._flush_events()
        return super().shutdown()
