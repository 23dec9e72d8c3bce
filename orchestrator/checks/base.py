"""What a check is: a question that a `verify` step asks until the answer is yes or its time is over."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self


@dataclass(frozen=True, slots=True)
class Probe:
    """One answer. `detail` says to a person what was seen; no answer is never `ok`."""

    ok: bool
    detail: str


class Check(Protocol):
    """One check, made from its settings. May be called from any thread."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Check `settings` (raises SettingsRefusedError) and make the check; does no I/O."""
        ...

    def probe(self, timeout_seconds: float) -> Probe:
        """Ask once. Never raises because of what is asked: what went wrong is the probe's detail."""
        ...
