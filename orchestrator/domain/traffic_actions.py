"""The actions of a plan that move traffic."""

import math
from collections.abc import Mapping
from dataclasses import replace

from orchestrator.domain.durations import format_duration
from orchestrator.domain.moves import ANY_OTHER, Shift
from orchestrator.domain.pipeline_specs import TRAFFIC, TrafficSpec
from orchestrator.domain.plan import PlannedAction

INTERVAL = "250ms"
SLACK_SECONDS = 10
MOST_BESIDE = 100
"""How many servers are named of which one must get traffic; more of them make no difference."""


def shift_actions(
    shift: Shift, traffic: TrafficSpec, servers: Mapping[str, str]
) -> tuple[PlannedAction, PlannedAction | None]:
    """The action of a shift and that of its undoing; `servers` says what each target is called at the proxy."""
    beside = [name if name == ANY_OTHER else servers[name] for name in shift.beside[:MOST_BESIDE]]
    action = _action(shift.weight, traffic, beside=beside if shift.weight == 0 else [])
    if shift.undo is None:
        return action, None
    beside = (beside or [ANY_OTHER]) if shift.undo == 0 else []
    undo = _action(shift.undo, traffic, beside=beside, forced=True)
    return replace(action, only_untouched=shift.drains), undo


def _action(weight: int, traffic: TrafficSpec, *, beside: list[str], forced: bool = False) -> PlannedAction:
    title = f"weight {weight}" if weight else "no new requests"
    return PlannedAction(
        kind=TRAFFIC,
        title=f"put back: {title}" if forced else title,
        settings={
            **traffic.settings,
            "server": traffic.server,
            "weight": weight,
            "beside": beside,
            "forced": forced,
            "drain": format_duration(traffic.drain_seconds),
            "within": format_duration(traffic.within_seconds + traffic.drain_seconds),
            "interval": INTERVAL,
        },
        check=traffic.kind,
        timeout_seconds=math.ceil(traffic.within_seconds + traffic.drain_seconds) + SLACK_SECONDS,
        grace_seconds=0,
        idempotent=True,
    )
