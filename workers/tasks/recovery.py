"""The clock's task: everything that is due is found here, whatever was lost."""

from collections.abc import Callable
from functools import partial

from sqlalchemy.orm import Session

from orchestrator.queue import Message, send
from orchestrator.repositories import health, heartbeats, promotions, schedules, waking
from orchestrator.services import promotions as promoting
from orchestrator.services import schedules as recurring
from orchestrator.tasks import TICK_SECONDS, TaskName
from workers import context, telling
from workers.app import app
from workers.metrics import TICK_LAG
from workers.tasks.shell import at_the_edge

AT_ONCE = 500
PUSH_SECONDS = 3.0
"""How long until a deployment whose message was lost is found again."""
ERRANDS_AT_ONCE = 50
ERRAND_PUSH_SECONDS = 30.0
"""How long until a promotion or an occurrence is tried again of which this process died, or which it could not carry out."""


@app.task(name=TaskName.TICK, send_events=False)
def tick() -> None:
    """Send on each deployment and each health check whose time has come; any number of beats may call it at once."""
    with context.current().database.transaction() as session:
        told = heartbeats.tick(session)
    if told.after_seconds is not None:
        TICK_LAG.observe(max(0.0, told.after_seconds - TICK_SECONDS))
    if told.deployments:
        _advance_due()
    if told.health:
        _ask_for_health()
    if told.promotions:
        _run_errands("promotion", promotions.take_due, promoting.promote)
    if told.schedules:
        _run_errands("occurrence", schedules.take_due, recurring.run)
    telling.hand_out(context.current())


def _advance_due() -> None:
    while True:
        with context.current().database.transaction() as session:
            due = waking.take_due(session, limit=AT_ONCE, push_seconds=PUSH_SECONDS)
        unsent = [row.id for row in due if not send(_message(row.id, row.environment))]
        if unsent:
            with context.current().database.transaction() as session:
                waking.wake_overdue(session, unsent)
        if len(due) < AT_ONCE:
            return


def _ask_for_health() -> None:
    """What is not sent is found by a worker that polls."""
    with context.current().database.transaction() as session:
        due = health.take_due(session, limit=AT_ONCE, push_seconds=PUSH_SECONDS)
    for row in due:
        text = f"{row.application} {row.version} in {row.environment}, its health"
        send(Message(TaskName.ASK_FOR_HEALTH, row.deployment_id, text))


def _run_errands(what: str, take: Callable[..., list[int]], run: Callable[[Session, int], None]) -> None:
    """Each in a transaction of its own; one that fails is tried again later, and keeps nobody from theirs."""
    with context.current().database.transaction() as session:
        due = take(session, limit=ERRANDS_AT_ONCE, push_seconds=ERRAND_PUSH_SECONDS)
    for errand in due:
        at_the_edge(what, errand, partial(_run_errand, run, errand))


def _run_errand(run: Callable[[Session, int], None], errand: int) -> None:
    with context.current().database.transaction() as session:
        run(session, errand)


def _message(deployment_id: int, environment: str) -> Message:
    return Message(TaskName.ADVANCE, deployment_id, f"deployment {deployment_id} -> {environment}, due")
