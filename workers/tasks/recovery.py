"""The clock's task: everything that is due is found here, whatever was lost."""

from orchestrator.queue import Message, TaskName, send
from orchestrator.repositories import deployments, heartbeats
from workers import context
from workers.app import app

AT_ONCE = 500
PUSH_SECONDS = 3.0
"""How long until a deployment whose message was lost is found again."""


@app.task(name=TaskName.TICK, send_events=False)
def tick() -> None:
    """Send `advance` for each deployment whose time has come; any number of beats may call it at once."""
    with context.current().database.transaction() as session:
        heartbeats.tick(session)
    while True:
        with context.current().database.transaction() as session:
            due = deployments.take_due(session, limit=AT_ONCE, push_seconds=PUSH_SECONDS)
        unsent = [row.id for row in due if not send(_message(row.id, row.environment))]
        if unsent:
            with context.current().database.transaction() as session:
                deployments.wake_overdue(session, unsent)
        if len(due) < AT_ONCE:
            return


def _message(deployment_id: int, environment: str) -> Message:
    return Message(TaskName.ADVANCE, deployment_id, f"deployment {deployment_id} -> {environment}, due")
