"""A world that asks for the health of staging while a release soaks there, with clocks that leap from one event to the next."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from orchestrator.checks.base import Probe
from orchestrator.presenting.deployments import present_whole
from orchestrator.repositories import health as watches
from orchestrator.services import health, pipelines
from tests.integration.engine_world import PIPELINE, World, worker
from tests.integration.time_travel import Clocks

STAGING = "  staging:\n    targets: [{name: web-a, kind: noop}]\n"
ASKED = """  staging:
    targets: [{name: web-a, kind: noop}, {name: web-b, kind: noop}]
    health: {http: "http://127.0.0.1:9/health", every: 1m}
"""
AFTER = "    after: staging\n"
SOAKING = f"{AFTER}    soak: 30m\n"
WELL = Probe(True, "status 200")


def use_health(world: World, *, asked: str = ASKED, soaking: str = SOAKING) -> None:
    """Have two targets of staging asked every minute, and half an hour of soak before production."""
    source = PIPELINE.replace(STAGING, asked).replace(AFTER, soaking)
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=source, actor=world.actor)


@dataclass
class Site:
    """What the targets would answer, and how the time goes on there; ticks and workers are played by hand."""

    world: World
    clocks: Clocks
    sick: dict[str, str] = field(default_factory=dict)
    """Targets that are not well, with what their checks say."""
    away: bool = False
    """Whether nobody asks."""
    asked: list[tuple[datetime, str]] = field(default_factory=list)

    def to_staging(self, version: str) -> int:
        deployment = self.world.request(version, "staging")
        assert self.world.run_to_end(deployment) == "succeeded"
        return deployment

    def go_on(self, span: timedelta) -> None:
        """Let time pass, and everything happen at its time."""
        end = self.clocks.now + span
        while (coming := self._next()) is not None and coming <= end:
            self.clocks.go(max(0.0, (coming - self.clocks.now).total_seconds()))
            self._do_what_is_due()
        self.clocks.go((end - self.clocks.now).total_seconds())

    def _next(self) -> datetime | None:
        wakes = "SELECT min(wake_at) FROM deployments"
        checks = (
            "SELECT least((SELECT min(due_at) FROM health_watches), (SELECT min(wake_at) FROM deployments))"
        )
        found = self.world.scalar(wakes if self.away else checks)
        assert found is None or isinstance(found, datetime)
        return found

    def _do_what_is_due(self) -> None:
        if not self.away:
            self.ask()
        due = "SELECT id FROM deployments WHERE wake_at <= clock_timestamp() ORDER BY priority DESC, id"
        for each in self.world.column(due):
            assert isinstance(each, int)
            self.world.run_to_end(each)

    def ask(self) -> None:
        """As a tick and the workers would."""
        with self.world.database.transaction() as session:
            due = watches.take_due(session, limit=100, push_seconds=3)
        for row in due:
            while answers := self._answers(row.deployment_id):
                with self.world.database.transaction() as session:
                    health.record(session, row.deployment_id, answers)

    def _answers(self, deployment: int) -> dict[int, tuple[datetime, Probe]]:
        with self.world.database.transaction() as session:
            questions = health.take(session, deployment, limit=64)
        names = dict(self.world.rows("SELECT id, name FROM targets"))
        self.asked += [(each.asked_at, names[each.target_id]) for each in questions]
        return {each.target_id: (each.asked_at, self._answer(names[each.target_id])) for each in questions}

    def _answer(self, target: str) -> Probe:
        return Probe(False, self.sick[target]) if target in self.sick else WELL

    def waiting(self, deployment: int) -> list[tuple[str, str, datetime | None]]:
        with self.world.database.reading() as session:
            shown = present_whole(session, self.world.get(deployment))["waiting_for"]
        return [(each["kind"], each["message"], each["until"]) for each in shown]

    def events(self, deployment: int) -> list[tuple[str, dict[str, object]]]:
        found = self.world.rows(
            "SELECT kind, data FROM events WHERE deployment_id = :id AND kind LIKE 'health.%' ORDER BY seq",
            id=deployment,
        )
        return [(kind, data) for kind, data in found]


@pytest.fixture
def site(world: World, clocks: Clocks) -> Site:
    """It is 12:00:00; staging is asked every minute."""
    use_health(world)
    return Site(world, clocks)


def at(hour: int, minute: int, second: int = 0) -> datetime:
    return datetime.fromisoformat(f"2026-11-23T{hour:02}:{minute:02}:{second:02}+00:00")


def start_by_hand(world: World, deployment: int) -> bool:
    """Whether it starts, if a worker looks at it now."""
    return world.advance(deployment, worker()) is not None
