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
from orchestrator.domain.pipeline_specs import TRAFFIC
from orchestrator.domain.plan import Plan, PlannedAction, environment_variables
from orchestrator.domain.plan_reading import from_document, says_waves
from orchestrator.domain.undoing import CHANGING
from orchestrator.domain.variables import expand, expand_settings
from orchestrator.services.pipelines import ENGINE_SETTINGS
from orchestrator.targets import files
from orchestrator.targets.base import Command
from orchestrator.traffic.base import OF_THE_ENGINE
from orchestrator.traffic.shift import Shift


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
    shift: Shift | None
    """What it wants of a proxy. A step is one of a run, a check and a shift."""
    timeout_seconds: float
    interval_seconds: float
    installs: bool
    """Whether the target has the release after its success; not by looking, by traffic that is moved or by what puts back."""
    max_skipped: int | None
    """How many targets that cannot be reached may be skipped; None: a person is asked about each."""
    traceparent: str | None
    """The trace that the deployment belongs to."""

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
    asks = action.kind in (VERIFY, TRAFFIC)
    asking = expand_settings(action.settings, variables) if asks else {}
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
        check=make_check(action.check, asking) if action.kind == VERIFY else None,
        shift=_make_shift(action.check, asking) if action.kind == TRAFFIC else None,
        timeout_seconds=parse_duration(asking["within"]) if asks else action.timeout_seconds,
        interval_seconds=parse_duration(asking["interval"]) if asks else 0.0,
        installs=action.kind in CHANGING and deployment.undo_from is None,
        max_skipped=plan.max_skipped,
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


def _make_shift(kind: str, settings: Mapping[str, Any]) -> Shift:
    own = {name: value for name, value in settings.items() if name not in OF_THE_ENGINE}
    return Shift.from_settings(plugins.proxy_kind(kind).from_settings(own), settings)


def _plan(found: Row[Any]) -> Plan:
    """The plan as if it were for this one target: the others, of which there may be ten thousand, were not read."""
    document = {**found.document, "targets": [found.target]}
    if says_waves(document):
        return _of(document | {"waves": []}, found.action_index)
    document["batch_sizes"] = [1]
    if "waits" in document:
        document["waits"] = [0]
    return _of(document, found.action_index)


def _of(document: Mapping[str, Any], action_index: int) -> Plan:
    plan = from_document(document)
    if not 0 <= action_index < len(plan.actions):
        raise PlanUnreadableError(f"the plan has no action {action_index}")
    return plan
