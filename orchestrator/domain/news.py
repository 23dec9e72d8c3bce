"""What an open page hears of: every kind of event, and what is written without one."""

from collections.abc import Iterable

from orchestrator.domain.telling import EVERYTHING, KINDS

DELIVERY_TRIED = "delivery.tried"
"""A webhook's delivery came to be, or was tried."""
TARGET_CHANGED = "target.changed"
"""Something was installed on a target, or it said how it is or what runs there."""
HEARD = KINDS | {DELIVERY_TRIED, TARGET_CHANGED}


def fits(patterns: Iterable[str], kind: str) -> bool:
    """Whether one of the patterns means this kind: it is the kind, all of its group (`deployment.*`), or `*`."""
    group = f"{kind.partition('.')[0]}.*"
    return any(each in {kind, group, EVERYTHING} for each in patterns)
