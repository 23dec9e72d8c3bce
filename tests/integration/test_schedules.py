"""Recurring deployments. It is Monday 2026-11-23, 12:00 UTC; in Berlin it is 13:00."""

from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest

from orchestrator.config import Settings
from orchestrator.domain.access import Role
from orchestrator.domain.errors import ForbiddenError, InvalidInputError, NotFoundError
from orchestrator.repositories import schedules as rows
from orchestrator.services import rollbacks, schedules
from orchestrator.services.actors import Actor
from tests.integration.engine_world import World, worker
from tests.integration.time_travel import BEGINNING, Clocks, clocks, use_pipeline, world
from workers import context
from workers.context import WorkerContext
from workers.leases import LeaseKeeper
from workers.tasks import recovery

__all__ = ["clocks", "world"]

TUESDAY_9 = datetime(2026, 11, 24, 8, tzinfo=UTC)
"""09:00 in Berlin."""
NEXT_TUESDAY_9 = datetime(2026, 12, 1, 8, tzinfo=UTC)


@pytest.fixture(autouse=True)
def free_production(world: World) -> None:
    use_pipeline(world, "    after: staging\n", "")


def make(world: World, *, actor: Actor | None = None, **more: Any) -> int:
    given = {
        "application": "shop",
        "environment": "production",
        "from_environment": "staging",
        "cron": "0 9 * * tue",
        "zone": "Europe/Berlin",
        "reason": "",
    }
    with world.database.transaction() as session:
        return schedules.create(session, **(given | more), actor=actor or world.actor)


def run(world: World, schedule: int) -> str:
    """What came of it."""
    with world.database.transaction() as session:
        schedules.run(session, schedule)
    return str(get(world, schedule).last_outcome)


def get(world: World, schedule: int) -> Any:
    with world.database.reading() as session:
        return rows.get(session, schedule)


def due(world: World) -> list[int]:
    with world.database.transaction() as session:
        return rows.take_due(session, limit=10, push_seconds=30)


def go_to(clocks: Clocks, instant: datetime) -> None:
    clocks.go((instant - clocks.now).total_seconds())


def deployed(world: World) -> list[int]:
    found = world.column("SELECT id FROM deployments WHERE environment = 'production' ORDER BY id")
    return [int(each) for each in found]  # type: ignore[call-overload]


def test_it_requests_what_succeeded_there_last_at_its_time_once(world: World, clocks: Clocks) -> None:
    world.run_to_end(world.request("1.0.0"))
    schedule = make(world)
    assert get(world, schedule).next_at == TUESDAY_9
    run(world, schedule)
    assert due(world) == []
    assert deployed(world) == []
    go_to(clocks, TUESDAY_9)
    assert due(world) == [schedule]
    assert due(world) == []
    assert run(world, schedule) == "shop 1.0.0 requested"
    run(world, schedule)
    (made,) = deployed(world)
    row = world.get(made)
    assert (row.version, row.requested_by, row.reason) == ("1.0.0", world.actor.id, f"schedule {schedule}")
    assert row.expires_at == NEXT_TUESDAY_9
    found = get(world, schedule)
    assert (found.next_at, found.due_at, found.last_deployment_id) == (NEXT_TUESDAY_9, NEXT_TUESDAY_9, made)
    kinds = world.column("SELECT kind FROM events WHERE subject = :subject", subject=f"schedule:{schedule}")
    assert kinds == ["schedule.created", "schedule.ran"]


def test_a_look_that_came_to_no_end_is_taken_again(world: World, clocks: Clocks) -> None:
    schedule = make(world)
    go_to(clocks, TUESDAY_9)
    assert due(world) == [schedule]
    clocks.go(30)
    assert due(world) == [schedule]


def test_one_that_cannot_be_carried_out_keeps_no_other_from_its_time(
    world: World, clocks: Clocks, settings: Settings
) -> None:
    broken, other = make(world), make(world)
    world.execute(f"ALTER TABLE schedules ADD CHECK (id <> {broken} OR last_outcome = '')")
    go_to(clocks, TUESDAY_9)
    ours = WorkerContext(settings, world.database, LeaseKeeper(world.database, lease_seconds=30), worker())
    with patch.object(context, "current", lambda: ours):
        recovery.tick()
    assert get(world, broken).last_outcome == ""
    assert get(world, other).last_outcome == "left out: nothing of shop has succeeded in staging yet"


def test_without_an_environment_it_takes_the_newest_release(world: World, clocks: Clocks) -> None:
    schedule = make(world, from_environment=None)
    go_to(clocks, TUESDAY_9)
    assert run(world, schedule) == "shop 1.1.0 requested"


def test_what_is_there_already_is_left_out(world: World, clocks: Clocks) -> None:
    world.run_to_end(world.request("1.0.0"))
    world.run_to_end(world.request("1.0.0", "production"))
    schedule = make(world)
    go_to(clocks, TUESDAY_9)
    assert run(world, schedule) == "left out: shop 1.0.0 is in production, or on its way"
    assert get(world, schedule).next_at == NEXT_TUESDAY_9


def test_why_nothing_could_be_requested_is_told(world: World, clocks: Clocks) -> None:
    schedule = make(world)
    go_to(clocks, TUESDAY_9)
    assert run(world, schedule) == "left out: nothing of shop has succeeded in staging yet"
    for version in ("1.0.0", "1.1.0"):
        staging = world.request(version)
        world.run_to_end(staging)
    with world.database.transaction() as session:
        rollbacks.request(session, staging, actor=world.actor, reason="slow")
    go_to(clocks, NEXT_TUESDAY_9)
    assert run(world, schedule) == "left out: shop 1.1.0 is being rolled back in staging"


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ("active = false", "left out: ada, who made the schedule, is not active any more"),
        (
            "role = 'viewer'",
            "left out: this needs the role deployer or higher for shop in production; yours there is viewer",
        ),
    ],
)
def test_it_may_only_what_its_maker_may(world: World, clocks: Clocks, change: str, outcome: str) -> None:
    world.run_to_end(world.request("1.0.0"))
    schedule = make(world)
    world.execute(f"UPDATE users SET {change}")  # noqa: S608
    go_to(clocks, TUESDAY_9)
    assert run(world, schedule) == outcome
    assert deployed(world) == []


def test_what_nobody_could_look_at_in_time_is_left_out(world: World, clocks: Clocks) -> None:
    world.run_to_end(world.request("1.0.0"))
    schedule = make(world)
    go_to(clocks, TUESDAY_9)
    clocks.go(3601)
    assert run(world, schedule) == "left out: nobody could look at it for 60 minutes"
    assert get(world, schedule).next_at == NEXT_TUESDAY_9


def test_one_that_is_removed_requests_nothing_more(world: World, clocks: Clocks) -> None:
    schedule = make(world)
    eve = Actor(999, "eve", Role.DEPLOYER, "sign-in")
    with world.database.transaction() as session:
        with pytest.raises(ForbiddenError, match="of ada belongs to somebody else"):
            schedules.remove(session, schedule, actor=eve)
        schedules.remove(session, schedule, actor=world.actor)
        schedules.remove(session, schedule, actor=world.actor)
    go_to(clocks, TUESDAY_9)
    assert due(world) == []
    run(world, schedule)
    assert deployed(world) == []


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"cron": "every day"}, InvalidInputError, "cannot be used"),
        ({"zone": "Mars/Olympus"}, InvalidInputError, "cannot be used"),
        ({"cron": "0 0 30 2 *"}, InvalidInputError, "cannot be used"),
        ({"application": "shoe"}, NotFoundError, "shoe"),
        ({"environment": "nowhere"}, NotFoundError, "nowhere"),
        ({"from_environment": "nowhere"}, NotFoundError, "nowhere"),
        ({"actor": Actor(1, "vic", Role.VIEWER, "x")}, ForbiddenError, "deployer"),
    ],
)
def test_what_cannot_be_is_refused(world: World, wrong: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        make(world, **wrong)
    assert world.scalar("SELECT count(*) FROM schedules") == 0


def test_times_follow_the_clocks_of_the_zone() -> None:
    """Berlin leaves summer time on 2026-10-25 at 01:00 UTC."""
    before = datetime(2026, 10, 24, 12, tzinfo=UTC)
    first = schedules.following("0 9 * * *", "Europe/Berlin", before)
    assert first == datetime(2026, 10, 25, 8, tzinfo=UTC)
    assert schedules.following("0 9 * * *", "Europe/Berlin", BEGINNING) == TUESDAY_9
