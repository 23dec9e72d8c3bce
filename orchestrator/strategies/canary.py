"""A few targets first, with more and more of the traffic; the others only when those did well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from orchestrator.domain.errors import RuleViolationError
from orchestrator.domain.moves import Again, Batch, Move, Shift
from orchestrator.strategies.base import (
    Candidate,
    InvalidStrategyError,
    Surroundings,
    read_amount,
    read_wait,
    refuse_unknown,
    resolve_amount,
    written_wait,
)
from orchestrator.strategies.rolling import Rolling, out_of_traffic

KNOWN = (
    "canary",
    "weights",
    "hold",
    "promote",
    "batch",
    "rounding",
    "max_failures",
    "max_parallel",
    "order_by",
)
OF_ROLLING = ("batch", "rounding", "max_failures", "max_parallel", "order_by")
MOST_WEIGHTS = 100
DEFAULT_BATCH = "25%"
MOST_OFF = 0.25
"""How far a share may come out from what was asked: so much of it, or of what the others keep where that is less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """The first targets get the release and these shares of the traffic, one after the other; then the others, in batches."""

    needs_traffic: ClassVar[bool] = False

    canary: int | str = 1
    weights: tuple[int, ...] = ()
    """Percentages of the traffic that the canary gets, growing."""
    hold_seconds: int = 0
    """How long each share is held before the canary is verified again."""
    asks: bool = False
    """A person promotes it to the other targets."""
    rest: Rolling = field(default_factory=lambda: Rolling(batch=(DEFAULT_BATCH,)))

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Read how many targets are the canary, its shares, how long each is held, who promotes, and how the others follow."""
        refuse_unknown(settings, KNOWN)
        promote = settings.get("promote", "auto")
        if promote not in ("auto", "manual"):
            raise InvalidStrategyError("promote", "must be auto or manual")
        rest = {"batch": DEFAULT_BATCH} | {key: settings[key] for key in OF_ROLLING if key in settings}
        return cls(
            canary=read_amount("canary", settings.get("canary", 1), least=1),
            weights=_read_weights(settings.get("weights", [])),
            hold_seconds=read_wait(settings, "hold"),
            asks=promote == "manual",
            rest=Rolling.from_settings(rest),
        )

    def settings(self) -> dict[str, Any]:
        """Give the settings back."""
        hold = written_wait(self.hold_seconds)
        return {
            "canary": self.canary,
            **({"weights": [f"{each}%" for each in self.weights]} if self.weights else {}),
            **({"hold": hold} if hold else {}),
            "promote": "manual" if self.asks else "auto",
            **self.rest.settings(),
        }

    @property
    def max_parallel(self) -> int:
        """As for `rolling`."""
        return self.rest.max_parallel

    @property
    def max_batch_failures(self) -> int | None:
        """There is one budget for all."""
        return None

    def batches(self, targets: Sequence[Candidate], *, going_back: bool = False) -> tuple[Batch, ...]:
        """Put the canary into the first batch, and the others into batches as `rolling` does; a rollback has no canary."""
        if going_back:
            return self.rest.batches(targets, going_back=True)
        ordered = self.rest.in_order(targets)
        count = max(1, resolve_amount(self.canary, len(targets), up=True))
        if all(each.idle for each in ordered[count:]):  # nobody could take the canary's requests
            ordered = sorted(ordered, key=lambda each: not each.idle)
        first = Batch(tuple(target.name for target in ordered[:count]))
        return (first, *self.rest.batches(ordered[count:])) if targets else ()

    def moves(self, targets: Sequence[Candidate], around: Surroundings) -> tuple[Move, ...]:
        """The canary under growing shares of the traffic, each held and verified; then as `rolling`."""
        full = around.full_weight
        batches = self.batches(targets, going_back=around.going_back)
        if around.going_back or len(batches) < 2:
            return tuple(
                move
                for batch in batches
                for move in ([batch] if full is None else out_of_traffic(batch, full))
            )
        canary, *others = batches
        if full is None:
            held = Again(targets=canary.targets, asks=self.asks)
            return (replace(canary, wait_seconds=self.hold_seconds), held, *others)
        stable = tuple(name for batch in others for name in batch.targets)
        return (
            *out_of_traffic(canary, full)[:2],
            *self._shares(canary.targets, stable, full),
            Shift(targets=canary.targets, weight=full),
            *(move for batch in others for move in out_of_traffic(batch, full)),
        )

    def switches_to(self, targets: Sequence[Candidate], around: Surroundings) -> str:
        """Know of no sides."""
        del targets, around
        return ""

    def max_failures(self, target_count: int) -> int:
        """As for `rolling`."""
        return self.rest.max_failures(target_count)

    def _shares(self, canary: tuple[str, ...], stable: tuple[str, ...], full: int) -> list[Move]:
        """Raise the canary, lower the others where that is needed, hold, verify, and give back to the others what was taken.

        Whoever stops it stops the canary's traffic. Others from which nothing was taken are left as they are: one that failed
        before gets none.
        """
        moves: list[Move] = []
        stable_now = full
        for number, share in enumerate(self.weights or (None,)):
            if share is not None:
                weight, stable_weight = weights_for(share, len(canary), len(stable), full=full)
                shifts = [Shift(targets=canary, weight=weight, undo=0, beside=stable)]
                if stable_weight != stable_now:
                    shifts.append(Shift(targets=stable, weight=stable_weight, undo=full, beside=canary))
                    stable_now = stable_weight
                moves += [*shifts[:-1], replace(shifts[-1], wait_seconds=self.hold_seconds)]
            is_last = number + 1 >= len(self.weights)
            moves.append(Again(targets=canary, asks=self.asks and is_last))
        if stable_now != full:
            moves.append(Shift(targets=stable, weight=full))
        return moves


def weights_for(share: int, canary_count: int, stable_count: int, *, full: int) -> tuple[int, int]:
    """What each of the canary and each of the others weighs, at most `full`, so that the canary gets about `share` percent.

    Raises RuleViolationError where no such weights come near it.
    """
    ratio = share * stable_count / ((100 - share) * canary_count)
    weight, stable_weight = (
        (max(1, round(full * ratio)), full) if ratio <= 1 else (full, max(1, round(full / ratio)))
    )
    canary_weight = canary_count * weight
    comes_out = 100 * canary_weight / (canary_weight + stable_count * stable_weight)
    if abs(comes_out - share) > max(1, min(share, 100 - share) * MOST_OFF):
        raise RuleViolationError(
            f"the canary ({canary_count} of {canary_count + stable_count} targets) cannot get {share}% of the requests:"
            f" with weights from 1 to {full} it would get {comes_out:.0f}%; give `traffic` a larger `weight` (at most"
            " 256), or choose another share or canary"
        )
    return weight, stable_weight


def _read_weights(value: object) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or len(value) > MOST_WEIGHTS:
        raise InvalidStrategyError("weights", "must be a list of percentages such as [5%, 25%, 50%]")
    found = []
    for index, each in enumerate(value):
        text = each.strip() if isinstance(each, str) else ""
        number = text.removesuffix("%")
        if not text.endswith("%") or not (number.isascii() and number.isdigit() and 1 <= int(number) <= 99):
            raise InvalidStrategyError(f"weights/{index}", "must be a percentage from 1% to 99%, such as 5%")
        found.append(int(number))
    if found != sorted(set(found)):
        raise InvalidStrategyError("weights", "must grow: each share is larger than the one before")
    return tuple(found)
