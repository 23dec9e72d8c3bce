"""The target kind `noop`: does nothing and succeeds at once, for rehearsals and benchmarks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.targets.base import Command, Exited, Poll, Run


@dataclass(frozen=True, slots=True)
class NoopTarget:
    """Nothing."""

    node_bound: ClassVar[bool] = False

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], *, runs_dir: str) -> Self:
        """Refuse any setting: there is nothing to set."""
        for name in settings:
            raise SettingsRefusedError(name, "the kind noop has no settings")
        return cls()

    def start(self, run: Run, command: Command) -> None:
        """Do nothing."""

    def poll(self, run: Run, offset: int) -> Poll:
        """Say that it succeeded without a word."""
        return Exited(0, b"", offset)

    def abort(self, run: Run, *, grace_seconds: float) -> None:
        """Do nothing."""
