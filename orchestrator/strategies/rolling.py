"""A few targets at a time; the next batch begins when the one before it has been through every action."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from orchestrator.strategies.base import (
    DEFAULT_MAX_PARALLEL,
    GREATEST_MAX_PARALLEL,
    InvalidStrategyError,
    read_amount,
    read_count,
    refuse_unknown,
    resolve_amount,
)

MAX_BATCH_ENTRIES = 100


@dataclass(frozen=True, slots=True)
class Rolling:
    """Batches of given sizes, of which the last repeats; percentages are of all targets of the deployment."""

    batch: tuple[int | str, ...] = (1,)
    round_up: bool = True
    max_parallel: int = DEFAULT_MAX_PARALLEL
    failures: int | str = 0

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Read `batch`, `rounding` (up or down), `max_failures` and `max_parallel`."""
        refuse_unknown(settings, ("batch", "rounding", "max_failures", "max_parallel"))
        rounding = settings.get("rounding", "up")
        if rounding not in ("up", "down"):
            raise InvalidStrategyError("rounding", "must be up or down")
        return cls(
            batch=_read_batch(settings.get("batch", 1)),
            round_up=rounding == "up",
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
        return {
            "batch": list(self.batch),
            "rounding": "up" if self.round_up else "down",
            "max_failures": self.failures,
            "max_parallel": self.max_parallel,
        }

    def batches(self, targets: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """Cut the targets into batches; a percentage is at least one target."""
        sizes = [max(1, resolve_amount(size, len(targets), up=self.round_up)) for size in self.batch]
        batches: list[tuple[str, ...]] = []
        start = 0
        while start < len(targets):
            size = sizes[min(len(batches), len(sizes) - 1)]
            batches.append(tuple(targets[start : start + size]))
            start += size
        return tuple(batches)

    def max_failures(self, target_count: int) -> int:
        """A percentage is rounded down, whatever `rounding` says: never more failures than were allowed."""
        return resolve_amount(self.failures, target_count, up=False)


def _read_batch(value: object) -> tuple[int | str, ...]:
    if not isinstance(value, list | tuple):
        return (read_amount("batch", value, least=1),)
    if not value:
        raise InvalidStrategyError("batch", "must hold at least one size, for example [1, 25%]")
    if len(value) > MAX_BATCH_ENTRIES:
        raise InvalidStrategyError("batch", f"may hold at most {MAX_BATCH_ENTRIES} sizes")
    return tuple(read_amount(f"batch/{index}", size, least=1) for index, size in enumerate(value))
