"""A few targets at a time; the next batch begins when the one before it has been through every action."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from orchestrator.domain.durations import format_duration, parse_duration
from orchestrator.strategies.base import (
    DEFAULT_MAX_PARALLEL,
    GREATEST_MAX_PARALLEL,
    Batch,
    Candidate,
    InvalidStrategyError,
    read_amount,
    read_count,
    refuse_unknown,
    resolve_amount,
)

MAX_BATCH_ENTRIES = 100
LONGEST_WAIT_SECONDS = 86_400
KNOWN = (
    "batch",
    "rounding",
    "max_failures",
    "max_batch_failures",
    "max_parallel",
    "order_by",
    "settle",
    "zone",
    "bake",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """Batches of given sizes, of which the last repeats; percentages are of all targets of the deployment."""

    batch: tuple[int | str, ...] = (1,)
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

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Read the sizes, the budgets, the order and the waits. Raises InvalidStrategyError."""
        refuse_unknown(settings, KNOWN)
        rounding = settings.get("rounding", "up")
        if rounding not in ("up", "down"):
            raise InvalidStrategyError("rounding", "must be up or down")
        if "bake" in settings and "zone" not in settings:
            raise InvalidStrategyError("bake", "needs `zone`: it is the wait between two zones; use `settle`")
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
            max_batch_failures=read_count("max_batch_failures", settings["max_batch_failures"], least=0)
            if "max_batch_failures" in settings
            else None,
            order_by=_read_label(settings, "order_by"),
            settle_seconds=_read_wait(settings, "settle"),
            zone=_read_label(settings, "zone"),
            bake_seconds=_read_wait(settings, "bake"),
        )

    def settings(self) -> dict[str, Any]:
        """Give the settings back."""
        given = {
            "max_batch_failures": self.max_batch_failures,
            "order_by": self.order_by or None,
            "settle": format_duration(self.settle_seconds) if self.settle_seconds else None,
            "zone": self.zone or None,
            "bake": format_duration(self.bake_seconds) if self.bake_seconds else None,
        }
        return {
            "batch": list(self.batch),
            "rounding": "up" if self.round_up else "down",
            "max_failures": self.failures,
            "max_parallel": self.max_parallel,
            **{name: value for name, value in given.items() if value is not None},
        }

    def batches(self, targets: Sequence[Candidate], *, going_back: bool = False) -> tuple[Batch, ...]:
        """Cut the targets of each zone into batches; a percentage is at least one target, and sizes go on over zones."""
        ordered = sorted(targets, key=self._rank) if self.order_by and not going_back else targets
        zones: dict[str, list[str]] = {}
        for target in ordered:
            zones.setdefault(target.labels.get(self.zone, ""), []).append(target.name)
        if "" in zones:
            zones[""] = zones.pop("")
        sizes = [max(1, resolve_amount(size, len(targets), up=self.round_up)) for size in self.batch]
        left = itertools.chain(sizes, itertools.repeat(sizes[-1]))
        cut = [tuple(_cut(names, left)) for names in zones.values()]
        between_zones = self.settle_seconds if going_back else max(self.settle_seconds, self.bake_seconds)
        found = [
            Batch(names, self.settle_seconds if index + 1 < len(zone) else between_zones)
            for zone in cut
            for index, names in enumerate(zone)
        ]
        return (*found[:-1], Batch(found[-1].targets)) if found else ()

    def max_failures(self, target_count: int) -> int:
        """A percentage is rounded down, whatever `rounding` says: never more failures than were allowed."""
        return resolve_amount(self.failures, target_count, up=False)

    def _rank(self, target: Candidate) -> tuple[bool, list[tuple[int, str]]]:
        """Numbers within the value count as numbers, so that 10 comes after 9; who has no such label comes last."""
        parts = re.findall(r"[0-9]+|[^0-9]+", target.labels.get(self.order_by, ""))
        key = [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts]
        return self.order_by not in target.labels, key


def _cut(names: Sequence[str], sizes: "itertools.chain[int]") -> list[tuple[str, ...]]:
    batches: list[tuple[str, ...]] = []
    start = 0
    while start < len(names):
        size = next(sizes)
        batches.append(tuple(names[start : start + size]))
        start += size
    return batches


def _read_batch(value: object) -> tuple[int | str, ...]:
    if not isinstance(value, list | tuple):
        return (read_amount("batch", value, least=1),)
    if not value:
        raise InvalidStrategyError("batch", "must hold at least one size, for example [1, 25%]")
    if len(value) > MAX_BATCH_ENTRIES:
        raise InvalidStrategyError("batch", f"may hold at most {MAX_BATCH_ENTRIES} sizes")
    return tuple(read_amount(f"batch/{index}", size, least=1) for index, size in enumerate(value))


def _read_label(settings: Mapping[str, Any], field: str) -> str:
    value = settings.get(field, "")
    if not isinstance(value, str) or (field in settings and not value):
        raise InvalidStrategyError(field, "must be the name of a label that the targets have")
    return value


def _read_wait(settings: Mapping[str, Any], field: str) -> int:
    if field not in settings:
        return 0
    problem = "must be whole seconds up to 24h, such as 30s or 10m"
    try:
        seconds = parse_duration(settings[field])
    except (ValueError, AttributeError) as error:
        raise InvalidStrategyError(field, problem) from error
    if seconds != int(seconds) or not 1 <= seconds <= LONGEST_WAIT_SECONDS:
        raise InvalidStrategyError(field, problem)
    return int(seconds)
