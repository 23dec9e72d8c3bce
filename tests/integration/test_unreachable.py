"""Targets that cannot be reached before anything was begun: they count, or they are left out and said to be."""

import pytest

from orchestrator.db import Database
from orchestrator.domain.statuses import Outcome
from orchestrator.services import deployments, pipelines, rollbacks
from tests.integration.engine_world import PIPELINE, World, worker

AWAY = Outcome.UNREACHABLE


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.release("1.0.0")
    made.release("1.1.0")
    return made


def use(world: World, unreachable: str, *, on_failure: str = "fail", failures: int = 0) -> None:
    """Three targets in `production`, one after the other, without a promotion before."""
    strategy = f"{{kind: rolling, batch: 1, max_failures: {failures}, unreachable: {unreachable}}}"
    source = (
        PIPELINE.replace("    after: staging\n", "")
        .replace("{kind: rolling, batch: 1}", strategy)
        .replace("on_failure: rollback", f"on_failure: {on_failure}")
    )
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=source, actor=world.actor)


def installed(world: World) -> list[object]:
    return world.column("""
        SELECT t.name || ' ' || r.version FROM installations i JOIN targets t ON t.id = i.target_id
        JOIN releases r ON r.id = i.release_id WHERE t.environment = 'production' ORDER BY t.name
    """)


def steps(world: World, deployment: int) -> list[object]:
    statement = "SELECT target_name || ' ' || status FROM steps WHERE deployment_id = :id ORDER BY wave_index"
    return world.column(statement, id=deployment)


def test_one_that_may_be_skipped_is_and_is_said_to_be_and_a_retry_catches_it_up(world: World) -> None:
    use(world, "{skip: 1}")
    assert world.run_to_end(world.request("1.0.0", "production")) == "succeeded"
    deployment = world.request("1.1.0", "production")
    assert world.run_to_end(deployment, {"web-b": AWAY}) == "failed"
    row = world.get(deployment)
    assert row.failure == "1 target could not be reached and was skipped, so all others were done"
    assert (row.skipped_targets, row.failed_targets, row.n_failed) == (1, 0, 0)
    assert installed(world) == ["web-a 1.1.0", "web-b 1.0.0", "web-c 1.1.0"]
    assert [each for each in steps(world, deployment) if "web-b" in str(each)] == ["web-b skipped"] * 2
    kinds = "SELECT kind FROM events WHERE subject = :subject AND kind LIKE 'step.%'"
    assert world.column(kinds, subject=f"deployment:{deployment}") == ["step.skipped"]
    with world.database.transaction() as session:
        again = deployments.retry(session, deployment, actor=world.actor)
    assert world.run_to_end(again) == "succeeded"
    assert installed(world) == ["web-a 1.1.0", "web-b 1.1.0", "web-c 1.1.0"]


def test_one_more_than_may_be_skipped_counts_as_failed(world: World) -> None:
    use(world, "{skip: 1}")
    deployment = world.request("1.0.0", "production")
    assert world.run_to_end(deployment, {"web-a": AWAY, "web-b": AWAY}) == "failed"
    row = world.get(deployment)
    assert row.failure == "1 target failed and none may"
    assert (row.skipped_targets, row.failed_targets) == (1, 1)
    assert installed(world) == []


def test_where_they_count_the_budget_is_spent(world: World) -> None:
    use(world, "count", failures=1)
    deployment = world.request("1.0.0", "production")
    assert world.run_to_end(deployment, {"web-b": AWAY}) == "failed"
    row = world.get(deployment)
    assert row.failure == "1 target failed, within the budget of 1, so all others were done"
    assert (row.skipped_targets, row.failed_targets) == (0, 1)
    assert installed(world) == ["web-a 1.0.0", "web-c 1.0.0"]


def test_one_that_was_changed_before_is_never_skipped(world: World) -> None:
    """It went away between its two actions: half of the release is there."""
    use(world, "{skip: 3}")
    deployment = world.request("1.0.0", "production")
    one = worker()
    claim = world.advance(deployment, one)
    assert claim is not None
    claim = world.finish(claim, Outcome.SUCCEEDED, one)
    assert claim is not None and claim.work.action.retries == 1
    world.finish(claim, AWAY, one)
    world.execute("UPDATE attempts SET not_before = now() WHERE ended_at IS NULL")
    again = world.advance(deployment, one)
    assert again is not None
    world.finish(again, AWAY, one)
    assert world.status(deployment) == "failed"
    assert world.get(deployment).failed_targets == 1
    assert world.get(deployment).skipped_targets == 0


def test_a_rollback_goes_to_those_alone_on_which_something_began(world: World) -> None:
    use(world, "count", on_failure="rollback")
    assert world.run_to_end(world.request("1.0.0", "production")) == "succeeded"
    bad = world.request("1.1.0", "production")
    assert world.run_to_end(bad, {"web-b": AWAY}) == "failed"
    back = world.scalar("SELECT id FROM deployments WHERE rolls_back_id = :id", id=bad)
    assert isinstance(back, int)
    assert world.run_to_end(back) == "succeeded"
    assert set(steps(world, back)) == {"web-a succeeded"}
    use(world, "{skip: 1}")
    partly = world.request("1.1.0", "production")
    world.run_to_end(partly, {"web-c": AWAY})
    with world.database.transaction() as session:
        by_hand = rollbacks.request(session, partly, actor=world.actor, reason="")
    assert world.run_to_end(by_hand) == "succeeded"
    assert set(steps(world, by_hand)) == {"web-a succeeded", "web-b succeeded"}
