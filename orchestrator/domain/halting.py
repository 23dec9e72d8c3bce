"""When nothing more starts in a slot by itself: going back went wrong, and its targets have what nobody wanted."""

from dataclasses import dataclass

from orchestrator.domain.statuses import DeploymentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a deployment ends, as far as that matters here."""

    deployment_id: int
    status: DeploymentStatus
    rolls_back_id: int | None
    unknown: int
    """Of how many of its steps nobody could say what became."""
    not_put_back: int
    """How many of the steps that were to put something back failed."""


def why_halted(ending: Ending) -> str | None:
    """None: whoever is next may start. What somebody cancelled ends as they wanted, unless its targets are in doubt."""
    itself, back = f"deployment {ending.deployment_id}", ending.rolls_back_id
    if ending.not_put_back:
        return f"what {itself} had changed could not be put back"
    if back is None:
        return None
    if ending.status is DeploymentStatus.FAILED:
        return f"{itself}, the rollback of deployment {back}, failed"
    if ending.status is DeploymentStatus.CANCELLED and ending.unknown:
        return (
            f"{itself}, the rollback of deployment {back}, was cancelled, and nobody knows what became of it"
        )
    return None
