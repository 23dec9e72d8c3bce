"""Asking targets what runs there: what is due is found by each worker itself, and asked without a connection to Postgres."""

from dataclasses import replace

from orchestrator.repositories import drift as rows
from orchestrator.repositories import heartbeats
from orchestrator.services import drift
from orchestrator.services.drift import Script
from orchestrator.services.health import Question
from workers.context import WorkerContext
from workers.health import AT_ONCE, ask
from workers.scripts import ScriptCheck

LOOK_SECONDS = 2.0
ENROL_SECONDS = 10.0
ENROL = "drift"


def is_due(ours: WorkerContext) -> bool:
    """Whether any target is to be asked; one worker of all looks now and then which are to be asked at all."""
    with ours.database.transaction() as session:
        if heartbeats.take_turn(session, ENROL, every_seconds=ENROL_SECONDS):
            rows.enrol(session)
        return rows.is_due(session)


def check_drift(ours: WorkerContext) -> None:
    """Ask what is due, one batch after the other, until nothing is."""
    while not ours.leases.stopping:
        with ours.database.transaction() as session:
            questions, about = drift.take(session, limit=AT_ONCE)
        if not about:
            return
        answers = ask([_asked_by(each, about[each.target_id].script, ours) for each in questions])
        with ours.database.transaction() as session:
            drift.record(session, answers, about)


def _asked_by(question: Question, script: Script | None, ours: WorkerContext) -> Question:
    return question if script is None else replace(question, check=ScriptCheck(script, ours))
