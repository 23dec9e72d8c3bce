"""What one attempt is to do, read from the plan that was fixed when the deployment was requested."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Row

from orchestrator import plugins
from orchestrator.checks.base import Check
from orchestrator.domain.artifacts import Artifact
from orchestrator.domain.durations import parse_duration
from orchestrator.domain.errors import (
    OrchestratorError,
    PlanOfAnotherVersionError,
    PlanUnreadableError,
    SettingsRefusedError,
)
from orchestrator.domain.pipeline import FILES, RUN, VERIFY
from orchestrator.domain.plan import Plan, PlannedAction, environment_variables
from orchestrator.domain.plan_reading import from_document
from orchestrator.domain.variables import expand, expand_settings
from orchestrator.services.pipelines import ENGINE_SETTINGS
from orchestrator.targets import files
from orchestrator.targets.base import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Everything a worker needs to know of a step; it asks the database no more until it writes."""

    deployment_id: int
    application: str
    environment: str
    step_id: int
    wave_index: int
    attempt: int
    target_id: int
    target_name: str
    target_kind: str
    target_settings: Mapping[str, Any]
    action: PlannedAction
    run_name: str
    fence: str
    command: Command
    artifact: Artifact | None
    """What is to be brought before the command is started."""
    secrets: tuple[str, ...]
    """Names of secrets that the worker adds to the command's environment; none for a check."""
    check: Check | None
    timeout_seconds: float
    interval_seconds: float
    traceparent: str | None
    """The trace that the deployment belongs to."""

    @property
    def installs(self) -> bool:
        """Whether its success changes what the target has."""
        return self.action.kind != VERIFY

    @property
    def grace_seconds(self) -> float:
        """From TERM to KILL."""
        return self.action.grace_seconds


@cache
def node_bound_kinds() -> tuple[str, ...]:
    """Kinds of target whose runs live on the worker's own node."""
    return tuple(name for name, kind in plugins.target_kinds().items() if kind.node_bound)


def read(found: Row[Any], deployment: Row[Any]) -> Work:
    """Make the work of an attempt from its rows. Raises PlanUnreadableError, PlanOfAnotherVersionError."""
    try:
        return _read(found, deployment)
    except PlanUnreadableError:
        raise
    except (plugins.UnknownPluginError, plugins.PluginUnusableError) as error:
        raise PlanOfAnotherVersionError(str(error)) from error
    except (OrchestratorError, SettingsRefusedError, LookupError, TypeError, ValueError) as error:
        raise PlanUnreadableError(f"the plan cannot be carried out: {error}") from error


def _read(found: Row[Any], deployment: Row[Any]) -> Work:
    plan = _plan(found)
    action, target = plan.actions[found.action_index], plan.targets[0]
    variables = environment_variables(
        plan,
        target,
        found.action_index,
        deployment_id=found.deployment_id,
        release_id=deployment.release_id,
        artifact=deployment.artifact,
        artifact_sha256=deployment.artifact_sha256,
        wave_index=found.wave_index,
        requested_by=deployment.requested_by_name,
        rolls_back_id=deployment.rolls_back_id,
        previous_version=deployment.previous_version,
    )
    plugins.target_kind(target.kind)
    runs = action.kind != VERIFY
    checking = {} if runs else expand_settings(action.settings, variables)
    artifact = _artifact(deployment, action, variables) if action.kind == FILES else None
    return Work(
        deployment_id=found.deployment_id,
        application=plan.application,
        environment=plan.environment,
        step_id=found.step_id,
        wave_index=found.wave_index,
        attempt=found.number,
        target_id=found.target_id,
        target_name=found.target_name,
        target_kind=target.kind,
        target_settings=target.settings,
        action=action,
        run_name=f"{found.deployment_id}-{found.step_id}-{found.number}",
        fence=fence(plan.application, plan.environment, target.name),
        command=_command(action, variables, artifact),
        artifact=artifact,
        secrets=plan.secrets if action.kind == RUN else (),
        check=None if runs else make_check(action.check, checking),
        timeout_seconds=action.timeout_seconds if runs else parse_duration(checking["within"]),
        interval_seconds=0.0 if runs else parse_duration(checking["interval"]),
        traceparent=deployment.traceparent,
    )


def _artifact(deployment: Row[Any], action: PlannedAction, variables: Mapping[str, str]) -> Artifact:
    directory = expand(action.settings["directory"], variables)
    if not deployment.artifact_sha256:
        raise PlanUnreadableError(f"{deployment.version} has no artifact with a checksum")
    return Artifact(deployment.artifact, deployment.artifact_sha256, deployment.version, directory)


def _command(action: PlannedAction, variables: dict[str, str], artifact: Artifact | None) -> Command:
    if artifact is not None:
        return files.command(artifact, keep=action.settings["keep"])
    return Command(str(action.settings.get("script", "")), variables)


def fence(application: str, environment: str, target: str) -> str:
    """What must never have two writers: a target of a slot."""
    return f"{application}/{environment}/{target}"


def make_check(kind: str, settings: Mapping[str, Any]) -> Check:
    """The check, as a plugin makes it. Raises SettingsRefusedError, UnknownPluginError."""
    own = {name: value for name, value in settings.items() if name not in ENGINE_SETTINGS}
    return plugins.check_kind(kind).from_settings(own)


def _plan(found: Row[Any]) -> Plan:
    """The plan as if it were for this one target: what other targets get is not read."""
    document = {**found.document, "targets": [found.target], "batch_sizes": [1]}
    if "waits" in document:
        document["waits"] = [0]
    plan = from_document(document)
    if not 0 <= found.action_index < len(plan.actions):
        raise PlanUnreadableError(f"the plan has no action {found.action_index}")
    return plan
