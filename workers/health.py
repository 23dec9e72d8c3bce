"""Asking targets for their health: many side by side, and no connection to the database is held meanwhile."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime

from orchestrator import clock
from orchestrator.checks.base import Probe
from orchestrator.services import health
from orchestrator.services.health import Question
from workers.context import WorkerContext

AT_ONCE = 64
PROBE_SECONDS = 5.0
SLACK_SECONDS = 2.0
"""How much longer an answer is waited for: looking up a name is not in a check's own time."""


def ask_for_health(ours: WorkerContext, deployment_id: int) -> None:
    """Ask the targets of a watch that are due, one batch after the other, for one slice at most."""
    slice_end = clock.monotonic() + ours.settings.slice_seconds
    while not ours.leases.stopping and clock.monotonic() < slice_end:
        with ours.database.transaction() as session:
            questions = health.take(session, deployment_id, limit=AT_ONCE)
        if not questions:
            return
        answers = ask(questions)
        with ours.database.transaction() as session:
            health.record(session, deployment_id, answers)


def ask(questions: Sequence[Question]) -> dict[int, tuple[datetime, Probe]]:
    """What each target answers, by its id, with when it was taken; one that does not answer in time is not well."""
    pool = ThreadPoolExecutor(len(questions), thread_name_prefix="health")
    asked = {question.target_id: pool.submit(_probe, question) for question in questions}
    wait(asked.values(), timeout=PROBE_SECONDS + SLACK_SECONDS)
    pool.shutdown(wait=False)
    return {each.target_id: (each.asked_at, _answer(asked[each.target_id])) for each in questions}


def _probe(question: Question) -> Probe:
    if question.check is None:
        return Probe(False, question.refusal, silent=True)
    return question.check.probe(PROBE_SECONDS)


def _answer(asked: Future[Probe]) -> Probe:
    return (
        asked.result() if asked.done() else Probe(False, f"no answer within {PROBE_SECONDS:g} s", silent=True)
    )
