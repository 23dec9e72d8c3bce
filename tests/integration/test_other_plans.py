"""What a plan takes into account of what deployments left at the proxy, and what becomes of one that counted on something else."""

from orchestrator.services import rollbacks
from tests.integration.engine_world import World
from tests.integration.test_moving_traffic import SIDES, THREE, UP, play, use
from tests.integration.time_travel import Clocks, clocks, world

__all__ = ["clocks", "world"]

TWO = "[{name: web-a, kind: noop}, {name: web-b, kind: noop}]"


def test_those_that_get_no_requests_come_first_or_nobody_could_be_taken_out(
    world: World, clocks: Clocks
) -> None:
    use(world, "{kind: rolling, batch: 2}", targets=THREE)
    play(world, world.request("1.0.0", "production"), fail=("web-c", "./install"))
    again = world.request("1.0.0", "production")
    assert play(world, again, fail=("web-c", "./install"))[:2] == ["web-c: 0", "web-a: 0"]
    # Of these two the first would be the canary, and nobody could take its requests.
    use(world, "{kind: canary}", targets="[{name: web-a, kind: noop}, {name: web-c, kind: noop}]")
    canary = world.request("1.0.0", "production")
    assert play(world, canary)[:2] == ["web-c: 0", "web-c: ./install"]
    assert world.status(canary) == "succeeded"
    last = world.request("1.1.0", "production")
    assert play(world, last)[:2] == ["web-a: 0", "web-a: ./install"]


def instead_of(world: World, deployment: int, why: str) -> int:
    """The deployment that takes the place of one whose plan is void, which this says."""
    assert play(world, deployment) == []
    row = world.get(deployment)
    newest = world.scalar("SELECT max(id) FROM deployments")
    assert isinstance(newest, int)
    assert (row.status, row.failure) == ("superseded", f"{why}: deployment {newest} takes its place")
    assert row.replaced_by_id == newest
    return newest


def test_one_that_waited_for_a_switch_that_failed_gets_another_plan(world: World, clocks: Clocks) -> None:
    use(world, "{kind: blue-green}", targets=SIDES)
    first, second, third = (world.request(version, "production") for version in ("1.0.0", "1.1.0", "1.0.0"))
    clocks.go(1)
    play(world, first, fail=("green", "./install"))
    assert world.status(first) == "failed"
    fourth = instead_of(
        world, second, "its plan is for when a deployment before it has succeeded, and none has"
    )
    assert play(world, fourth) == [*UP, "green: 100"]
    fifth = instead_of(world, third, "its plan is for when green has no traffic, and it has")
    assert play(world, fifth)[:2] == ["blue: 0", "blue: ./install"]
    assert [world.status(each) for each in (fourth, fifth)] == ["succeeded", "succeeded"]


def test_a_rollback_goes_to_the_side_that_is_idle_whoever_waits(world: World, clocks: Clocks) -> None:
    use(world, "{kind: blue-green}", targets=SIDES)
    play(world, world.request("1.0.0", "production"))
    bad = world.request("1.1.0", "production")
    play(world, bad)  # blue has the traffic
    waits = world.request("1.1.0", "production")
    with world.database.transaction() as session:
        back = rollbacks.request(session, bad, actor=world.actor, reason="")
    clocks.go(1)
    assert play(world, back)[:2] == ["green: 0", "green: ./install"]
    assert world.status(back) == "succeeded"
    again = instead_of(world, waits, "its plan is for when green has no traffic, and it has")
    assert play(world, again)[:2] == ["blue: 0", "blue: ./install"]


def test_one_that_waited_for_a_deployment_that_left_one_target_alone_gets_another_plan(
    world: World, clocks: Clocks
) -> None:
    use(world, "{kind: rolling, batch: 1}", targets=TWO)
    first, second, third = (world.request("1.0.0", "production") for _ in range(3))
    clocks.go(1)
    play(world, first, fail=("web-b", "./install"))
    assert world.status(first) == "failed"
    again = instead_of(world, second, "its plan begins with the only targets that get requests")
    assert world.get(again).priority > world.get(third).priority
    assert play(world, again)[:2] == ["web-b: 0", "web-b: ./install"]
    assert world.status(again) == "succeeded"
    assert play(world, third)[0] == "web-a: 0"
