"""Asking targets whether what was installed is what runs there, and telling where it is not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.checks.base import Probe
from orchestrator.domain.access import Permission
from orchestrator.domain.drift import Drift, judged
from orchestrator.domain.errors import RuleViolationError
from orchestrator.domain.pipeline_specs import RUN, AskedSpec, TargetSpec
from orchestrator.domain.variables import expand
from orchestrator.repositories import applications, drift
from orchestrator.services import execution, health, pipelines, work
from orchestrator.services.actors import Actor
from orchestrator.services.health import LEASE_SECONDS, MOST_DETAIL, Question
from orchestrator.targets.base import Command

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script that asks a target, as a run of its own beside those of deployments."""

    target_kind: str
    target_settings: Mapping[str, Any]
    run_name: str
    fence: str
    token: int
    """Grows with each time it is asked."""
    command: Command
    expect: str


@dataclass(frozen=True, slots=True)
class About:
    """What a target is asked about, and how."""

    deployment_id: int
    spec: AskedSpec
    script: Script | None = None


def take(session: Session, *, limit: int) -> tuple[list[Question], dict[int, About]]:
    """Targets that are to be asked now, and by their ids what each was asked about and how; none where nothing is due.

    One whose slot is being deployed to is left for later, one that is not to be asked any more is forgotten.
    """
    questions: list[Question] = []
    about: dict[int, About] = {}
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
                question, script = _ask(row, spec.drift, shared, targets[row.target])
                questions.append(question)
                about[row.target_id] = About(row.deployment_id, spec.drift, script)
    return questions, about


def _ask(
    row: Row[Any], spec: AskedSpec, shared: Mapping[str, str], target: TargetSpec
) -> tuple[Question, Script | None]:
    """By a check; or by a script, which is left to who can reach the target."""
    if spec.check != RUN:
        return health.question(row, row, spec, shared, target), None
    variables = health.variables_of(row, shared, target)
    question = Question(target_id=row.target_id, asked_at=row.asked_at, check=None)
    try:
        expect = expand(spec.settings.get("expect", ""), variables)
    except ValueError as error:
        return replace(question, refusal=f"it cannot be asked: {error}"), None
    moment = int(row.asked_at.timestamp() * 1000)
    script = Script(
        target_kind=target.kind,
        target_settings=target.settings,
        run_name=f"0-{row.target_id}-{moment}",
        fence=f"{work.fence(row.application, row.environment, target.name)}/drift",
        token=moment,
        command=Command(spec.settings[RUN], variables),
        expect=expect,
    )
    return question, script


def record(
    session: Session, answers: Mapping[int, tuple[datetime, Probe]], about: Mapping[int, About]
) -> None:
    """Write what targets said, and one event a deployment for those that differ or no longer do.

    What was said about something that is no longer installed, or is being replaced, is left out.
    """
    said = [
        {
            "target_id": target_id,
            "deployment_id": about[target_id].deployment_id,
            "asked_at": asked_at,
            "state": judged(ok=probe.ok, silent=probe.silent),
            "detail": probe.detail[:MOST_DETAIL],
            "every_seconds": about[target_id].spec.every_seconds,
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
