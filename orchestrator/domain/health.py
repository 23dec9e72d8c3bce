"""What health checks between deployments mean for the soak of a release."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

MOST_MISSED = 3
"""After how many times `every` without a check nobody knows any more how a target was meanwhile."""
LEAST_GAP = timedelta(seconds=30)
"""A worker is replaced, or the clock stumbles, for as long as this without anything being missed."""


def longest_gap(every: timedelta) -> timedelta:
    """How far apart two checks may lie for the time between them to count."""
    return max(MOST_MISSED * every, LEAST_GAP)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one target."""

    counts_from: datetime
    """Since when no check failed and none is missing."""
    checked_at: datetime
    """Up to when that is known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One check of one target: `asked_at` is from before it was asked, `answered_at` from after."""

    ok: bool
    detail: str
    asked_at: datetime
    answered_at: datetime


def settle(known: Known, answer: Answer, *, what: str, every: timedelta) -> tuple[Known, str]:
    """What is known after an answer, and why it counts anew from then; "" where it does not. `what`: "web-a in staging"."""
    if not answer.ok:
        why = f"the health check of {what} failed at {_shown(answer.answered_at)} ({answer.detail})"
        return Known(answer.answered_at, answer.answered_at), why
    if answer.asked_at - known.checked_at > longest_gap(every):
        between = f"from {_shown(known.checked_at)} to {_shown(answer.asked_at)}"
        return Known(answer.asked_at, answer.asked_at), f"nobody asked for the health of {what} {between}"
    return replace(known, checked_at=max(known.checked_at, answer.asked_at)), ""


def next_check(asked_at: datetime, counts_from: datetime, *, every: timedelta, soaks: list[int]) -> datetime:
    """When to ask again: also at the very end of each soak (seconds), which only a check from then on confirms."""
    ends = (counts_from + timedelta(seconds=soak) for soak in soaks)
    return min([asked_at + every, *(end for end in ends if end > asked_at)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the checks of all targets of an environment say of a release that succeeded there."""

    environment: str
    every: timedelta
    counts_from: datetime
    """Since when no check failed and none is missing: since its success there, or for the reason in `because`."""
    checked_at: datetime
    """Up to when that is known of all targets."""
    because: str = ""
    failing: bool = False
    """Whether the last check of any target failed."""
    left_by: int | None = None
    """The deployment that has begun there since: nobody can ask any more."""

    def has_soaked(self, soak: timedelta) -> bool:
        """Whether it was well for so long, up to a check from the end of that on."""
        return self.checked_at - self.counts_from >= soak

    def is_unknown(self, now: datetime) -> bool:
        """Whether the last check is too long ago."""
        return now - self.checked_at > longest_gap(self.every)

    def as_expected(self, at: datetime) -> "Health":
        """How it will stand at a time to come, if all goes on well."""
        return replace(self, checked_at=max(self.checked_at, at))


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
