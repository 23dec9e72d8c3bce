"""What may wait in a slot, from when on and until when: on real Postgres."""

from datetime import timedelta

import pytest

from orchestrator import clock
from orchestrator.db import Database
from orchestrator.domain.errors import ConflictError, RuleViolationError
from orchestrator.services import deployments, pipelines
from tests.integration.engine_world import PIPELINE, World, worker


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        made.release(version)
    return made


def use_queue(world: World, policy: str) -> None:
    source = PIPELINE.replace("  staging:\n", f"  staging:\n    queue: {policy}\n")
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=source, actor=world.actor)


def request(world: World, version: str, **more: object) -> int:
    with world.database.transaction() as session:
        return deployments.request(
            session,
            application="shop",
            version=version,
            environment="staging",
            reason="",
            actor=world.actor,
            **more,  # type: ignore[arg-type]
        ).id


def pass_time(world: World, column: str, deployment: int) -> None:
    """As if its time had come."""
    world.execute(
        f"UPDATE deployments SET {column} = clock_timestamp() - interval '1 second' WHERE id = :id",  # noqa: S608
        id=deployment,
    )


def test_a_scheduled_deployment_sleeps_until_its_time_and_lets_others_pass(world: World) -> None:
    at = clock.now() + timedelta(hours=3)
    later = request(world, "1.0.0", scheduled_for=at)
    row = world.held(later)
    assert (row.status, row.held_by, row.wake_at) == ("pending", "schedule", at)
    assert world.run_to_end(request(world, "1.0.0")) == "succeeded"
    pass_time(world, "scheduled_for", later)
    assert world.run_to_end(later) == "succeeded"


def test_one_that_is_scheduled_behind_a_busy_slot_is_looked_at_at_its_time(world: World) -> None:
    assert world.advance(request(world, "1.0.0"), worker()) is not None
    at = clock.now() + timedelta(seconds=20)
    later = request(world, "1.0.0", scheduled_for=at)
    assert world.held(later).wake_at == at


def test_one_that_expires_is_given_up_and_wakes_no_one_else(world: World) -> None:
    now = clock.now()
    running = request(world, "1.0.0")
    assert world.advance(running, worker()) is not None
    behind = request(world, "1.0.0", expires_at=now + timedelta(minutes=10))
    world.advance(behind, worker())
    assert world.get(behind).wake_at <= now + timedelta(minutes=10)
    pass_time(world, "expires_at", behind)
    assert world.advance(behind, worker()) is None
    assert world.status(behind) == "expired"
    assert world.column("SELECT DISTINCT status FROM steps WHERE deployment_id = :id", id=behind) == [
        "skipped"
    ]
    assert world.status(running) == "running"


def test_one_that_runs_does_not_expire(world: World) -> None:
    running = request(world, "1.0.0", expires_at=clock.now() + timedelta(minutes=10))
    claim = world.advance(running, worker())
    assert claim is not None
    pass_time(world, "expires_at", running)
    world.advance(running)
    assert world.status(running) == "running"


@pytest.mark.parametrize(
    "times",
    [
        {"scheduled_for": clock.now() - timedelta(seconds=1)},
        {"scheduled_for": clock.now() + timedelta(days=400)},
        {"expires_at": clock.now() - timedelta(seconds=1)},
        {"scheduled_for": clock.now() + timedelta(hours=2), "expires_at": clock.now() + timedelta(hours=1)},
    ],
)
def test_times_that_make_no_sense_are_refused(world: World, times: dict[str, object]) -> None:
    with pytest.raises(RuleViolationError):
        request(world, "1.0.0", **times)


def test_the_latest_takes_the_place_of_what_waits_but_not_of_what_runs(world: World) -> None:
    use_queue(world, "latest_wins")
    running = request(world, "1.0.0")
    assert world.advance(running, worker()) is not None
    second, third = request(world, "1.1.0"), request(world, "1.2.0")
    assert [world.status(each) for each in (running, second, third)] == ["running", "superseded", "pending"]
    row = world.get(second)
    assert row.failure == f"deployment {third} is newer and took its place in the queue"
    assert row.replaced_by_id is None  # it is another release
    events = "SELECT kind FROM events WHERE deployment_id = :id ORDER BY seq"
    assert world.column(events, id=second) == ["deployment.requested", "deployment.superseded"]


def test_a_queue_that_rejects_takes_one_at_a_time(world: World) -> None:
    use_queue(world, "reject")
    first = request(world, "1.0.0")
    with pytest.raises(ConflictError, match=f"deployment {first} "):
        request(world, "1.1.0")
    assert world.scalar("SELECT count(*) FROM deployments") == 1
    assert world.run_to_end(first) == "succeeded"
    assert world.run_to_end(request(world, "1.1.0")) == "succeeded"


def test_an_older_release_than_what_runs_has_to_be_allowed(world: World) -> None:
    assert world.run_to_end(request(world, "1.1.0")) == "succeeded"
    with pytest.raises(RuleViolationError, match=r"1\.1\.0 runs in staging, and 1\.0\.0 is older"):
        request(world, "1.0.0")
    assert world.run_to_end(request(world, "1.1.0")) == "succeeded"
    assert world.run_to_end(request(world, "1.0.0", allow_downgrade=True)) == "succeeded"
    assert world.run_to_end(request(world, "1.2.0")) == "succeeded"
