"""Asking targets what runs there: what is due is found by each worker itself, and asked without a connection to Postgres."""

from orchestrator.repositories import drift as rows
from orchestrator.repositories import heartbeats
from orchestrator.services import drift
from workers.context import WorkerContext
from workers.health import AT_ONCE, ask

LOOK_SECONDS = 2.0
ENROL_SECONDS = 10.0
ENROL = "drift"


def check_drift(ours: WorkerContext) -> None:
    """Ask what is due until nothing is; one worker of all looks now and then which targets are to be asked at all."""
    with ours.database.transaction() as session:
        if heartbeats.take_turn(session, ENROL, every_seconds=ENROL_SECONDS):
            rows.enrol(session)
    while not ours.leases.stopping:
        with ours.database.transaction() as session:
            questions, about = drift.take(session, limit=AT_ONCE)
        if not about:
            return
        answers = ask(questions)
        with ours.database.transaction() as session:
            drift.record(session, answers, about)
