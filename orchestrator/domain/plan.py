"""What a deployment will do, fixed when it is requested."""

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.domain.variables import label_variable, merge_variables

FORMAT = 6
"""Grows whenever an older version could misread a document of a newer one."""
WITHOUT_SLIDING = 5
WITHOUT_SKIPS = 4
WITHOUT_WAVES = 3
WITHOUT_WAITS = 2
WITHOUT_SECRETS = 1
"""The formats of plans that have none: as they were before there were any, so their hashes are what they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAction:
    """One action, as in `pipeline_specs.ActionSpec`."""

    kind: str
    title: str
    settings: Mapping[str, Any]
    check: str = ""
    timeout_seconds: int = 600
    grace_seconds: int = 10
    retries: int = 0
    idempotent: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    undo: int | None = None
    """Which action puts back what this one did."""
    only_untouched: bool = False
    """It is undone only on targets on which nothing was run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTarget:
    """One target; `variables` are its own, those of all targets are the plan's."""

    name: str
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One action on one target; `position` counts from 0 in its wave."""

    position: int
    target: str
    action_index: int


@dataclass(frozen=True, slots=True)
class PlannedWave:
    """Steps that run side by side: one action on every target of one batch; both numbers count from 0.

    One that slides has all steps of each target, one target after the other: of a target's, one at a time runs.
    """

    index: int
    batch: int
    action_index: int
    steps: tuple[PlannedStep, ...]
    wait_seconds: int = 0
    """How long after its end the next wave begins."""
    asks: bool = False
    """A person says after that whether the next one begins."""

    @property
    def sliding(self) -> bool:
        """Whether its targets go through several actions, each by itself."""
        return len(self.steps) > 1 and self.steps[0].target == self.steps[1].target

    def chain(self) -> tuple[int, ...]:
        """The actions that each of its targets goes through."""
        first = self.steps[0].target
        own = itertools.takewhile(lambda step: step.target == first, self.steps)
        return tuple(step.action_index for step in own)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a deployment needs of its pipeline, whose later changes change nothing here."""

    application: str
    version: str
    environment: str
    strategy: str
    max_failures: int
    max_batch_failures: int | None = None
    max_parallel: int
    max_skipped: int | None = None
    """How many targets that cannot be reached are skipped before one more fails; None: a person is asked about each."""
    on_failure: str
    answer_seconds: int = 0
    """How long a person is waited for where `on_failure` is `pause`, before `unanswered` is done."""
    unanswered: str = "fail"
    side: str = ""
    """The side that has the traffic after its success; "" where there are no sides."""
    variables: Mapping[str, str]
    secrets: tuple[str, ...] = ()
    """Names only; a worker finds the values."""
    actions: tuple[PlannedAction, ...]
    targets: tuple[PlannedTarget, ...]
    waves: tuple[PlannedWave, ...]

    @property
    def step_count(self) -> int:
        """How many steps all waves have."""
        return sum(len(wave.steps) for wave in self.waves)

    @property
    def undoes(self) -> bool:
        """Whether anything of it is put back when it ends without success."""
        return any(action.undo is not None for action in self.actions)

    @property
    def slides(self) -> bool:
        """Whether targets of it go through their actions each by itself."""
        return any(wave.sliding for wave in self.waves)

    @property
    def is_plain(self) -> bool:
        """Whether it takes each target through every action once, and that is all."""
        count = len(self.actions)
        return (
            not self.undoes
            and self.max_skipped is None
            and all(
                (wave.batch, wave.action_index) == divmod(wave.index, count)
                and not (wave.asks or wave.sliding)
                for wave in self.waves
            )
        )

    def batch_sizes(self) -> tuple[int, ...]:
        """How many targets each batch has; batches follow the order of `targets`."""
        return tuple(len(wave.steps) for wave in self.waves[:: len(self.actions)])

    def waits(self) -> tuple[int, ...]:
        """For how many seconds each batch is left alone before the next one begins."""
        return tuple(wave.wait_seconds for wave in self.waves[len(self.actions) - 1 :: len(self.actions)])


def lay_out_waves(
    batches: tuple[tuple[str, ...], ...], *, action_count: int, waits: tuple[int, ...] = ()
) -> tuple[PlannedWave, ...]:
    """Make one wave of each batch and action: a batch goes through every action before the next begins.

    `waits`: as `Plan.waits`; none where there is nothing.
    """
    return tuple(
        PlannedWave(
            batch_index * action_count + action_index,
            batch_index,
            action_index,
            tuple(PlannedStep(position, target, action_index) for position, target in enumerate(batch)),
            waits[batch_index] if waits and action_index + 1 == action_count else 0,
        )
        for batch_index, batch in enumerate(batches)
        for action_index in range(action_count)
    )


def to_document(plan: Plan) -> dict[str, Any]:
    """Write the plan as a plain structure; the waves of a plain one are kept as the sizes of their batches."""
    plain = plan.is_plain
    with_waits = _with_waits(plan)
    number = WITHOUT_WAVES if with_waits else WITHOUT_WAITS if plan.secrets else WITHOUT_SECRETS
    return {
        "format": number if plain else _format_of_waves(plan),
        "application": plan.application,
        "version": plan.version,
        "environment": plan.environment,
        "strategy": plan.strategy,
        "max_failures": plan.max_failures,
        "max_parallel": plan.max_parallel,
        "on_failure": plan.on_failure,
        "variables": dict(plan.variables),
        **({"secrets": list(plan.secrets)} if plan.secrets or with_waits or not plain else {}),
        "actions": [_action_document(action, plain=plain) for action in plan.actions],
        "targets": [
            {
                "name": target.name,
                "kind": target.kind,
                "settings": dict(target.settings),
                "labels": dict(target.labels),
                "variables": dict(target.variables),
            }
            for target in plan.targets
        ],
        **(
            {"batch_sizes": list(plan.batch_sizes()), **({"waits": list(plan.waits())} if with_waits else {})}
            if plain
            else {"waves": _wave_documents(plan), "side": plan.side}
        ),
        **(_limits(plan) if with_waits or not plain else {}),
        **({} if plan.max_skipped is None and not plan.slides else {"max_skipped": plan.max_skipped}),
    }


def _format_of_waves(plan: Plan) -> int:
    if plan.slides:
        return FORMAT
    return WITHOUT_SKIPS if plan.max_skipped is None else WITHOUT_SLIDING


def _action_document(action: PlannedAction, *, plain: bool) -> dict[str, Any]:
    document = {
        "kind": action.kind,
        "title": action.title,
        "settings": dict(action.settings),
        "check": action.check,
        "timeout_seconds": action.timeout_seconds,
        "grace_seconds": action.grace_seconds,
        "retries": action.retries,
        "idempotent": action.idempotent,
        "variables": dict(action.variables),
    }
    if plain:
        return document
    return {**document, "undo": action.undo, "only_untouched": action.only_untouched}


def _wave_documents(plan: Plan) -> list[list[Any]]:
    """Batch, action, first target, number of targets, wait and whether a person is asked: targets of a wave stand together.

    In a plan that slides each wave has a list of actions.
    """
    places = {target.name: place for place, target in enumerate(plan.targets)}
    slides = plan.slides
    return [
        [
            wave.batch,
            list(wave.chain()) if slides else wave.action_index,
            places[wave.steps[0].target],
            len(wave.steps) // len(wave.chain()),
            wave.wait_seconds,
            wave.asks,
        ]
        for wave in plan.waves
    ]


def _with_waits(plan: Plan) -> bool:
    return any(plan.waits()) or plan.max_batch_failures is not None or plan.on_failure == "pause"


def _limits(plan: Plan) -> dict[str, Any]:
    return {
        "max_batch_failures": plan.max_batch_failures,
        "answer_seconds": plan.answer_seconds,
        "unanswered": plan.unanswered,
    }


def plan_hash(document: Mapping[str, Any]) -> str:
    """Name what the plan of this document does: the same whenever and for whichever deployment it is made."""
    canonical = json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def environment_variables(
    plan: Plan,
    target: PlannedTarget,
    action_index: int,
    *,
    wave_index: int,
    **about: Any,
) -> dict[str, str]:
    """Give what a step finds in its environment; `about` is as for `given_variables`."""
    own = merge_variables(plan.variables, target.variables, plan.actions[action_index].variables)
    return given_variables(
        own,
        application=plan.application,
        version=plan.version,
        environment=plan.environment,
        strategy=plan.strategy,
        target=target.name,
        kind=target.kind,
        labels=target.labels,
        wave_index=wave_index,
        **about,
    )


def given_variables(
    own: Mapping[str, str],
    *,
    application: str,
    version: str,
    environment: str,
    strategy: str,
    target: str,
    kind: str,
    labels: Mapping[str, str],
    wave_index: int | None,
    deployment_id: int,
    release_id: int,
    artifact: str | None,
    artifact_sha256: str | None,
    requested_by: str | None,
    rolls_back_id: int | None,
    previous_version: str | None,
) -> dict[str, str]:
    """Add to the pipeline's `own` variables those that are given; what is not so is an empty text.

    Nobody requests an automatic rollback; `previous_version` is what the target had before this deployment; a health
    check belongs to no wave.
    """
    return {
        **own,
        **{label_variable(key): value for key, value in labels.items()},
        "RELEASE_NAME": application,
        "RELEASE_VERSION": version,
        "RELEASE_ARTIFACT": artifact or "",
        "RELEASE_ARTIFACT_SHA256": artifact_sha256 or "",
        "RELEASE_ID": str(release_id),
        "DEPLOYMENT_ID": str(deployment_id),
        "DEPLOYMENT_ENVIRONMENT": environment,
        "DEPLOYMENT_STRATEGY": strategy,
        "DEPLOYMENT_WAVE": "" if wave_index is None else str(wave_index),
        "DEPLOYMENT_ROLLS_BACK": "" if rolls_back_id is None else str(rolls_back_id),
        "DEPLOYMENT_REQUESTED_BY": requested_by or "",
        "DEPLOYMENT_PREVIOUS_VERSION": previous_version or "",
        "TARGET_NAME": target,
        "TARGET_KIND": kind,
    }
