"""Requesting a deployment: the plan is made and fixed, the row is written, the worker is nudged after the commit."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock, plugins, tracing
from orchestrator.domain.errors import ConflictError, NotFoundError, RuleViolationError
from orchestrator.domain.pipeline import Pipeline
from orchestrator.domain.pipeline_specs import FIFO, FILES, REJECT, EnvironmentSpec
from orchestrator.domain.plan import Plan, plan_hash, to_document
from orchestrator.domain.statuses import DeploymentStatus
from orchestrator.domain.windows import WhenClosed
from orchestrator.planner import build_plan
from orchestrator.queue import Message, send_after_commit
from orchestrator.repositories import deployments, health
from orchestrator.repositories import requests as rows
from orchestrator.services import pipelines
from orchestrator.services.records import DeploymentRecorder
from orchestrator.tasks import TaskName

FARTHEST = timedelta(days=366)
FIRST_WAKE_SECONDS = 2.0
"""When the tick looks at a new deployment whose message did not arrive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody asks for."""

    application: str
    environment: str
    version: str | None = None
    release_id: int | None = None
    reason: str = ""
    requested_by: int | None = None
    rolls_back_id: int | None = None
    retry_of_id: int | None = None
    priority: int = 0
    scheduled_for: datetime | None = None
    expires_at: datetime | None = None
    allow_downgrade: bool = False
    override_windows: bool = False
    only_targets: tuple[str, ...] | None = None
    """Which targets, in this order."""
    not_undone: tuple[str, ...] = ()
    """Of a rollback: `undo` scripts of the other deployment that are not run, by their titles."""
    replaces_id: int | None = None
    """A deployment that has not started and whose place it takes, whatever the queue's policy."""
    replans: bool = False
    """It is the same as one that ends in this transaction, with another plan, and comes before all that wait."""


@dataclass(frozen=True, slots=True)
class Requested:
    """The deployment that was written."""

    id: int
    application: str
    version: str
    environment: str
    supersedes: tuple[int, ...]
    """Deployments whose place in the queue it takes; the caller ends them."""
    left_out: tuple[str, ...]
    """Targets that it was to go to, and that the pipeline does not have any more."""
    row: Row[Any] = field(repr=False)
    """As its readers see it before the caller has done so."""


def create(session: Session, order: Order) -> Requested:
    """Write a pending deployment with its plan; nothing is written where this raises.

    Raises NotFoundError for an unknown application or version, RuleViolationError for an environment that is not in the
    pipeline, a withdrawn release, an older one than what runs, a time that is over or an application without a pipeline,
    ConflictError where the queue takes no more.
    """
    _check_times(order)
    about = _subject(session, order)
    pipeline = pipelines.current(about)
    _require_file(about, pipeline)
    environment = pipeline.find_environment(order.environment)
    plan = build_plan(
        pipeline,
        environment=order.environment,
        application=about.name,
        version=about.version,
        only_targets=order.only_targets,
        going_back=order.rolls_back_id is not None,
        strategies=plugins.strategy,
        live=_live_side(session, order, about.id, environment),
        down=_down(session, about.id, environment),
        idle=_idle(session, about.id, environment),
    )
    document = to_document(plan)
    digest = plan_hash(document)
    supersedes = _make_room(session, order, about, environment)
    there = {target.name for target in plan.targets}
    left_out = tuple(name for name in order.only_targets or () if name not in there)
    recorder = _record(about.new_id, order, about.version, digest, left_out=left_out)
    columns = _columns(order, about, plan, pipeline, digest)
    row = _write(session, columns, plan=plan, document=document, recorder=recorder)
    return Requested(about.new_id, about.name, about.version, order.environment, supersedes, left_out, row)


def _live_side(
    session: Session, order: Order, application_id: int, environment: EnvironmentSpec | None
) -> str:
    """Asked only where the strategy knows sides."""
    if environment is None or environment.strategy.kind not in pipelines.known_plugins().switching:
        return ""
    is_next = order.replans or order.rolls_back_id is not None
    return deployments.live_side(session, application_id, environment.name, is_next=is_next)


def _down(session: Session, application_id: int, environment: EnvironmentSpec | None) -> set[str]:
    """Asked only where the strategy counts them."""
    if environment is None or "max_unavailable" not in environment.strategy.settings:
        return set()
    return health.down(session, application_id, environment.name)


def _idle(session: Session, application_id: int, environment: EnvironmentSpec | None) -> set[str]:
    """Asked only where traffic is moved."""
    if environment is None or environment.traffic is None:
        return set()
    return deployments.idle_targets(session, application_id, environment.name)


def _make_room(
    session: Session, order: Order, about: Row[Any], environment: EnvironmentSpec | None
) -> tuple[int, ...]:
    """Those that the queue's policy ends for this one, which may also say no. Rollbacks leave the others alone."""
    if environment is None or environment.queue == FIFO or order.replans or order.rolls_back_id is not None:
        return () if order.replaces_id is None else (order.replaces_id,)
    queued = rows.queued_before(session, about.new_id, application_id=about.id, environment=order.environment)
    before = [row for row in queued if row.id != order.replaces_id]
    if environment.queue == REJECT and before:
        raise ConflictError(
            f"deployment {before[0].id} of {about.name} in {order.environment} goes on, and the queue there takes no other"
        )
    return tuple(row.id for row in queued if row.status == DeploymentStatus.PENDING)


def _check_times(order: Order) -> None:
    now, begins, expires = clock.now(), order.scheduled_for, order.expires_at
    if begins is not None and not now < begins <= now + FARTHEST:
        raise RuleViolationError("`scheduled_for` must lie in the future, within a year")
    if expires is not None and not (begins or now) < expires <= now + 2 * FARTHEST:
        raise RuleViolationError("`expires_at` must lie after the start, and in the future")


def nudge(session: Session, made: Requested) -> None:
    """Send `advance` after the commit."""
    text = f"{made.application} {made.version} -> {made.environment}"
    send_after_commit(session, Message(TaskName.ADVANCE, made.id, text))


def _subject(session: Session, order: Order) -> Row[Any]:
    about = rows.subject(
        session,
        order.application,
        version=order.version,
        release_id=order.release_id,
        environment=order.environment,
    )
    if about is None:
        raise NotFoundError(
            f"there is no application {order.application!r}; `releasectl apply -f` records one"
        )
    if about.release_id is None:
        raise NotFoundError(
            f"there is no release {order.version!r} of {order.application!r}; `releasectl release create` records one"
        )
    if about.release_status != "available":
        raise RuleViolationError(
            f"{about.name} {about.version} is {about.release_status} and cannot be deployed"
        )
    if about.newer_version is not None and not (order.allow_downgrade or order.rolls_back_id):
        raise RuleViolationError(
            f"{about.name} {about.newer_version} runs in {order.environment}, and {about.version} is older:"
            " roll back, or allow the downgrade (--allow-downgrade)"
        )
    return about


def _require_file(about: Row[Any], pipeline: Pipeline) -> None:
    """A release without a checksum is no file that anybody could bring."""
    if not about.artifact_sha256 and any(action.kind == FILES for action in pipeline.deploy):
        raise RuleViolationError(
            f"{about.name} {about.version} has no artifact with a checksum, and the pipeline brings `files`:"
            " record a release with --artifact URL --sha256 HEX"
        )


def _columns(order: Order, about: Row[Any], plan: Plan, pipeline: Pipeline, digest: str) -> dict[str, Any]:
    environment = pipeline.find_environment(order.environment)
    return {
        "id": about.new_id,
        "application_id": about.id,
        "release_id": about.release_id,
        "environment": order.environment,
        "reason": order.reason,
        "requested_by": order.requested_by,
        "rolls_back_id": order.rolls_back_id,
        "retry_of_id": order.retry_of_id,
        "priority": order.priority,
        "approval_rules": _approval_rules(order, environment),
        "override_windows": order.override_windows,
        "scheduled_for": order.scheduled_for,
        "expires_at": order.expires_at,
        "strategy": plan.strategy,
        "plan_hash": digest,
        "max_failures": plan.max_failures,
        "max_batch_failures": plan.max_batch_failures,
        "max_parallel": plan.max_parallel,
        "on_failure": plan.on_failure,
        "answer_seconds": plan.answer_seconds,
        "unanswered": plan.unanswered,
        "undoes": plan.undoes,
        "side": plan.side or None,
        "promote_after": list(environment.after) if environment else [],
        **_by_itself(order, environment, pipeline),
        "health": _health(environment, pipeline, about.pipeline_revision),
        "wave_count": len(plan.waves),
        "step_count": plan.step_count,
        "traceparent": tracing.current(),
        "first_wake_seconds": FIRST_WAKE_SECONDS,
    }


def _by_itself(order: Order, environment: EnvironmentSpec | None, pipeline: Pipeline) -> dict[str, Any]:
    """What happens to it, and after it, without anybody. A rollback goes through, and goes nowhere else."""
    if environment is None or order.rolls_back_id is not None:
        return {"soak_seconds": 0, "promotes": False, "when_closed": WhenClosed.FINISH, "jitter_seconds": 0}
    return {
        "soak_seconds": environment.soak_seconds,
        "promotes": bool(pipeline.promotes(environment.name)),
        "when_closed": str(_when_closed(environment, pipeline)),
        "jitter_seconds": environment.jitter_seconds,
    }


def _when_closed(environment: EnvironmentSpec, pipeline: Pipeline) -> WhenClosed:
    """Nobody goes back by themselves behind what is irreversible."""
    irreversible = any(action.irreversible for action in pipeline.deploy)
    if irreversible and environment.when_closed is WhenClosed.ROLLBACK:
        return WhenClosed.PAUSE
    return environment.when_closed


def _health(environment: EnvironmentSpec | None, pipeline: Pipeline, revision: int) -> str | None:
    """How the environment is asked for its health after the success, of a rollback too."""
    if environment is None or environment.health is None:
        return None
    soaks = pipeline.soaks_after(environment.name)
    found = {"revision": revision, "every_seconds": environment.health.every_seconds, "soaks": soaks}
    return orjson.dumps(found).decode()


def _approval_rules(order: Order, environment: EnvironmentSpec | None) -> str | None:
    """A rollback needs none: it goes back to what was approved before."""
    if order.rolls_back_id is not None or environment is None or not environment.approvals:
        return None
    return orjson.dumps([rule.document() for rule in environment.approvals]).decode()


def _write(
    session: Session,
    columns: dict[str, Any],
    *,
    plan: Plan,
    document: dict[str, Any],
    recorder: DeploymentRecorder,
) -> Row[Any]:
    """Targets go with their steps and waves into their own rows; what all steps share stays one document."""
    targets = {target["name"]: target for target in document["targets"]}
    shared = {name: value for name, value in document.items() if name not in {"targets", "waves"}}
    events, head = recorder.take()
    return rows.insert(
        session,
        rows.NewDeployment(**columns, **head),
        document=shared,
        waves=[
            {
                "index": w.index,
                "batch": w.batch,
                "action_index": w.action_index,
                "total": len(w.steps),
                "wait_seconds": w.wait_seconds,
                "asks": w.asks,
                "sliding": w.sliding,
            }
            for w in plan.waves
        ],
        steps=[
            {
                "wave_index": w.index,
                "position": s.position,
                "action_index": s.action_index,
                "target": s.target,
            }
            for w in plan.waves
            for s in w.steps
        ],
        targets=targets,
        events=events,
    )


def _record(
    deployment_id: int, order: Order, version: str, digest: str, *, left_out: tuple[str, ...]
) -> DeploymentRecorder:
    recorder = DeploymentRecorder(deployment_id, seq=0, head=b"")
    data = {
        "version": version,
        "environment": order.environment,
        "reason": order.reason,
        "plan_hash": digest,
        "rolls_back": order.rolls_back_id,
        **({"override_windows": True} if order.override_windows else {}),
        "retry_of": order.retry_of_id,
        **({"not_undone": list(order.not_undone)} if order.not_undone else {}),
        **({"left_out": list(left_out)} if left_out else {}),
    }
    recorder.record("deployment.requested", actor_id=order.requested_by, at=clock.now(), data=data)
    return recorder
