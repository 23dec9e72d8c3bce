"""What a strategy is: it says in what batches the targets get a release, and how many may fail."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from orchestrator.domain.durations import format_duration, parse_duration
from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.domain.moves import Batch, Move
from orchestrator.domain.reading import suggest

__all__ = [
    "Batch",
    "Candidate",
    "InvalidStrategyError",
    "LeavesOut",
    "Move",
    "MovesTraffic",
    "Strategy",
    "Surroundings",
]

DEFAULT_MAX_PARALLEL = 100
GREATEST_MAX_PARALLEL = 10_000
GREATEST_COUNT = 1_000_000
LONGEST_WAIT_SECONDS = 86_400


class InvalidStrategyError(SettingsRefusedError):
    """The settings of a strategy are not usable. `field` says which one."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target that is to get the release, with what a strategy may order and part it by."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    down: bool = False
    """Its last health check failed."""
    idle: bool = False
    """It gets no requests at the proxy, as the last shift there left it."""

    @property
    def in_service(self) -> bool:
        """Whether anything is lost while it is changed."""
        return not (self.down or self.idle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What else the moves depend on: all of it is known when the plan is made."""

    full_weight: int | None = None
    """What a server weighs at the proxy that gets all its share; None: there is no proxy."""
    live: str = ""
    """The side that has the traffic; "" where nobody has switched yet."""
    going_back: bool = False
    """As for `batches`."""


class Strategy(Protocol):
    """In what order targets get a release. Pure: the same settings and targets give the same batches."""

    @property
    def max_parallel(self) -> int:
        """How many steps of a wave may run side by side."""
        ...

    @property
    def max_batch_failures(self) -> int | None:
        """How many targets of one batch may fail, if that is less than how many may at all."""
        ...

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Check `settings` and make the strategy. Raises InvalidStrategyError."""
        ...

    def settings(self) -> dict[str, Any]:
        """Give settings, every default spelt out, of which `from_settings` makes an equal strategy."""
        ...

    def batches(self, targets: Sequence[Candidate], *, going_back: bool = False) -> tuple[Batch, ...]:
        """Part the targets: every one in exactly one batch, no batch empty.

        `going_back`: a rollback, which takes the targets in the given order, newest first, and watches nothing.
        """
        ...

    def max_failures(self, target_count: int) -> int:
        """How many targets may fail: one more than this fails the deployment."""
        ...


@runtime_checkable
class LeavesOut(Protocol):
    """What a strategy has that says what becomes of targets that cannot be reached."""

    def max_skipped(self, target_count: int) -> int | None:
        """How many of them are skipped, before one more counts as failed; None: a person is asked about each."""
        ...


@runtime_checkable
class MovesTraffic(Protocol):
    """What a strategy has that says more than batches: moves of traffic, holds, and questions to a person."""

    needs_traffic: ClassVar[bool]
    """Whether it cannot do without a proxy."""

    def moves(self, targets: Sequence[Candidate], around: Surroundings) -> tuple[Move, ...]:
        """Say what is done, in order; no target is in two batches. Raises RuleViolationError where these targets do not do."""
        ...

    def switches_to(self, targets: Sequence[Candidate], around: Surroundings) -> str:
        """Name the side that has the traffic after its success; "" where there are no sides."""
        ...


def refuse_unknown(settings: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise InvalidStrategyError for the first setting that is none of `known`."""
    for key in settings:
        if key not in known:
            raise InvalidStrategyError(key, f"there is no such setting{suggest(key, known)}")


def read_count(field: str, value: object, *, least: int, most: int = GREATEST_COUNT) -> int:
    """Read a whole number, also one written as text. Raises InvalidStrategyError."""
    number = _whole_number(value)
    if number is None or not least <= number <= most:
        raise InvalidStrategyError(field, f"must be a whole number from {least} to {most}")
    return number


def read_amount(field: str, value: object, *, least: int) -> int | str:
    """Read a whole number or a percentage such as `25%`. Raises InvalidStrategyError."""
    if isinstance(value, str) and value.strip().endswith("%"):
        percent = _whole_number(value.strip()[:-1])
        if percent is None or not least <= percent <= 100:
            raise InvalidStrategyError(field, f"must be a percentage from {least}% to 100%")
        return f"{percent}%"
    number = _whole_number(value)
    if number is None or not least <= number <= GREATEST_COUNT:
        raise InvalidStrategyError(
            field, f"must be a whole number of at least {least}, or a percentage such as 25%"
        )
    return number


def resolve_amount(amount: int | str, total: int, *, up: bool) -> int:
    """Turn what `read_amount` gave into a number of targets out of `total`, a broken percentage rounded."""
    if isinstance(amount, int):
        return amount
    whole, rest = divmod(total * int(amount[:-1]), 100)
    return whole + (1 if up and rest else 0)


def read_label(settings: Mapping[str, Any], field: str) -> str:
    """Read the name of a label, "" where it is not set. Raises InvalidStrategyError."""
    value = settings.get(field, "")
    if not isinstance(value, str) or (field in settings and not value):
        raise InvalidStrategyError(field, "must be the name of a label that the targets have")
    return value


def read_wait(settings: Mapping[str, Any], field: str) -> int:
    """Read how many seconds are waited, 0 where it is not set. Raises InvalidStrategyError."""
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


def read_max_parallel(settings: Mapping[str, Any]) -> int:
    """Read how many steps run side by side. Raises InvalidStrategyError."""
    given = settings.get("max_parallel", DEFAULT_MAX_PARALLEL)
    return read_count("max_parallel", given, least=1, most=GREATEST_MAX_PARALLEL)


def written_wait(seconds: int) -> str | None:
    """Write what `read_wait` read."""
    return format_duration(seconds) if seconds else None


def _whole_number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
        return int(value)
    return None
