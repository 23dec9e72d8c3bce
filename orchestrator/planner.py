"""Making a plan of a pipeline: pure, and in time that grows with the number of steps."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from orchestrator.domain.errors import RuleViolationError
from orchestrator.domain.moves import Batch, Move, lay_out_moves
from orchestrator.domain.pipeline import (
    FAIL,
    ROLLBACK,
    RUN,
    VERIFY,
    ActionSpec,
    EnvironmentSpec,
    Pipeline,
    TargetSpec,
    TrafficSpec,
)
from orchestrator.domain.pipeline_failures import LONGEST_ANSWER_SECONDS
from orchestrator.domain.pipeline_specs import PAUSE
from orchestrator.domain.plan import Plan, PlannedAction, PlannedTarget
from orchestrator.domain.reading import shortened
from orchestrator.domain.traffic_actions import shift_actions
from orchestrator.domain.variables import GIVEN_NAMES, expand, label_variable, references
from orchestrator.strategies.base import Candidate, LeavesOut, MovesTraffic, Strategy, Surroundings


def build_plan(
    pipeline: Pipeline,
    *,
    environment: str,
    application: str,
    version: str,
    strategies: Callable[[str], type[Strategy]],
    only_targets: Sequence[str] | None = None,
    going_back: bool = False,
    live: str = "",
    down: Collection[str] = (),
    idle: Collection[str] = (),
) -> Plan:
    """Fix what deploying `version` to `environment` will do; `only_targets` leaves out the others and gives the order.

    `strategies` gives the class of a kind (`plugins.strategy`), `live` is the side that has the traffic, `down` are the
    targets whose last health check failed, `idle` those that get no requests.
    Raises RuleViolationError when the pipeline has no such environment, no target remains, or a check refers to a
    variable that is not defined.
    """
    if application != pipeline.application:
        raise RuleViolationError(f"this is the pipeline of {pipeline.application}, not of {application}")
    spec = pipeline.find_environment(environment)
    if spec is None:
        known = ", ".join(each.name for each in pipeline.environments)
        raise RuleViolationError(
            f"the pipeline of {application} has no environment {environment}; it has {known}"
        )
    strategy = strategies(spec.strategy.kind).from_settings(spec.strategy.settings)
    weight = spec.traffic.weight if spec.traffic else None
    around = Surroundings(full_weight=weight, live=live, going_back=going_back)
    # Looked for by name: `isinstance` with a protocol takes 40 microseconds.
    mover = cast(MovesTraffic, strategy) if hasattr(strategy, "moves") else None
    leaver = cast(LeavesOut, strategy) if hasattr(strategy, "max_skipped") else None
    has_sides = mover is not None and mover.needs_traffic
    targets = _chosen(spec, None if has_sides else only_targets)
    variables = pipeline.shared_variables(spec)
    _require_defined(pipeline.deploy, targets, known=GIVEN_NAMES | variables.keys())
    candidates = [
        Candidate(target.name, target.labels, target.name in down, target.name in idle) for target in targets
    ]
    moves = mover.moves(candidates, around) if mover else strategy.batches(candidates, going_back=going_back)
    by_name = {target.name: target for target in targets}
    servers = _servers(spec, targets, variables)
    own, undos = _planned_actions(pipeline.deploy)
    actions, waves = lay_out_moves(
        moves,
        actions=own,
        undos=undos,
        verifying=[n for n, each in enumerate(pipeline.deploy) if each.kind == VERIFY or each.verifies],
        shift_actions=lambda shift: shift_actions(shift, _required(spec), servers),
    )
    return Plan(
        application=application,
        version=version,
        environment=environment,
        strategy=spec.strategy.kind,
        max_failures=strategy.max_failures(len(targets)),
        max_batch_failures=strategy.max_batch_failures,
        max_parallel=_side_by_side(strategy, moves),
        max_skipped=leaver.max_skipped(len(targets)) if leaver else None,
        **_when_it_fails(spec, irreversible=any(action.irreversible for action in pipeline.deploy)),
        side=mover.switches_to(candidates, around) if mover else "",
        variables=variables,
        secrets=pipeline.shared_secrets(spec),
        actions=actions,
        targets=tuple(_planned_target(by_name[name]) for name in _in_order(moves)),
        waves=waves,
    )


def _when_it_fails(spec: EnvironmentSpec, *, irreversible: bool) -> dict[str, Any]:
    """As the environment says; but nobody goes back behind what is irreversible without being told to."""
    if irreversible and spec.on_failure == ROLLBACK:
        return {"on_failure": PAUSE, "answer_seconds": LONGEST_ANSWER_SECONDS, "unanswered": FAIL}
    unanswered = FAIL if irreversible else spec.unanswered
    return {"on_failure": spec.on_failure, "answer_seconds": spec.answer_seconds, "unanswered": unanswered}


def _side_by_side(strategy: Strategy, moves: Sequence[Move]) -> int:
    """As many as the strategy says, and of what slides no more targets than may be under way."""
    batches = [move for move in moves if isinstance(move, Batch)]
    return min([strategy.max_parallel, *(each.at_a_time for each in batches if each.at_a_time is not None)])


def _in_order(moves: Sequence[Move]) -> list[str]:
    """Each target once: those that get the release as they do, and behind them those whose traffic alone is moved."""
    batches = [name for move in moves if isinstance(move, Batch) for name in move.targets]
    return list(dict.fromkeys([*batches, *(name for move in moves for name in move.targets)]))


def _required(spec: EnvironmentSpec) -> TrafficSpec:
    if spec.traffic is None:
        raise RuleViolationError(f"{spec.strategy.kind} moves traffic, and {spec.name} has no `traffic`")
    return spec.traffic


def _servers(
    spec: EnvironmentSpec, targets: Sequence[TargetSpec], shared: Mapping[str, str]
) -> dict[str, str]:
    """What each target is called at the proxy; a dollar sign in it stays one when it is read as a setting."""
    if spec.traffic is None:
        return {}
    found = {}
    for target in targets:
        labels = {label_variable(key): value for key, value in target.labels.items()}
        given = {"TARGET_NAME": target.name, "TARGET_KIND": target.kind}
        known = {**shared, **target.variables, **labels, **given}
        try:
            found[target.name] = expand(spec.traffic.server, known).replace("$", "$$")
        except ValueError as error:
            raise RuleViolationError(f"the server of {target.name} at the proxy: {error}") from error
    return found


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


def _planned_actions(
    specs: Sequence[ActionSpec],
) -> tuple[tuple[PlannedAction, ...], tuple[PlannedAction, ...]]:
    """The pipeline's actions in their order, so that each keeps its number, and those that undo some of them, behind them."""
    own = [_planned_action(action) for action in specs]
    undos: list[PlannedAction] = []
    for index, spec in enumerate(specs):
        if not spec.undo:
            continue
        title, script = shortened(f"undo {spec.title}"), {"script": spec.undo}
        undos.append(replace(own[index], title=title, settings=script, idempotent=True))
        own[index] = replace(own[index], undo=len(own) + len(undos) - 1)
    return tuple(own), tuple(undos)


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
