"""Requesting a deployment: the plan is made and fixed, the row is written, the worker is nudged after the commit."""

from dataclasses import dataclass

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock, plugins
from orchestrator.domain.errors import RuleViolationError
from orchestrator.domain.pipeline import Pipeline
from orchestrator.domain.plan import Plan, plan_hash, to_document
from orchestrator.planner import build_plan
from orchestrator.queue import Message, TaskName, send_after_commit
from orchestrator.repositories import applications, deployments, engine, releases
from orchestrator.services import pipelines
from orchestrator.services.records import DeploymentRecorder

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
    only_targets: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Requested:
    """The deployment that was written."""

    id: int
    application: str
    version: str
    environment: str


def create(session: Session, order: Order) -> Requested:
    """Write a pending deployment with its plan.

    Raises NotFoundError for an unknown application or version, RuleViolationError for an environment that is not in the
    pipeline, a withdrawn release or an application without a pipeline.
    """
    application = applications.get(session, order.application)
    release = _release(session, order)
    if release.status != "available":
        raise RuleViolationError(
            f"{release.name} {release.version} is {release.status} and cannot be deployed"
        )
    pipeline = pipelines.current(application)
    plan = build_plan(
        pipeline,
        environment=order.environment,
        application=release.name,
        version=release.version,
        only_targets=order.only_targets,
        strategies=plugins.strategy,
    )
    new = _columns(order, application.id, release.id, plan, pipeline)
    deployment_id = deployments.insert(session, new)
    _write_plan(session, deployment_id, new, plan)
    _record(session, deployment_id, order, release.version, new.plan_hash)
    return Requested(deployment_id, release.name, release.version, order.environment)


def nudge(session: Session, made: Requested) -> None:
    """Send `advance` after the commit."""
    text = f"{made.application} {made.version} -> {made.environment}"
    send_after_commit(session, Message(TaskName.ADVANCE, made.id, text))


def _release(session: Session, order: Order) -> Row[tuple[object, ...]]:
    if order.release_id is not None:
        return releases.get(session, order.release_id)
    return releases.get_version(session, order.application, order.version or "")


def _columns(
    order: Order, application_id: int, release_id: int, plan: Plan, pipeline: Pipeline
) -> deployments.NewDeployment:
    environment = pipeline.find_environment(order.environment)
    return deployments.NewDeployment(
        application_id=application_id,
        release_id=release_id,
        environment=order.environment,
        reason=order.reason,
        requested_by=order.requested_by,
        rolls_back_id=order.rolls_back_id,
        retry_of_id=order.retry_of_id,
        priority=order.priority,
        strategy=plan.strategy,
        plan_hash=plan_hash(plan),
        max_failures=plan.max_failures,
        max_parallel=plan.max_parallel,
        on_failure=plan.on_failure,
        promote_after=list(environment.after) if environment else [],
        wave_count=len(plan.waves),
        step_count=sum(len(wave.steps) for wave in plan.waves),
        first_wake_seconds=FIRST_WAKE_SECONDS,
    )


def _write_plan(session: Session, deployment_id: int, new: deployments.NewDeployment, plan: Plan) -> None:
    """Targets go with their steps and waves into their own rows; what all steps share stays one document."""
    document = to_document(plan)
    targets = {target["name"]: target for target in document.pop("targets")}
    deployments.insert_plan(
        session,
        deployment_id,
        new,
        document=document,
        waves=[
            {"index": w.index, "batch": w.batch, "action_index": w.action_index, "total": len(w.steps)}
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
    )


def _record(session: Session, deployment_id: int, order: Order, version: str, digest: str) -> None:
    recorder = DeploymentRecorder(session, deployment_id, seq=0, head=b"")
    data = {
        "version": version,
        "environment": order.environment,
        "reason": order.reason,
        "plan_hash": digest,
        "rolls_back": order.rolls_back_id,
        "retry_of": order.retry_of_id,
    }
    recorder.record("deployment.requested", actor_id=order.requested_by, at=clock.now(), data=data)
    engine.update(session, deployment_id, **recorder.columns)
