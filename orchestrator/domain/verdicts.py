"""What the end of an attempt makes of its step: pure, as `engine` is."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.domain.backoff import delay_seconds
from orchestrator.domain.statuses import Outcome, StepStatus


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the end of an attempt means for its step. `retry_at`: try once more, not before then."""

    status: StepStatus
    retry_at: datetime | None = None


def judge(  # noqa: PLR0911  # a list of cases reads best
    outcome: Outcome,
    now: datetime,
    *,
    attempt: int,
    retries: int,
    idempotent: bool,
    cancelling: bool,
    certainly_over: bool = True,
) -> Verdict:
    """What becomes of a step whose attempt (the `attempt`-th) ended. A lost one is tried again only if that is harmless.

    `certainly_over`: nothing of the attempt can still be alive. Where that is not known, only a person may go on.
    """
    if outcome is Outcome.SUCCEEDED:
        return Verdict(StepStatus.SUCCEEDED)
    if not certainly_over:
        return Verdict(StepStatus.UNKNOWN)
    if cancelling:
        return Verdict(StepStatus.CANCELLED)
    if outcome is Outcome.LOST and not idempotent:
        return Verdict(StepStatus.UNKNOWN)
    if outcome is Outcome.LOST and attempt <= max(retries, 1):
        return Verdict(StepStatus.READY, now)
    if outcome is not Outcome.ABORTED and attempt <= retries:
        return Verdict(StepStatus.READY, now + timedelta(seconds=delay_seconds(attempt)))
    return Verdict(StepStatus.FAILED)
