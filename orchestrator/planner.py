"""Making a plan of a pipeline: pure, and in time that grows with the number of steps."""

from collections.abc import Callable, Collection, Sequence

from orchestrator.domain.errors import RuleViolationError
from orchestrator.domain.pipeline import RUN, ActionSpec, EnvironmentSpec, Pipeline, TargetSpec
from orchestrator.domain.plan import Plan, PlannedAction, PlannedTarget, lay_out_waves
from orchestrator.domain.variables import GIVEN_NAMES, label_variable, references
from orchestrator.strategies.base import Candidate, Strategy


def build_plan(
    pipeline: Pipeline,
    *,
    environment: str,
    application: str,
    version: str,
    strategies: Callable[[str], type[Strategy]],
    only_targets: Sequence[str] | None = None,
    going_back: bool = False,
) -> Plan:
    """Fix what deploying `version` to `environment` will do; `only_targets` leaves out the others and gives the order.

    `strategies` gives the class of a kind (`plugins.strategy`). Raises RuleViolationError when the pipeline
    has no such environment, no target remains, or a check refers to a variable that is not defined.
    """
    if application != pipeline.application:
        raise RuleViolationError(f"this is the pipeline of {pipeline.application}, not of {application}")
    spec = pipeline.find_environment(environment)
    if spec is None:
        known = ", ".join(each.name for each in pipeline.environments)
        raise RuleViolationError(
            f"the pipeline of {application} has no environment {environment}; it has {known}"
        )
    targets = _chosen(spec, only_targets)
    variables = pipeline.shared_variables(spec)
    _require_defined(pipeline.deploy, targets, known=GIVEN_NAMES | variables.keys())
    strategy = strategies(spec.strategy.kind).from_settings(spec.strategy.settings)
    candidates = [Candidate(target.name, target.labels) for target in targets]
    batches = strategy.batches(candidates, going_back=going_back)
    by_name = {target.name: target for target in targets}
    return Plan(
        application=application,
        version=version,
        environment=environment,
        strategy=spec.strategy.kind,
        max_failures=strategy.max_failures(len(targets)),
        max_batch_failures=strategy.max_batch_failures,
        max_parallel=strategy.max_parallel,
        on_failure=spec.on_failure,
        answer_seconds=spec.answer_seconds,
        unanswered=spec.unanswered,
        variables=variables,
        secrets=pipeline.shared_secrets(spec),
        actions=tuple(_planned_action(action) for action in pipeline.deploy),
        targets=tuple(_planned_target(by_name[name]) for batch in batches for name in batch.targets),
        waves=lay_out_waves(
            tuple(batch.targets for batch in batches),
            action_count=len(pipeline.deploy),
            waits=tuple(batch.wait_seconds for batch in batches),
        ),
    )


def _chosen(environment: EnvironmentSpec, only: Sequence[str] | None) -> tuple[TargetSpec, ...]:
    if only is None:
        return environment.targets
    by_name = {target.name: target for target in environment.targets}
    chosen = tuple(by_name[name] for name in only if name in by_name)
    if not chosen:
        raise RuleViolationError(
            f"none of the targets this is about is in {environment.name} any more: nothing to deploy"
        )
    return chosen


def _require_defined(
    actions: Sequence[ActionSpec], targets: Sequence[TargetSpec], *, known: Collection[str]
) -> None:
    for action in actions:
        if action.kind == RUN:
            continue
        try:
            needed = references(action.settings).difference(known, action.variables)
        except ValueError as error:
            raise RuleViolationError(f"{action.title}: {error}") from error
        for target in targets if needed else ():
            missing = needed.difference(target.variables, map(label_variable, target.labels))
            if missing:
                raise RuleViolationError(
                    f"{action.title} uses ${min(missing)}, which is not defined for target {target.name}"
                )


def _planned_action(action: ActionSpec) -> PlannedAction:
    return PlannedAction(
        kind=action.kind,
        title=action.title,
        settings=action.settings,
        check=action.check,
        timeout_seconds=action.timeout_seconds,
        grace_seconds=action.grace_seconds,
        retries=action.retries,
        idempotent=action.idempotent,
        variables=action.variables,
    )


def _planned_target(target: TargetSpec) -> PlannedTarget:
    return PlannedTarget(
        name=target.name,
        kind=target.kind,
        settings=target.settings,
        labels=target.labels,
        variables=target.variables,
    )
