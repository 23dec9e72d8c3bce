"""Asking environments for their health while a release soaks there, and what the answers mean for those that wait."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.checks.base import Probe
from orchestrator.domain.errors import OrchestratorError, PlanOfAnotherVersionError, SettingsRefusedError
from orchestrator.domain.health import Answer, Known, next_check, settle
from orchestrator.domain.pipeline import Pipeline
from orchestrator.domain.pipeline_specs import AskedSpec, EnvironmentSpec, TargetSpec
from orchestrator.domain.plan import given_variables
from orchestrator.domain.variables import expand_settings, merge_variables
from orchestrator.repositories import health as watches
from orchestrator.repositories import waking
from orchestrator.services import execution, pipelines, work

LEASE_SECONDS = 20.0
"""How long until a target is asked again whose answer did not come; longer than any probe."""
MOST_DETAIL = 300


class Asks(Protocol):
    """What a target is asked by: a check, or a script that runs on it."""

    def probe(self, timeout_seconds: float) -> Probe:
        """Ask once. Never raises because of what is asked."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One target to ask, by `check`; or, where none can be made for it, why."""

    target_id: int
    asked_at: datetime
    check: Asks | None
    refusal: str = ""


def take(session: Session, deployment_id: int, *, limit: int) -> list[Question]:
    """Targets that are to be asked now, each given to one caller only; none where nothing is due.

    Raises PlanOfAnotherVersionError for a pipeline that this version of the code cannot read.
    """
    about = watches.find(session, deployment_id)
    if about is None:
        return []
    pipeline, environment, spec = _how(session, about)
    watch = watches.lock(session, deployment_id)
    if watch is None:
        return []
    if watch.targets is None:
        watches.begin(session, deployment_id, [target.name for target in environment.targets])
    taken = watches.take_targets(session, deployment_id, limit=limit, lease_seconds=LEASE_SECONDS)
    wanted = {row.name for row in taken}
    targets = {target.name: target for target in environment.targets if target.name in wanted}
    shared = pipeline.shared_variables(environment)
    return [question(row, about, spec, shared, targets[row.name]) for row in taken]


def _how(session: Session, about: Row[Any]) -> tuple[Pipeline, EnvironmentSpec, AskedSpec]:
    """How the pipeline has it asked."""
    try:
        pipeline = pipelines.of_revision(session, about, int(about.health["revision"]))
    except OrchestratorError as error:
        raise PlanOfAnotherVersionError(f"the pipeline cannot be read: {error.message}") from error
    environment = pipeline.find_environment(about.environment)
    if environment is None or environment.health is None:
        raise PlanOfAnotherVersionError(f"the pipeline does not say how {about.environment} is asked")
    return pipeline, environment, environment.health


def variables_of(about: Row[Any], shared: Mapping[str, str], target: TargetSpec) -> dict[str, str]:
    """What is known where a target is asked: as its steps knew it, but for what belongs to a wave."""
    return given_variables(
        merge_variables(shared, target.variables),
        application=about.application,
        version=about.version,
        environment=about.environment,
        strategy=about.strategy,
        target=target.name,
        kind=target.kind,
        labels=target.labels,
        wave_index=None,
        deployment_id=about.deployment_id,
        release_id=about.release_id,
        artifact=about.artifact,
        artifact_sha256=about.artifact_sha256,
        requested_by=about.requested_by_name,
        rolls_back_id=about.rolls_back_id,
        previous_version=about.previous_version,
    )


def question(
    row: Row[Any], about: Row[Any], spec: AskedSpec, shared: Mapping[str, str], target: TargetSpec
) -> Question:
    """What to ask a target of the release that `about` tells of."""
    variables = variables_of(about, shared, target)
    try:
        check = work.make_check(spec.check, expand_settings(spec.settings, variables))
    except (SettingsRefusedError, ValueError) as error:
        refusal = f"it cannot be asked: {error}"
        return Question(target_id=row.target_id, asked_at=row.asked_at, check=None, refusal=refusal)
    return Question(target_id=row.target_id, asked_at=row.asked_at, check=check)


def record(session: Session, deployment_id: int, answers: Mapping[int, tuple[datetime, Probe]]) -> None:
    """Write what targets answered, by their ids, each with when it was taken; wakes whoever waits for what that changes.

    Does nothing where the watch is over. An answer after somebody else asked again counts only if it is a no.
    """
    watch = watches.lock(session, deployment_id)
    about = watches.find(session, deployment_id) if watch is not None else None
    if watch is None or about is None:
        return
    every = timedelta(seconds=about.health["every_seconds"])
    counts_from, because, states = watch.counts_from, watch.because, []
    for target_id, row in watches.targets(session, deployment_id, list(answers)).items():
        asked_at, probe = answers[target_id]
        if probe.ok and row.asked_at != asked_at:
            continue
        answer = Answer(probe.ok, probe.detail[:MOST_DETAIL], asked_at, watch.now)
        what = f"{row.name} in {about.environment}"
        known, why = settle(Known(row.counts_from, row.checked_at), answer, what=what, every=every)
        if known.counts_from > counts_from:
            counts_from, because = known.counts_from, why
        states.append((target_id, answer, known))
    together = watches.put(
        session,
        deployment_id,
        [
            _state(
                target_id,
                answer,
                known,
                next_check(answer.asked_at, counts_from, every=every, soaks=watch.soaks),
            )
            for target_id, answer, known in states
        ],
    )
    _settle_watch(session, watch, together, because=because)


def _state(target_id: int, answer: Answer, known: Known, due_at: datetime) -> dict[str, Any]:
    return {
        "target_id": target_id,
        "healthy": answer.ok,
        "detail": answer.detail,
        "counts_from": known.counts_from,
        "checked_at": known.checked_at,
        "due_at": due_at,
    }


def _settle_watch(session: Session, watch: Row[Any], together: Row[Any], *, because: str) -> None:
    """Write what all targets together mean, and tell those to whom it means something."""
    before, now = watch.checked_at - watch.counts_from, together.checked_at - together.counts_from
    failing = together.failing > 0
    values = {
        "counts_from": together.counts_from,
        "checked_at": together.checked_at,
        "because": because,
        "failing": together.failing,
        "due_at": None if now >= timedelta(seconds=max(watch.soaks)) else together.due_at,
    }
    watches.write(session, watch.deployment_id, values)
    changed = failing != (watch.failing > 0)
    if changed:
        data = {"why": because} if failing else {"after": because}
        _note(session, watch, "health.failed" if failing else "health.recovered", data)
    counts_anew = together.counts_from > watch.counts_from and not failing
    soaked = any(before < timedelta(seconds=soak) <= now for soak in watch.soaks)
    if changed or counts_anew or soaked:
        _wake(session, watch)


def _note(session: Session, watch: Row[Any], kind: str, data: dict[str, Any]) -> None:
    held = execution.lock(session, watch.deployment_id)
    if held is None:
        raise RuntimeError(f"deployment {watch.deployment_id} vanished")
    whole = {"environment": watch.environment, **data}
    held.recorder.record(kind, actor_id=None, at=watch.now, data=whole)
    execution.flush(session, held)


def _wake(session: Session, watch: Row[Any]) -> None:
    """Those that wait for the soak look again: it is over, or it lasts longer."""
    for deployment_id in waking.wake_soaking(session, watch.release_id, watch.environment):
        text = f"deployment {deployment_id}, after a health check of {watch.environment}"
        execution.nudge_advance(session, deployment_id, text)
