"""Who may have a container at a daemon: of the runs of one fence the newest, and one at a time."""

import contextlib
from dataclasses import dataclass

from orchestrator import clock
from orchestrator.targets.base import Run, StaleTokenError, TargetBusyError, TargetError
from orchestrator.targets.docker_containers import CREATED, Container, Containers
from orchestrator.targets.docker_records import Record, Records

KEPT_SECONDS = 7 * 86_400.0
"""How long what is known of a run that is over stays, so that people can look."""


@dataclass(frozen=True, slots=True)
class Fence:
    """What the daemon has of the fence of a run, as it was a moment ago."""

    run: Run
    containers: tuple[Container, ...]
    """Those of other runs."""
    records: tuple[Record, ...]

    @classmethod
    def of(cls, run: Run, containers: Containers, records: Records) -> "Fence":
        """Look at it."""
        others = tuple(each for each in containers.of_fence(run) if each.run != run.name)
        return cls(run, others, tuple(records.of_fence(run)))

    @property
    def token(self) -> int:
        """The greatest it has seen."""
        tokens = [each.token for each in self.containers] + [each.token for each in self.records]
        return max(tokens, default=0)

    def forbids_start(self, container: Container | None) -> bool:
        """Whether the run never may begin, or may have begun in a container that is not there any more."""
        own = [each for each in self.records if each.run == self.run.name]
        return any(each.code is not None for each in own) or (container is None and bool(own))

    def refuse_stale(self) -> None:
        """Raise StaleTokenError if it has seen a greater token than the run's."""
        if self.run.token < self.token:
            raise StaleTokenError(f"the target has seen token {self.token}, this run has {self.run.token}")

    def refuse_second(self) -> None:
        """Raise TargetBusyError if another run lives; a service whose replacement is over is none."""
        over = {each.run for each in self.records if each.is_verdict}
        for other in self.containers:
            if other.lives and other.run not in over:
                raise TargetBusyError(f"run {other.run} still holds the target")

    def end_waiting(self, containers: Containers) -> None:
        """Remove what others have made and not started, so that it cannot start any more. Raises TargetBusyError if it did."""
        for other in self.containers:
            if other.state == CREATED and not containers.remove(other):
                raise TargetBusyError(f"run {other.run} holds the target now")

    def forget(self, containers: Containers, records: Records) -> None:
        """Remove what nobody asks for any more."""
        before = clock.now().timestamp() - KEPT_SECONDS
        for container in self.containers:
            if not container.service and not container.lives and container.created_at < before:
                with contextlib.suppress(TargetError):
                    containers.remove(container)
        needed = {self.run.name, *(each.run for each in self.containers)}
        for record in self.records:
            is_spent = not record.run and record.token <= self.run.token
            is_old = record.run not in needed and record.created_at.timestamp() < before
            if is_spent or is_old:
                records.forget(record)
