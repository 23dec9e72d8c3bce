"""Telling webhooks what happened: the tick finds what is due, a worker tries it, outside of any transaction."""

from orchestrator import clock
from orchestrator.queue import Message, send
from orchestrator.repositories import deliveries as rows
from orchestrator.repositories import outbox
from orchestrator.services import deliveries
from orchestrator.services.webhooks import outside_of
from orchestrator.tasks import QueueName, TaskName
from workers.context import WorkerContext
from workers.metrics import DELIVERIES

EVENTS_AT_ONCE = 1000
MOST_PAGES = 20
"""How many times EVENTS_AT_ONCE one tick goes through at most: the next one goes on."""
AT_ONCE = 60
"""How many deliveries are under way in the whole installation: of a worker's 200 threads most are left for deployments."""
PUSH_SECONDS = 60.0
"""How long until a delivery is handed to somebody else whose message was lost."""


def hand_out(ours: WorkerContext) -> None:
    """Make deliveries of what happened since the last time, and send a message for each that is due."""
    for _ in range(MOST_PAGES):
        with ours.database.transaction() as session:
            found = outbox.advance(session, limit=EVENTS_AT_ONCE)
            due = rows.take_due(session, at_once=AT_ONCE, push_seconds=PUSH_SECONDS)
        for row in due:
            text = f"delivery {row.id} to webhook {row.webhook_id}"
            send(Message(TaskName.TELL, row.id, text, queue=QueueName.DEFAULT))
        if found < EVENTS_AT_ONCE:
            break


def tell(ours: WorkerContext, delivery_id: int) -> None:
    """Try one delivery once. If this process dies on the way it is tried again, under the same id."""
    with ours.database.transaction() as session:
        todo = deliveries.claim(session, delivery_id)
    if todo is None:
        return
    begun = clock.monotonic()
    receipt = deliveries.tell(todo, vault=ours.vault, outside=outside_of(ours.settings))
    milliseconds = round((clock.monotonic() - begun) * 1000)
    with ours.database.transaction() as session:
        status = deliveries.finish(session, todo, receipt, milliseconds=milliseconds)
    if status is not None:
        DELIVERIES.labels(todo.channel, status).inc()
