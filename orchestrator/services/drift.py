"""Asking targets whether what was installed is what runs there, and telling where it is not."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.checks.base import Probe
from orchestrator.domain.access import Permission
from orchestrator.domain.drift import Drift, judged
from orchestrator.domain.errors import RuleViolationError
from orchestrator.domain.pipeline_specs import AskedSpec
from orchestrator.repositories import applications, drift
from orchestrator.services import execution, health, pipelines
from orchestrator.services.actors import Actor
from orchestrator.services.health import LEASE_SECONDS, MOST_DETAIL, Question

MOST_NAMED = 20
"""So many targets are named in an event; the others are counted."""


def ask_now(session: Session, *, application: str, environment: str, actor: Actor) -> dict[str, Any]:
    """Have the targets of a slot asked at once, for somebody who may deploy there; how many are, and from when on.

    Raises RuleViolationError where the pipeline does not say how, or nothing is there to be asked.
    """
    actor.require_place(Permission.DEPLOY, application=application, environment=environment)
    found = applications.get(session, application)
    spec = pipelines.current(found).find_environment(environment)
    if spec is None or spec.drift is None:
        raise RuleViolationError(
            f"the pipeline of {application} does not say how targets of {environment} are asked: give it a `drift`"
        )
    asked = drift.ask_now(session, found.id, environment)
    if not asked:
        raise RuleViolationError(f"nothing of {application} is installed in {environment} yet")
    return {"targets": len(asked), "asked_at": min(asked)}


def take(session: Session, *, limit: int) -> tuple[list[Question], dict[int, tuple[int, AskedSpec]]]:
    """Targets that are to be asked now, and by their ids what each was asked about and how; none where nothing is due.

    One whose slot is being deployed to is left for later, one that is not to be asked any more is forgotten.
    """
    questions: list[Question] = []
    about: dict[int, tuple[int, AskedSpec]] = {}
    due = drift.take_due(session, limit=limit, lease_seconds=LEASE_SECONDS)
    for (_, environment), found in groupby(due, key=lambda row: (row.application_id, row.environment)):
        rows = list(found)
        pipeline = pipelines.of_revision(session, rows[0], rows[0].pipeline_revision)
        spec = pipeline.find_environment(environment)
        names = {row.target for row in rows if row.deployment_id is not None}
        targets = {each.name: each for each in spec.targets if each.name in names} if spec else {}
        if spec is None or spec.drift is None:
            drift.drop(session, [row.target_id for row in rows])
            continue
        drift.drop(session, [row.target_id for row in rows if row.target not in targets])
        shared = pipeline.shared_variables(spec)
        for row in rows:
            if row.target in targets and not row.is_busy:
                questions.append(health.question(row, row, spec.drift, shared, targets[row.target]))
                about[row.target_id] = (row.deployment_id, spec.drift)
    return questions, about


def record(
    session: Session,
    answers: Mapping[int, tuple[datetime, Probe]],
    about: Mapping[int, tuple[int, AskedSpec]],
) -> None:
    """Write what targets said, and one event a deployment for those that differ or no longer do.

    What was said about something that is no longer installed, or is being replaced, is left out.
    """
    said = [
        {
            "target_id": target_id,
            "deployment_id": about[target_id][0],
            "asked_at": asked_at,
            "state": judged(ok=probe.ok, silent=probe.silent),
            "detail": probe.detail[:MOST_DETAIL],
            "every_seconds": about[target_id][1].every_seconds,
        }
        for target_id, (asked_at, probe) in answers.items()
    ]
    for deployment_id, rows in groupby(drift.put(session, said), key=lambda row: int(row.deployment_id)):
        _tell(session, deployment_id, list(rows))


def _tell(session: Session, deployment_id: int, rows: Sequence[Row[Any]]) -> None:
    held = execution.lock(session, deployment_id)
    if held is None:
        raise RuntimeError(f"deployment {deployment_id} vanished")
    for kind, state in (("drift.found", Drift.DIFFERS), ("drift.gone", Drift.SAME)):
        these = [row for row in rows if row.state == state]
        if these:
            data = {
                "environment": these[0].environment,
                "targets": [row.target for row in these[:MOST_NAMED]],
                "count": len(these),
                "why": f"{these[0].target}: {these[0].detail}",
            }
            held.recorder.record(kind, actor_id=None, at=these[0].now, data=data)
    execution.flush(session, held)
