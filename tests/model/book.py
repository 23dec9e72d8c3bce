"""What people said, written down by the model itself, and whether by that a deployment was allowed to start."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody's wish for a deployment."""

    person: int
    overrides: bool = False
    goes_back: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """A window or a freeze: from `start` up to, and not including, `end`."""

    freezes: bool
    environment: str
    start: datetime
    end: datetime

    def holds(self, environment: str, at: datetime) -> bool:
        return self.environment == environment and self.start <= at < self.end


@dataclass(frozen=True, slots=True)
class Lock:
    """A person's no, of one environment or of all."""

    person: int
    environment: str | None = None
    until: datetime | None = None

    def holds(self, environment: str, at: datetime) -> bool:
        return self.environment in {None, environment} and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True)
class Need:
    """How many have to agree, of whom, and for how long each yes counts."""

    count: int
    people: frozenset[int]
    lasting: timedelta | None = None


@dataclass
class Book:
    """What is in force. What was taken back is struck out."""

    requests: dict[int, Request] = field(default_factory=dict)
    stretches: dict[int, Stretch] = field(default_factory=dict)
    locks: dict[int, Lock] = field(default_factory=dict)
    yeses: dict[tuple[int, int], datetime] = field(default_factory=dict)
    """When who said yes to which deployment last: (deployment, person)."""
    needs: dict[str, list[Need]] = field(default_factory=dict)
    """Of each environment."""
    halted: set[str] = field(default_factory=set)
    """Environments in which going back went wrong, and nobody has said since that it goes on."""

    def against(self, deployment_id: int, environment: str, *, at: datetime) -> Iterator[str]:
        """What forbids that a deployment starts there at this time. What nobody asked for is an automatic rollback: nothing."""
        asked = self.requests.get(deployment_id)
        if asked is None:
            return
        for id_, lock in self.locks.items():
            if lock.person != asked.person and lock.holds(environment, at):
                yield f"lock {id_} holds"
        yield from self._closed(asked, environment, at)
        for need in [] if asked.goes_back else self.needs.get(environment, []):
            agreed = self._agreed(deployment_id, asked, need, at)
            if agreed < need.count:
                yield f"{agreed} of {need.count} agreed"

    def _closed(self, asked: Request, environment: str, at: datetime) -> Iterator[str]:
        here = {id_: each for id_, each in self.stretches.items() if each.environment == environment}
        for id_, each in here.items():
            if each.freezes and each.holds(environment, at):
                yield f"freeze {id_} holds"
        windows = [each for each in here.values() if not each.freezes]
        if windows and not asked.overrides and not any(each.holds(environment, at) for each in windows):
            yield "no window is open"

    def _agreed(self, deployment_id: int, asked: Request, need: Need, at: datetime) -> int:
        return sum(
            said == deployment_id
            and person in need.people - {asked.person}
            and (need.lasting is None or at < since + need.lasting)
            for (said, person), since in self.yeses.items()
        )
