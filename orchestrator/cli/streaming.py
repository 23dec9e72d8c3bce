"""Follows a deployment by what the server tells by itself."""

import json
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator import clock
from orchestrator.client import (
    ApiError,
    DeploymentStream,
    NotStreamedError,
    Record,
    ServerEvent,
    UnreachableError,
)

MOST_FAILURES = 5
"""How often in a row a connection may bring nothing before the server is asked again and again instead."""
LASTING_SECONDS = 10.0
"""How long a connection must have lasted not to count among them, though nothing may have happened."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 2.0


class Watch(Protocol):
    """The follower that is told; it can go on by itself from whatever it was told last."""

    def told(self, deployment: Record) -> None:
        """How it stands."""

    def told_steps(self, steps: list[Record]) -> None:
        """Steps of one wave, those included that did not change."""

    def told_log(self, page: Record) -> None:
        """The next page of the log."""

    def seconds_left(self) -> float | None:
        """Before it is to give up; None: never."""

    def pause(self, seconds: float) -> None:
        """Wait before the next connection."""


@dataclass(slots=True)
class StreamReader:
    """Reads the stream of one deployment, over as many connections as it takes."""

    stream: DeploymentStream
    watch: Watch
    _failures: int = field(default=0, init=False)
    _steps: dict[int, Record] = field(default_factory=dict, init=False)

    def run(self) -> bool:
        """Whether the end was told; otherwise go on without the stream, nothing was missed and nothing comes twice."""
        while self._failures < MOST_FAILURES:
            left, begun = self.watch.seconds_left(), clock.monotonic()
            if left is not None and left <= 0:
                return False
            try:
                if self._read(within_seconds=left):
                    return True
            except (NotStreamedError, ApiError):
                return False
            except UnreachableError:
                pass
            if clock.monotonic() - begun > LASTING_SECONDS:
                self._failures = 0
            self.watch.pause(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**self._failures))
            self._failures += 1
        return False

    def _read(self, *, within_seconds: float | None) -> bool:
        for event in self.stream.events(within_seconds=within_seconds):
            if event.type == "end":
                return True
            self._tell(event)
        return False

    def _tell(self, event: ServerEvent) -> None:
        data = json.loads(event.data)
        if event.type == "status":
            self.watch.told(data)
        elif event.type == "steps":
            self._tell_steps(data["items"])
        elif event.type == "log":
            self._failures = 0
            self.watch.told_log(data)

    def _tell_steps(self, changed: list[Record]) -> None:
        """Wave by wave; of waves that are behind only the last is remembered."""
        self._steps.update((step["id"], step) for step in changed)
        for wave in sorted({step["wave"] for step in changed}):
            self.watch.told_steps([step for step in self._steps.values() if step["wave"] == wave])
        newest = max(step["wave"] for step in self._steps.values())
        self._steps = {id: step for id, step in self._steps.items() if step["wave"] == newest}
