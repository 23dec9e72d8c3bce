"""What held a deployment, and how long, is kept: each gate in its turn, on a clock that moves when it is told to."""

from datetime import timedelta

from orchestrator.services import deployments
from tests.integration.engine_world import World
from tests.integration.time_travel import BEGINNING, Clocks, clocks, world

__all__ = ["clocks", "world"]


def holds(world: World, deployment: int) -> list[tuple[str, int, int]]:
    """Kind, and from which to which minute."""
    found = world.rows(
        "SELECT kind, since, until FROM holds WHERE deployment_id = :id ORDER BY since", id=deployment
    )
    return [
        (kind, *((at - BEGINNING) // timedelta(minutes=1) for at in (since, until)))
        for kind, since, until in found
    ]


def test_each_gate_is_kept_for_the_time_in_which_it_was_the_one_that_held(
    world: World, clocks: Clocks
) -> None:
    with world.database.transaction() as session:
        made = deployments.request(
            session,
            application="shop",
            version="1.0.0",
            environment="production",
            reason="",
            actor=world.actor,
            scheduled_for=clocks.now + timedelta(minutes=60),
        ).id
    start = (clocks.now - BEGINNING) // timedelta(minutes=1)
    world.advance(made)
    assert holds(world, made) == []
    clocks.go(60 * 60)
    world.advance(made)
    assert holds(world, made) == [("schedule", start, start + 60)]
    clocks.go(30 * 60)
    assert world.run_to_end(world.request("1.0.0", "staging")) == "succeeded"
    assert world.run_to_end(made) == "succeeded"
    assert holds(world, made) == [("schedule", start, start + 60), ("promotion", start + 60, start + 90)]
    assert world.get(made).held_since is None


def test_a_busy_slot_is_no_gate_that_is_kept(world: World, clocks: Clocks) -> None:
    first, second = world.request("1.0.0"), world.request("1.1.0")
    world.advance(first)
    world.advance(second)
    clocks.go(600)
    assert world.run_to_end(first) == "succeeded"
    assert world.run_to_end(second) == "succeeded"
    assert holds(world, second) == []


def test_the_end_of_one_that_never_started_ends_what_held_it(world: World, clocks: Clocks) -> None:
    made = world.request("1.0.0", "production")
    start = (clocks.now - BEGINNING) // timedelta(minutes=1)
    world.advance(made)
    clocks.go(600)
    with world.database.transaction() as session:
        deployments.cancel(session, made, actor=world.actor, reason="")
    world.advance(made)
    assert world.status(made) == "cancelled"
    assert holds(world, made) == [("promotion", start, start + 10)]


def test_who_was_there_before_the_table_has_no_part_of_it(world: World, clocks: Clocks) -> None:
    made = world.request("1.0.0", "production")
    world.advance(made)
    world.execute("UPDATE deployments SET held_since = NULL, holds_kept = false WHERE id = :id", id=made)
    clocks.go(600)
    assert world.run_to_end(world.request("1.0.0", "staging")) == "succeeded"
    assert world.run_to_end(made) == "succeeded"
    assert holds(world, made) == []


def test_a_clock_that_is_set_back_ends_no_hold_before_it_began(world: World, clocks: Clocks) -> None:
    made = world.request("1.0.0", "production")
    start = (clocks.now - BEGINNING) // timedelta(minutes=1)
    world.advance(made)
    clocks.jump(-300)
    with world.database.transaction() as session:
        deployments.cancel(session, made, actor=world.actor, reason="")
    world.advance(made)
    assert world.status(made) == "cancelled"
    assert holds(world, made) == [("promotion", start, start)]
