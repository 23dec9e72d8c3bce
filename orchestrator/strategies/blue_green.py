"""Two sides: the release goes to the one that has no traffic, and then the traffic goes there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from orchestrator.domain.errors import RuleViolationError
from orchestrator.domain.moves import Again, Batch, Move, Shift
from orchestrator.strategies.base import (
    DEFAULT_MAX_PARALLEL,
    Candidate,
    Surroundings,
    read_amount,
    read_label,
    read_max_parallel,
    read_wait,
    refuse_unknown,
    resolve_amount,
    written_wait,
)

DEFAULT_SIDE = "side"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlueGreen:
    """The idle side is brought up and verified, gets all traffic at once, and the other one is kept as it was for a while."""

    needs_traffic: ClassVar[bool] = True

    side: str = DEFAULT_SIDE
    """The label that says on which side a target is."""
    keep_seconds: int = 0
    """How long the old side is kept warm, and a cancel goes back to it at once."""
    max_parallel: int = DEFAULT_MAX_PARALLEL
    failures: int | str = 0

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Read `side`, `keep`, `max_failures` and `max_parallel`. Raises InvalidStrategyError."""
        refuse_unknown(settings, ("side", "keep", "max_failures", "max_parallel"))
        return cls(
            side=read_label(settings, "side") or DEFAULT_SIDE,
            keep_seconds=read_wait(settings, "keep"),
            max_parallel=read_max_parallel(settings),
            failures=read_amount("max_failures", settings.get("max_failures", 0), least=0),
        )

    def settings(self) -> dict[str, Any]:
        """Give the settings back."""
        keep = written_wait(self.keep_seconds)
        return {
            "side": self.side,
            **({"keep": keep} if keep else {}),
            "max_failures": self.failures,
            "max_parallel": self.max_parallel,
        }

    @property
    def max_batch_failures(self) -> int | None:
        """One side is one batch, so `max_failures` says it."""
        return None

    def batches(self, targets: Sequence[Candidate], *, going_back: bool = False) -> tuple[Batch, ...]:
        """Put all targets into one batch: which of them are idle is the business of `moves`."""
        del going_back
        return (Batch(tuple(target.name for target in targets)),) if targets else ()

    def moves(self, targets: Sequence[Candidate], around: Surroundings) -> tuple[Move, ...]:
        """Bring up the idle side, switch, verify under traffic, keep, and see that it is still so.

        The new side gets its traffic before the old one loses it, and on the way back it is the same: somebody always answers.
        A proxy that was started anew meanwhile does as its configuration says: after the wait both are seen to again.
        """
        full = around.full_weight or 0
        live, idle = self._sides(targets, around)
        there = Shift(targets=idle, weight=full, undo=0, beside=live)
        away = Shift(targets=live, weight=0, undo=full, beside=idle)
        return (
            Shift(targets=idle, weight=0, beside=live),
            Batch(idle),
            *(there, away),
            Again(targets=idle, wait_seconds=self.keep_seconds),
            *((there, away) if self.keep_seconds else (there,)),
        )

    def switches_to(self, targets: Sequence[Candidate], around: Surroundings) -> str:
        """Name the idle side."""
        _, idle = self._sides(targets, around)
        return next(target.labels[self.side] for target in targets if target.name == idle[0])

    def max_failures(self, target_count: int) -> int:
        """A percentage is of all targets, rounded down: never more failures than were allowed."""
        return resolve_amount(self.failures, target_count, up=False)

    def _sides(
        self, targets: Sequence[Candidate], around: Surroundings
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The live side and the idle one; where nobody has switched yet, the side of the first target counts as live."""
        sides: dict[str, list[str]] = {}
        for target in targets:
            sides.setdefault(target.labels.get(self.side, ""), []).append(target.name)
        if len(sides) != 2 or "" in sides:
            raise RuleViolationError(
                f"blue-green needs targets on two sides: give each the label `{self.side}` with one of two values"
            )
        first, second = sides
        live = second if around.live == second else first
        idle = first if live == second else second
        return tuple(sides[live]), tuple(sides[idle])
