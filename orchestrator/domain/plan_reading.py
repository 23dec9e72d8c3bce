"""Reading a plan that was kept: all of it is understood, or none of it."""

import itertools
from collections.abc import Mapping
from types import UnionType
from typing import Any

from orchestrator.domain.errors import PlanOfAnotherVersionError, PlanUnreadableError
from orchestrator.domain.plan import (
    FORMAT,
    WITHOUT_SECRETS,
    WITHOUT_SKIPS,
    WITHOUT_SLIDING,
    WITHOUT_WAITS,
    WITHOUT_WAVES,
    Plan,
    PlannedAction,
    PlannedStep,
    PlannedTarget,
    PlannedWave,
    lay_out_waves,
)

_PLAN = {
    "format": int,
    "application": str,
    "version": str,
    "environment": str,
    "strategy": str,
    "max_failures": int,
    "max_parallel": int,
    "on_failure": str,
    "variables": dict,
    "secrets": list,
    "actions": list,
    "targets": list,
    "batch_sizes": list,
    "waits": list,
    "max_batch_failures": int | None,
    "answer_seconds": int,
    "unanswered": str,
}
_ONLY_NEWEST: dict[str, Any] = {
    "waits": [],
    "max_batch_failures": None,
    "answer_seconds": 0,
    "unanswered": "fail",
}
_OF_WAVES = {
    **{key: kind for key, kind in _PLAN.items() if key not in ("batch_sizes", "waits")},
    "waves": list,
    "side": str,
}
_OF_SKIPS = {**_OF_WAVES, "max_skipped": int}
_OF_SLIDING = {**_OF_WAVES, "max_skipped": int | None}
_SHAPES = {WITHOUT_SKIPS: _OF_WAVES, WITHOUT_SLIDING: _OF_SKIPS, FORMAT: _OF_SLIDING}
"""The newer formats say of each wave what it is."""
_ABSENT: dict[int, dict[str, Any]] = {WITHOUT_SECRETS: {"secrets": []}, WITHOUT_WAITS: {}}
"""What older formats do not have, beside what only the newest has."""
_OLDER = (WITHOUT_SECRETS, WITHOUT_WAITS, WITHOUT_WAVES)
_ACTION = {
    "kind": str,
    "title": str,
    "settings": dict,
    "check": str,
    "timeout_seconds": int,
    "grace_seconds": int,
    "retries": int,
    "idempotent": bool,
    "variables": dict,
}
_ACTION_OF_WAVES = {**_ACTION, "undo": int | None, "only_untouched": bool}
_TARGET = {"name": str, "kind": str, "settings": dict, "labels": dict, "variables": dict}


def from_document(document: object) -> Plan:
    """Read what `plan.to_document` wrote. Raises PlanUnreadableError on anything else, even one key more."""
    number = document.get("format") if isinstance(document, Mapping) else None
    if type(number) is int and number not in {*_OLDER, *_SHAPES}:
        raise PlanOfAnotherVersionError(
            f"the plan has format {number} and this version reads formats up to {FORMAT};"
            " use the version that made it, or one that came after it"
        )
    if isinstance(document, dict) and type(number) is int and number in _ABSENT:
        document = _completed(document, number)
    shape = _SHAPES.get(number) if type(number) is int else None
    values = _read(document, shape or _PLAN, what="the plan")
    del values["format"]
    actions = tuple(_action(each, says_waves=shape is not None) for each in values["actions"])
    targets = tuple(_target(each) for each in values["targets"])
    _require_texts(values["variables"], what="the plan's variables")
    _require_secrets(number, values["secrets"])
    names = [target.name for target in targets]
    if not actions or not targets or len(set(names)) != len(names):
        raise PlanUnreadableError("the plan has no actions, no targets, or one target twice")
    _require_limits(values, number)
    if shape is not None:
        _require_undos(actions)
        waves = _said(values.pop("waves"), names, len(actions), slides=number == FORMAT)
    else:
        batches = _cut(names, values.pop("batch_sizes"))
        waits = values.pop("waits")
        _require_waits(waits, len(batches))
        waves = lay_out_waves(batches, action_count=len(actions), waits=tuple(waits))
    shared = {**values, "actions": actions, "targets": targets, "secrets": tuple(values["secrets"])}
    return Plan(**shared, waves=waves)


def actions_of(document: Mapping[str, Any]) -> tuple[PlannedAction, ...]:
    """Read the actions alone. Raises PlanUnreadableError."""
    return tuple(_action(each, says_waves=says_waves(document)) for each in document["actions"])


def says_waves(document: Mapping[str, Any]) -> bool:
    """Whether it says of each wave what it is, and not only how large each batch is."""
    return document["format"] in _SHAPES


def _require_limits(values: Mapping[str, Any], number: object) -> None:
    most = (values["max_failures"], values["max_batch_failures"] or 0, values.get("max_skipped") or 0)
    limits = (*most, values["max_parallel"] - 1)
    ways = ("fail", "rollback")
    may_ask = number in {WITHOUT_WAVES, *_SHAPES} and values["answer_seconds"] > 0
    asks = values["on_failure"] == "pause" and may_ask
    if min(limits) < 0 or values["unanswered"] not in ways or not (asks or values["on_failure"] in ways):
        raise PlanUnreadableError("the plan's limits are not such as this version makes")


def _require_undos(actions: tuple[PlannedAction, ...]) -> None:
    """What puts back is itself never put back."""
    undos = [action.undo for action in actions if action.undo is not None]
    if not all(0 <= undo < len(actions) and actions[undo].undo is None for undo in undos):
        raise PlanUnreadableError("the plan has an action that is undone by none of its actions")


def _said(waves: list[Any], names: list[str], action_count: int, *, slides: bool) -> tuple[PlannedWave, ...]:
    """The waves that the newer formats say: batch, action, first target, number of targets, wait, and whether it asks.

    `slides`: actions, in a list.
    """
    found = []
    kinds = [int, list if slides else int, int, int, int, bool]
    for index, each in enumerate(waves):
        if not isinstance(each, list) or [type(part) for part in each] != kinds:
            raise PlanUnreadableError(f"wave {index} of the plan is not such as this version makes")
        batch, action, first, count, wait, asks = each
        chain = action if slides else [action]
        right = chain and all(type(part) is int and 0 <= part < action_count for part in chain)
        if not right or not 0 <= first < first + count <= len(names) or min(batch, wait) < 0:
            raise PlanUnreadableError(f"wave {index} of the plan is about what the plan does not have")
        through = itertools.product(names[first : first + count], chain)
        steps = tuple(PlannedStep(n, name, part) for n, (name, part) in enumerate(through))
        found.append(PlannedWave(index, batch, chain[0], steps, wait, asks))
    if slides and found and not any(wave.sliding for wave in found):
        raise PlanUnreadableError("the plan says that it slides, and no wave of it does")
    return tuple(found)


def _completed(document: dict[str, Any], number: int) -> dict[str, Any]:
    """Add what its format does not have; what it has although it cannot is found by that there is a key too many."""
    absent = {**_ABSENT[number], **_ONLY_NEWEST}
    if absent.keys() & document.keys():
        raise PlanUnreadableError(f"the plan has what format {number} does not have")
    sizes = document.get("batch_sizes")
    return {**document, **absent, "waits": [0] * (len(sizes) if isinstance(sizes, list) else 0)}


def _require_waits(waits: list[Any], count: int) -> None:
    if len(waits) != count or not all(type(each) is int and each >= 0 for each in waits):
        raise PlanUnreadableError("the waits between the batches are not such as this version makes")


def _require_secrets(number: object, names: list[Any]) -> None:
    if not all(isinstance(name, str) for name in names) or (number == WITHOUT_WAITS and not names):
        raise PlanUnreadableError("the names of the plan's secrets are not such as this version makes")


def _action(document: object, *, says_waves: bool) -> PlannedAction:
    values = _read(document, _ACTION_OF_WAVES if says_waves else _ACTION, what="an action of the plan")
    _require_texts(values["variables"], what="an action's variables")
    settings, checks = values["settings"], bool(values["check"])
    is_what_it_says = {
        "run": not checks and isinstance(settings.get("script"), str),
        "files": not checks
        and isinstance(settings.get("directory"), str)
        and type(settings.get("keep")) is int,
        "verify": checks,
        "traffic": checks and says_waves,
    }
    if not is_what_it_says.get(values["kind"]):
        raise PlanUnreadableError(
            "the plan has an action that neither runs, brings files, verifies nor moves traffic"
        )
    if values["timeout_seconds"] < 1 or min(values["grace_seconds"], values["retries"]) < 0:
        raise PlanUnreadableError("the plan has an action whose limits are not such as this version makes")
    return PlannedAction(**values)


def _target(document: object) -> PlannedTarget:
    values = _read(document, _TARGET, what="a target of the plan")
    _require_texts(values["variables"], what="a target's variables")
    _require_texts(values["labels"], what="a target's labels")
    return PlannedTarget(**values)


def _read(document: object, shape: Mapping[str, type | UnionType], *, what: str) -> dict[str, Any]:
    if not isinstance(document, dict) or document.keys() != shape.keys():
        raise PlanUnreadableError(f"{what} does not have the keys that this version knows")
    for key, kind in shape.items():
        if not isinstance(document[key], kind) or (type(document[key]) is bool and kind is not bool):
            raise PlanUnreadableError(f"`{key}` of {what} is no {getattr(kind, '__name__', kind)}")
    return dict(document)


def _require_texts(variables: Mapping[Any, Any], *, what: str) -> None:
    if not all(isinstance(each, str) for pair in variables.items() for each in pair):
        raise PlanUnreadableError(f"{what} are not all texts")


def _cut(names: list[str], sizes: list[Any]) -> tuple[tuple[str, ...], ...]:
    if not all(type(size) is int and size > 0 for size in sizes) or sum(sizes) != len(names):
        raise PlanUnreadableError("the batches of the plan do not hold each target once")
    batches = []
    start = 0
    for size in sizes:
        batches.append(tuple(names[start : start + size]))
        start += size
    return tuple(batches)
