"""What a check is: a question that a `verify` step asks until the answer is yes or its time is over."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from orchestrator.domain.durations import parse_duration
from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.domain.printing import printable

OF_THE_ENGINE = ("within", "interval")
LONGEST_LATENCY_SECONDS = 5.0
"""No single question is waited for any longer."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One answer. `detail` says to a person what was seen; no answer is never `ok`."""

    ok: bool
    detail: str
    silent: bool = False
    """Whether nothing was said about what was asked: no answer, or one that is no statement."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", printable(self.detail))


class Check(Protocol):
    """One check, made from its settings. May be called from any thread."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Check `settings` (raises SettingsRefusedError) and make the check; does no I/O."""
        ...

    def probe(self, timeout_seconds: float) -> Probe:
        """Ask once. Never raises because of what is asked: what went wrong is the probe's detail."""
        ...


def refuse_unknown(settings: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise SettingsRefusedError for the first setting that is neither one of `known` nor the engine's own."""
    allowed = (*known, *OF_THE_ENGINE)
    for name in settings:
        if name not in allowed:
            nearest = difflib.get_close_matches(str(name), allowed, 1, 0)[0]
            raise SettingsRefusedError(str(name), f"there is no such setting; did you mean {nearest!r}?")


def read_latency(settings: Mapping[str, Any]) -> float | None:
    """How many seconds a single answer may take, if `latency` says so. Raises SettingsRefusedError."""
    if "latency" not in settings:
        return None
    problem = f"must be a duration of at most {LONGEST_LATENCY_SECONDS:g}s, such as 500ms"
    try:
        seconds = parse_duration(settings["latency"])
    except (ValueError, AttributeError) as error:
        raise SettingsRefusedError("latency", problem) from error
    if not 0 < seconds <= LONGEST_LATENCY_SECONDS:
        raise SettingsRefusedError("latency", problem)
    return seconds
