"""Where a rollback goes, what a retry of one is, and what it says of targets that are not there any more."""

import pytest

from orchestrator.db import Database
from orchestrator.domain.errors import RuleViolationError
from orchestrator.domain.statuses import Outcome
from orchestrator.services import deployments, locks, pipelines, rollbacks
from tests.integration.engine_world import PIPELINE, World, worker

WHAT = """
    SELECT r.version, d.rolls_back_id, d.retry_of_id FROM deployments d JOIN releases r ON r.id = d.release_id WHERE d.id = :id
"""
REQUESTED = """
    SELECT data FROM events WHERE deployment_id = :id AND kind = 'deployment.requested'
"""


@pytest.fixture
def world(database: Database) -> World:
    """Two releases that have been in staging."""
    made = World(database)
    for version in ("1.0.0", "1.1.0"):
        made.release(version)
        assert made.run_to_end(made.request(version)) == "succeeded"
    return made


def deploy(world: World, version: str, outcomes: dict[str, Outcome] | None = None) -> int:
    made = world.request(version, "production")
    assert world.run_to_end(made, outcomes) == ("failed" if outcomes else "succeeded")
    return made


def go_back(world: World, deployment: int, outcomes: dict[str, Outcome] | None = None) -> int:
    made = request(world, deployment)
    assert world.run_to_end(made, outcomes) == ("failed" if outcomes else "succeeded")
    return made


def request(world: World, deployment: int) -> int:
    with world.database.transaction() as session:
        return rollbacks.request(session, deployment, actor=world.actor, reason="")


def retry(world: World, deployment: int) -> int:
    with world.database.transaction() as session:
        return deployments.retry(session, deployment, actor=world.actor)


def automatic(world: World, deployment: int) -> int | None:
    found = world.scalar("SELECT id FROM deployments WHERE rolls_back_id = :id", id=deployment)
    assert found is None or isinstance(found, int)
    return found


def version_of(world: World, deployment: int) -> object:
    return world.rows(WHAT, id=deployment)[0][0]


def where_the_next_goes_back_to(world: World) -> object:
    """By itself, as it fails."""
    world.release("1.2.0")
    assert world.run_to_end(world.request("1.2.0")) == "succeeded"
    back = automatic(world, deploy(world, "1.2.0", {"web-a": Outcome.FAILED}))
    assert back is not None
    return version_of(world, back)


def drop(world: World, target: str) -> None:
    source = PIPELINE.replace(f"{{name: {target}, kind: noop}}", f"{{name: new-{target}, kind: noop}}")
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=source, actor=world.actor)


def test_nobody_goes_back_by_themselves_to_what_somebody_went_back_from(world: World) -> None:
    deploy(world, "1.0.0")
    go_back(world, deploy(world, "1.1.0"))
    again = deploy(world, "1.0.0", {"web-a": Outcome.FAILED})
    assert automatic(world, again) is None
    assert "no other release of shop has succeeded in production before and was kept there" in str(
        world.get(again).failure
    )


def test_nor_where_going_back_from_it_failed(world: World) -> None:
    deploy(world, "1.0.0")
    go_back(world, deploy(world, "1.1.0"), {"web-c": Outcome.FAILED})
    lock = world.scalar("SELECT id FROM locks")
    assert isinstance(lock, int)
    with world.database.transaction() as session:
        locks.release(session, lock, actor=world.actor)
    assert where_the_next_goes_back_to(world) == "1.0.0"


def test_a_rollback_that_was_given_up_says_nothing_against_the_release(world: World) -> None:
    deploy(world, "1.0.0")
    given_up = request(world, deploy(world, "1.1.0"))
    with world.database.transaction() as session:
        deployments.cancel(session, given_up, actor=world.actor, reason="it was the network")
    assert where_the_next_goes_back_to(world) == "1.1.0"


def test_a_rollback_is_rolled_back_to_what_it_went_back_from(world: World) -> None:
    deploy(world, "1.0.0")
    back = go_back(world, deploy(world, "1.1.0"))
    forth = go_back(world, back)
    assert version_of(world, forth) == "1.1.0"
    assert version_of(world, go_back(world, forth)) == "1.0.0"


def test_a_retry_of_a_rollback_is_a_rollback_of_the_same_targets(world: World) -> None:
    deploy(world, "1.0.0")
    bad = deploy(world, "1.1.0", {"web-b": Outcome.FAILED})
    back = automatic(world, bad)
    assert back is not None
    assert world.run_to_end(back, {"web-b": Outcome.FAILED}) == "failed"
    again = retry(world, back)
    assert world.rows(WHAT, id=again) == [("1.0.0", bad, back)]
    assert world.get(again).reason == f"retry of deployment {back}"
    targets = "SELECT DISTINCT target_name FROM steps WHERE deployment_id = :id ORDER BY target_name"
    assert world.column(targets, id=again) == ["web-a", "web-b"]


def test_a_retry_of_a_rollback_is_no_downgrade_that_is_to_be_allowed(world: World) -> None:
    deploy(world, "1.0.0")
    bad = deploy(world, "1.1.0")
    back = go_back(world, bad, {"web-c": Outcome.FAILED})
    again = retry(world, back)
    assert world.rows(WHAT, id=again) == [("1.0.0", bad, back)]


def test_a_rollback_says_which_targets_it_leaves_as_they_are(world: World) -> None:
    deploy(world, "1.0.0")
    bad = world.request("1.1.0", "production")
    one = worker()
    claim = world.advance(bad, one)
    while claim is not None:
        if claim.work.target_name == "web-b":
            drop(world, "web-a")
        fails = claim.work.target_name == "web-b"
        claim = world.finish(claim, Outcome.FAILED if fails else Outcome.SUCCEEDED, one)
    back = automatic(world, bad)
    assert f"put back by deployment {back}, but not on web-a: not in the pipeline any more" in str(
        world.get(bad).failure
    )
    (data,) = world.column(REQUESTED, id=back)
    assert isinstance(data, dict)
    assert data["left_out"] == ["web-a"]


def test_another_plan_of_an_allowed_downgrade_is_allowed_too(world: World) -> None:
    deploy(world, "1.0.0")
    deploy(world, "1.1.0")
    with pytest.raises(RuleViolationError, match="allow the downgrade"):
        world.request("1.0.0", "production")
    with world.database.transaction() as session:
        waiting = deployments.request(
            session,
            application="shop",
            version="1.0.0",
            environment="production",
            reason="",
            actor=world.actor,
            allow_downgrade=True,
        ).id
    with world.database.transaction() as session:
        instead = deployments.replan(session, waiting, actor=world.actor)
    assert version_of(world, instead) == "1.0.0"
