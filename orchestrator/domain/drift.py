"""Whether a target still has what was installed there."""

from enum import StrEnum

MOST_SAID = 100


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


def heard(code: int, output: str, expect: str) -> tuple[Drift, str]:
    """What a script's end means, and what to tell of it: by what it says where something is expected, else by its exit code."""
    said = next((line.strip() for line in output.splitlines() if line.strip()), "")[:MOST_SAID]
    if not expect:
        return (Drift.DIFFERS if code else Drift.SAME), f"exit code {code}" + (f": {said}" if said else "")
    if code:
        return Drift.UNKNOWN, f"exit code {code}" + (f": {said}" if said else "")
    if expect in output:
        return Drift.SAME, f"it says {said!r}"
    return Drift.DIFFERS, f"{expect!r} is not in what it says: {said!r}"
