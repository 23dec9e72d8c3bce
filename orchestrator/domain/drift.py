"""Whether a target still has what was installed there."""

from enum import StrEnum


class Drift(StrEnum):
    """What came of asking it."""

    SAME = "same"
    DIFFERS = "differs"
    UNKNOWN = "unknown"
    """It did not say."""


def judged(*, ok: bool, silent: bool) -> Drift:
    """What a check's answer means: who says nothing does not differ."""
    if ok:
        return Drift.SAME
    return Drift.UNKNOWN if silent else Drift.DIFFERS
