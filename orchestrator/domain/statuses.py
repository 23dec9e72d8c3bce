"""The statuses of deployments and steps, and which may follow which."""

from enum import StrEnum


class DeploymentStatus(StrEnum):
    """Where a deployment is. A wish (to cancel, say) is a column, not a status."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"


class StepStatus(StrEnum):
    """Where one action on one target is. `unknown`: the target cannot say whether it happened."""

    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """How an attempt ended. `released` is no end: the next slice goes on with it."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    ABORTED = "aborted"
    LOST = "lost"
    UNREACHABLE = "unreachable"
    """Its target could not be reached, and nothing of it began."""
    UNSTARTED = "unstarted"
    """Nothing of it began for another reason: the target refused it, it lacked what it needs, or its end came first."""


ACTIVE = frozenset({DeploymentStatus.RUNNING, DeploymentStatus.PAUSED})
"""Statuses that hold the slot."""

TERMINAL = frozenset(
    {
        DeploymentStatus.SUCCEEDED,
        DeploymentStatus.FAILED,
        DeploymentStatus.CANCELLED,
        DeploymentStatus.SUPERSEDED,
        DeploymentStatus.EXPIRED,
    }
)

STEP_TERMINAL = frozenset({StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.CANCELLED})

_S = DeploymentStatus
FOLLOWS: dict[DeploymentStatus, frozenset[DeploymentStatus]] = {
    _S.PENDING: frozenset({_S.RUNNING, _S.CANCELLED, _S.SUPERSEDED, _S.EXPIRED, _S.FAILED}),
    _S.RUNNING: frozenset({_S.PAUSED, _S.SUCCEEDED, _S.FAILED, _S.CANCELLED}),
    _S.PAUSED: frozenset({_S.RUNNING, _S.SUCCEEDED, _S.FAILED, _S.CANCELLED}),
    **{status: frozenset() for status in TERMINAL},
}


def may_follow(current: DeploymentStatus, new: DeploymentStatus) -> bool:
    """Whether a deployment in `current` may become `new`; a terminal status has no successor."""
    return new in FOLLOWS[current]
