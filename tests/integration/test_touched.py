"""How far a deployment reached, and for how long: on real Postgres, with time that is told how to pass."""

from datetime import timedelta

import pytest

from api.schemas.touched import present
from orchestrator.domain.errors import NotFoundError
from orchestrator.domain.statuses import Outcome
from orchestrator.repositories import steps
from orchestrator.services import deployments, rollbacks
from tests.integration.engine_world import World, worker
from tests.integration.time_travel import BEGINNING, Clocks, clocks, use_pipeline, world

__all__ = ["clocks", "world"]


def touched(world: World, deployment: int) -> dict[str, object]:
    with world.database.reading() as session:
        return present(steps.touched(session, deployment))


def test_one_that_waits_touched_nothing(world: World, clocks: Clocks) -> None:
    made = world.request("1.0.0", "lab")
    clocks.go(60)
    assert touched(world, made) == {"targets": 0, "of": 3, "since": None, "until": None, "seconds": 0.0}


def test_it_counts_the_targets_that_were_begun_and_the_time_to_its_end(world: World, clocks: Clocks) -> None:
    use_pipeline(world, "kind: all-at-once, max_failures: 1", "kind: rolling, batch: 2")
    clocks.go(60)
    made = world.request("1.0.0", "lab")
    claim = world.advance(made, worker())
    clocks.go(30)
    begun = BEGINNING + timedelta(seconds=60)
    assert touched(world, made) == {"targets": 1, "of": 3, "since": begun, "until": None, "seconds": 30.0}
    assert claim is not None
    world.finish(claim)
    assert world.run_to_end(made, {"lab-b": Outcome.FAILED}) == "failed"
    found = touched(world, made)
    assert (found["targets"], found["until"]) == (2, begun + timedelta(seconds=30))


def test_what_was_rolled_back_was_touched_until_the_rollback_had_succeeded(
    world: World, clocks: Clocks
) -> None:
    for version in ("1.0.0", "1.1.0"):
        clocks.go(60)
        bad = world.request(version, "lab")
        assert world.run_to_end(bad) == "succeeded"
    clocks.go(100)
    with world.database.transaction() as session:
        back = rollbacks.request(session, bad, reason="", actor=world.actor)
    clocks.go(20)
    assert (touched(world, bad)["until"], touched(world, bad)["seconds"]) == (None, 120.0)
    world.run_to_end(back)
    begun = BEGINNING + timedelta(seconds=120)
    assert touched(world, bad) == {
        "targets": 3,
        "of": 3,
        "since": begun,
        "until": begun + timedelta(seconds=120),
        "seconds": 120.0,
    }


def test_what_was_refused_before_anything_began_was_not_touched(world: World, clocks: Clocks) -> None:
    """A host key that changed, say; behind it, a host that could not be reached, before its deployment was cancelled."""
    use_pipeline(world, "kind: all-at-once, max_failures: 1", "kind: all-at-once, max_failures: 3")
    clocks.go(60)
    made = world.request("1.0.0", "lab")
    assert world.run_to_end(made, dict.fromkeys(("lab-a", "lab-b", "lab-c"), Outcome.UNSTARTED)) == "failed"
    assert (touched(world, made)["targets"], touched(world, made)["since"]) == (0, None)
    made = world.request("1.0.0", "lab")
    assert world.run_to_end(made, {"lab-a": Outcome.UNSTARTED}) == "failed"
    assert touched(world, made)["targets"] == 2


def test_one_that_was_to_be_tried_again_and_was_cancelled_was_not_touched(
    world: World, clocks: Clocks
) -> None:
    use_pipeline(world, "  - run: ./install\n", "  - run: ./install\n    retries: 1\n")
    made = world.request("1.0.0")
    claim = world.advance(made, worker())
    assert claim is not None
    world.finish(claim, Outcome.UNREACHABLE)
    with world.database.transaction() as session:
        deployments.cancel(session, made, actor=world.actor, reason="")
    assert world.status(made) == "cancelled"
    assert (touched(world, made)["targets"], touched(world, made)["since"]) == (0, None)


def test_one_that_is_not_there_is_not_found(world: World) -> None:
    with pytest.raises(NotFoundError):
        touched(world, 4711)
