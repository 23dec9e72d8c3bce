"""Every target at the same time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from orchestrator.strategies.base import (
    DEFAULT_MAX_PARALLEL,
    GREATEST_MAX_PARALLEL,
    Batch,
    Candidate,
    read_amount,
    read_count,
    refuse_unknown,
    resolve_amount,
)


@dataclass(frozen=True, slots=True)
class AllAtOnce:
    """One batch of all targets."""

    max_parallel: int = DEFAULT_MAX_PARALLEL
    failures: int | str = 0

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Read `max_failures` (a number or a percentage) and `max_parallel`."""
        refuse_unknown(settings, ("max_failures", "max_parallel"))
        return cls(
            max_parallel=read_count(
                "max_parallel",
                settings.get("max_parallel", DEFAULT_MAX_PARALLEL),
                least=1,
                most=GREATEST_MAX_PARALLEL,
            ),
            failures=read_amount("max_failures", settings.get("max_failures", 0), least=0),
        )

    def settings(self) -> dict[str, Any]:
        """Give the settings back."""
        return {"max_failures": self.failures, "max_parallel": self.max_parallel}

    @property
    def max_batch_failures(self) -> int | None:
        """There is one batch, so `max_failures` says it."""
        return None

    def batches(self, targets: Sequence[Candidate], *, going_back: bool = False) -> tuple[Batch, ...]:
        """Put all targets into one batch."""
        del going_back
        return (Batch(tuple(target.name for target in targets)),) if targets else ()

    def max_failures(self, target_count: int) -> int:
        """A percentage is rounded down: never more failures than were allowed."""
        return resolve_amount(self.failures, target_count, up=False)
