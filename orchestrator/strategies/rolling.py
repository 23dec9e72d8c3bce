"""A few targets at a time; the next batch begins when the one before it has been through every action."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from orchestrator.domain.errors import RuleViolationError
from orchestrator.domain.moves import Move, drained
from orchestrator.strategies.base import (
    DEFAULT_MAX_PARALLEL,
    Batch,
    Candidate,
    InvalidStrategyError,
    Surroundings,
    read_amount,
    read_count,
    read_label,
    read_max_parallel,
    read_wait,
    refuse_unknown,
    resolve_amount,
    written_wait,
)

MAX_BATCH_ENTRIES = 100
COUNT, SKIP = "count", "skip"
"""What becomes of a target that cannot be reached: it counts as failed, or it is skipped."""
KNOWN = (
    "batch",
    "mode",
    "rounding",
    "max_failures",
    "max_batch_failures",
    "max_parallel",
    "order_by",
    "settle",
    "zone",
    "bake",
    "max_unavailable",
    "unreachable",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """Batches of given sizes, of which the last repeats, or one size that slides; percentages are of all targets."""

    needs_traffic: ClassVar[bool] = False

    batch: tuple[int | str, ...] = (1,)
    sliding: bool = False
    """A target begins as soon as another one has been through every action, and does not wait for a batch."""
    round_up: bool = True
    max_parallel: int = DEFAULT_MAX_PARALLEL
    failures: int | str = 0
    max_batch_failures: int | None = None
    order_by: str = ""
    """The label whose value says which target comes first."""
    settle_seconds: int = 0
    """How long a batch is left alone before the next one begins."""
    zone: str = ""
    """The label that says in which zone a target is; one zone is done before the next begins."""
    bake_seconds: int = 0
    """As `settle_seconds`, between two zones."""
    max_unavailable: int | str | None = None
    """How many targets may be without service at a time, those that are down already among them."""
    skipped: int | str | None = None
    """How many targets that cannot be reached are skipped before one more counts as failed; None: a person is asked."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Read the sizes, the budgets, the order and the waits. Raises InvalidStrategyError."""
        refuse_unknown(settings, KNOWN)
        rounding = settings.get("rounding", "up")
        if rounding not in ("up", "down"):
            raise InvalidStrategyError("rounding", "must be up or down")
        if "bake" in settings and "zone" not in settings:
            raise InvalidStrategyError("bake", "needs `zone`: it is the wait between two zones; use `settle`")
        batch = _read_batch(settings.get("batch", 1))
        return cls(
            batch=batch,
            sliding=_read_sliding(settings, batch),
            round_up=rounding == "up",
            max_parallel=read_max_parallel(settings),
            failures=read_amount("max_failures", settings.get("max_failures", 0), least=0),
            max_batch_failures=read_count("max_batch_failures", settings["max_batch_failures"], least=0)
            if "max_batch_failures" in settings
            else None,
            order_by=read_label(settings, "order_by"),
            settle_seconds=read_wait(settings, "settle"),
            zone=read_label(settings, "zone"),
            bake_seconds=read_wait(settings, "bake"),
            max_unavailable=read_amount("max_unavailable", settings["max_unavailable"], least=1)
            if "max_unavailable" in settings
            else None,
            skipped=_read_unreachable(settings["unreachable"]) if "unreachable" in settings else None,
        )

    def settings(self) -> dict[str, Any]:
        """Give the settings back."""
        given = {
            "mode": "sliding" if self.sliding else None,
            "max_batch_failures": self.max_batch_failures,
            "order_by": self.order_by or None,
            "settle": written_wait(self.settle_seconds),
            "zone": self.zone or None,
            "bake": written_wait(self.bake_seconds),
            "max_unavailable": self.max_unavailable,
            "unreachable": _written_unreachable(self.skipped),
        }
        return {
            "batch": list(self.batch),
            "rounding": "up" if self.round_up else "down",
            "max_failures": self.failures,
            "max_parallel": self.max_parallel,
            **{name: value for name, value in given.items() if value is not None},
        }

    def batches(self, targets: Sequence[Candidate], *, going_back: bool = False) -> tuple[Batch, ...]:
        """Cut the targets of each zone into batches; a percentage is at least one target, and sizes go on over zones.

        What slides has one batch for each zone.
        """
        ordered = targets if going_back else self.in_order(targets)
        zones: dict[str, list[Candidate]] = {}
        for target in ordered:
            zones.setdefault(target.labels.get(self.zone, ""), []).append(target)
        if "" in zones:
            zones[""] = zones.pop("")
        sizes = [max(1, resolve_amount(size, len(targets), up=self.round_up)) for size in self.batch]
        found_zones = self._idle_first(list(zones.values()), going_back=going_back)
        self._require_room(found_zones, going_back=going_back)
        if self.sliding:
            return self._slide(found_zones, sizes[0], wait_seconds=0 if going_back else self.bake_seconds)
        cut = self._cut(found_zones, itertools.chain(sizes, itertools.repeat(sizes[-1])))
        between_zones = self.settle_seconds if going_back else max(self.settle_seconds, self.bake_seconds)
        found = [
            Batch(names, self.settle_seconds if index + 1 < len(zone) else between_zones)
            for zone in cut
            for index, names in enumerate(zone)
        ]
        return (*found[:-1], Batch(found[-1].targets)) if found else ()

    def moves(self, targets: Sequence[Candidate], around: Surroundings) -> tuple[Move, ...]:
        """Take each batch out of the traffic before it is changed, and give it back when it was through every action."""
        batches = self.batches(targets, going_back=around.going_back)
        if around.full_weight is None:
            return batches
        if self.sliding:
            return tuple(replace(batch, out_of_traffic=around.full_weight) for batch in batches)
        return tuple(move for batch in batches for move in out_of_traffic(batch, around.full_weight))

    def switches_to(self, targets: Sequence[Candidate], around: Surroundings) -> str:
        """Know of no sides."""
        del targets, around
        return ""

    def max_failures(self, target_count: int) -> int:
        """A percentage is rounded down, whatever `rounding` says: never more failures than were allowed."""
        return resolve_amount(self.failures, target_count, up=False)

    def max_skipped(self, target_count: int) -> int | None:
        """A percentage is rounded down, as that of failures."""
        return None if self.skipped is None else resolve_amount(self.skipped, target_count, up=False)

    def _cut(self, zones: Sequence[Sequence[Candidate]], sizes: Iterator[int]) -> list[list[tuple[str, ...]]]:
        """Batches of these sizes, and none that would take more out of service than may be.

        Changing those that are out of service costs nothing. A batch that was changed counts as well.
        """
        most, down = self._may_be_out(zones)
        cut: list[list[tuple[str, ...]]] = []
        for zone in zones:
            cut.append([])
            start = 0
            while start < len(zone):
                room = most - down
                batch = zone[start : start + min(next(sizes), max(room, 1))]
                cut[-1].append(tuple(each.name for each in batch))
                down -= sum(not each.in_service for each in batch)
                start += len(batch)
        return cut

    def _slide(
        self, zones: Sequence[Sequence[Candidate]], size: int, *, wait_seconds: int
    ) -> tuple[Batch, ...]:
        """A batch of each zone; in all of them so few at a time that never more are out of service than may be."""
        most, down = self._may_be_out(zones)
        at_a_time = max(1, min(size, most - down))
        found = [Batch(tuple(each.name for each in zone), wait_seconds, at_a_time) for zone in zones]
        return (*found[:-1], replace(found[-1], wait_seconds=0)) if found else ()

    def _require_room(self, zones: Sequence[Sequence[Candidate]], *, going_back: bool) -> None:
        """Raise RuleViolationError where too many are down in zones that come later to take out any before them.

        Who goes back is never refused for what the release has brought down: then it is one target at a time.
        """
        most, down = self._may_be_out(zones)
        for zone in zones:
            down -= sum(not each.in_service for each in zone)
            if down >= most and any(each.in_service for each in zone) and not going_back:
                raise RuleViolationError(
                    f"{down} targets are down and at most {most} may be unavailable: no other may be taken out"
                )

    def _may_be_out(self, zones: Sequence[Sequence[Candidate]]) -> tuple[int, int]:
        """How many targets may be out of service at a time, and how many of them are already."""
        total = sum(map(len, zones))
        if self.max_unavailable is None:
            return total, 0
        most = max(1, resolve_amount(self.max_unavailable, total, up=False))
        return most, sum(not each.in_service for zone in zones for each in zone)

    def _idle_first(
        self, zones: Sequence[Sequence[Candidate]], *, going_back: bool
    ) -> Sequence[Sequence[Candidate]]:
        """Those that get no requests come first, and with them their zone: another one may only be taken out when they do.

        Where it is counted how many are out of service, those that are down come next in their zone; and for who goes back
        the zones with some before the others, because nothing is lost there.
        """
        counts = self.max_unavailable is not None
        ordered = [
            sorted(zone, key=lambda each: (not each.idle, counts and each.in_service)) for zone in zones
        ]
        down_first = going_back and counts
        return sorted(
            ordered,
            key=lambda zone: (
                not all(each.idle for each in zone),
                not zone[0].idle,
                down_first and zone[0].in_service,
            ),
        )

    def in_order(self, targets: Sequence[Candidate]) -> Sequence[Candidate]:
        """Give the targets as `order_by` says, or as they are written."""
        return sorted(targets, key=self._rank) if self.order_by else targets

    def _rank(self, target: Candidate) -> tuple[bool, list[tuple[int, str]]]:
        """Numbers within the value count as numbers, so that 10 comes after 9; who has no such label comes last."""
        parts = re.findall(r"[0-9]+|[^0-9]+", target.labels.get(self.order_by, ""))
        key = [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts]
        return self.order_by not in target.labels, key


def out_of_traffic(batch: Batch, full_weight: int) -> tuple[Move, ...]:
    """Change a batch while no new requests go to it, and give them back."""
    out, back = drained(batch.targets, full_weight)
    return (out, Batch(batch.targets), replace(back, wait_seconds=batch.wait_seconds))


def _read_sliding(settings: Mapping[str, Any], batch: tuple[int | str, ...]) -> bool:
    mode = settings.get("mode", "barrier")
    if mode not in ("barrier", "sliding"):
        raise InvalidStrategyError("mode", "must be barrier or sliding")
    if mode == "barrier":
        return False
    if len(batch) > 1:
        raise InvalidStrategyError(
            "batch", "must be one size where `mode` is sliding: how many are under way at a time"
        )
    for name in ("settle", "max_batch_failures"):
        if name in settings:
            raise InvalidStrategyError(name, "is about batches, and where `mode` is sliding there are none")
    return True


def _read_batch(value: object) -> tuple[int | str, ...]:
    if not isinstance(value, list | tuple):
        return (read_amount("batch", value, least=1),)
    if not value:
        raise InvalidStrategyError("batch", "must hold at least one size, for example [1, 25%]")
    if len(value) > MAX_BATCH_ENTRIES:
        raise InvalidStrategyError("batch", f"may hold at most {MAX_BATCH_ENTRIES} sizes")
    return tuple(read_amount(f"batch/{index}", size, least=1) for index, size in enumerate(value))


def _read_unreachable(value: object) -> int | str:
    if value == COUNT:
        return 0
    if not isinstance(value, Mapping) or value.keys() != {SKIP}:
        raise InvalidStrategyError(
            "unreachable", "must be count, or how many are skipped, such as {skip: 2} or {skip: 5%}"
        )
    return read_amount("unreachable/skip", value[SKIP], least=1)


def _written_unreachable(skipped: int | str | None) -> str | dict[str, int | str] | None:
    return COUNT if skipped == 0 else None if skipped is None else {SKIP: skipped}
