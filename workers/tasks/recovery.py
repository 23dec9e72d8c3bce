"""The clock's task: everything that is due is found here, whatever was lost."""

from orchestrator.queue import Message, TaskName, send
from orchestrator.repositories import deployments
from workers import context
from workers.app import app

AT_ONCE = 500
PUSH_SECONDS = 3.0
"""How long until a deployment whose message was lost is found again."""


@app.task(name=TaskName.TICK, send_events=False)
def tick() -> None:
    """Send `advance` for each deployment whose time has come; any number of beats may call it at once."""
    while True:
        with context.current().database.transaction() as session:
            due = deployments.take_due(session, limit=AT_ONCE, push_seconds=PUSH_SECONDS)
        for row in due:
            send(Message(TaskName.ADVANCE, row.id, f"deployment {row.id} -> {row.environment}, due"))
        if len(due) < AT_ONCE:
            return
