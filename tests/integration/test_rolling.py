"""What a rolling deployment does between its batches, on real Postgres whose clock moves when it is told to."""

from datetime import timedelta

import pytest

from orchestrator.domain.statuses import Outcome
from orchestrator.presenting.deployments import present_whole
from orchestrator.presenting.explanations import present_explanation
from orchestrator.services import deployments, explaining
from orchestrator.services.attempts import Claim
from tests.integration.engine_world import World, worker
from tests.integration.health_world import ASKED, Site, use_health
from tests.integration.time_travel import BEGINNING, Clocks, clocks, use_pipeline, world

__all__ = ["clocks", "world"]

TARGETS = "[{name: web-a, kind: noop}, {name: web-b, kind: noop}, {name: web-c, kind: noop}]"
ZONED = """
      - {name: web-a, kind: noop, labels: {zone: south, rank: "10"}}
      - {name: web-b, kind: noop, labels: {zone: north, rank: "9"}}
      - {name: web-c, kind: noop, labels: {zone: south, rank: "9"}}"""


def rolling(world: World, strategy: str, *, targets: str = TARGETS, version: str = "1.0.0") -> int:
    """A deployment to production, for which it need not have been anywhere."""
    old = f"    after: staging\n    targets: {TARGETS}\n    strategy: {{kind: rolling, batch: 1}}"
    use_pipeline(world, old, f"    targets: {targets}\n    strategy: {{kind: rolling, {strategy}}}")
    return world.request(version, "production")


def through(world: World, deployment: int, claim: Claim | None = None) -> Claim | None:
    """Play a worker until nothing is to be taken."""
    claim = claim or world.advance(deployment, worker())
    while claim is not None:
        claim = world.finish(claim, by=worker()) or world.advance(deployment, worker())
    return claim


def started(world: World, deployment: int) -> list[object]:
    return world.column(
        "SELECT target_name FROM steps WHERE deployment_id = :id AND action_index = 0 AND started_at IS NOT NULL"
        " ORDER BY wave_index, position",
        id=deployment,
    )


def test_a_batch_settles_before_the_next_begins_and_the_wait_is_explained(
    world: World, clocks: Clocks
) -> None:
    deployment = rolling(world, "batch: 2, settle: 10m")
    through(world, deployment)
    begins = BEGINNING + timedelta(minutes=10)
    row = world.get(deployment)
    assert (row.status, row.wave_index, row.wake_at, row.next_wave_at) == ("running", 1, begins, begins)
    message = "2 of 4 waves are done; by its plan the next begins at 2026-11-23 12:10:00 UTC"
    with world.database.reading() as session:
        shown = present_whole(session, row)["waiting_for"]
        explained = present_explanation(explaining.explain(session, deployment, actor=world.actor))
    assert shown == [{"kind": "wait", "message": message, "until": begins}]
    assert explained["because"] == message
    clocks.go(599)
    assert world.advance(deployment, worker()) is None
    assert started(world, deployment) == ["web-a", "web-b"]
    clocks.go(1)
    assert world.run_to_end(deployment) == "succeeded"
    row = world.get(deployment)
    assert row.next_wave_at is None
    assert row.ended_at == begins  # nothing waits after the last batch
    kinds = world.column("SELECT kind FROM events WHERE deployment_id = :id ORDER BY seq", id=deployment)
    assert kinds == ["deployment.requested", "deployment.running", "deployment.succeeded"]


def test_one_that_waits_between_batches_can_be_cancelled_at_once(world: World, clocks: Clocks) -> None:
    deployment = rolling(world, "settle: 10m")
    through(world, deployment)
    with world.database.transaction() as session:
        deployments.cancel(session, deployment, actor=world.actor, reason="")
    assert world.status(deployment) == "cancelled"
    assert started(world, deployment) == ["web-a"]


def test_zones_come_one_after_the_other_ordered_by_a_label(world: World, clocks: Clocks) -> None:
    deployment = rolling(world, "order_by: rank, zone: zone, bake: 1h", targets=ZONED)
    through(world, deployment)
    assert started(world, deployment) == ["web-b"]
    assert world.get(deployment).next_wave_at == BEGINNING + timedelta(hours=1)
    clocks.go(3600)
    assert world.run_to_end(deployment) == "succeeded"
    assert started(world, deployment) == ["web-b", "web-c", "web-a"]


@pytest.mark.parametrize(
    ("failing", "status"), [(["web-a", "web-c"], "failed"), (["web-a", "web-b"], "stopped")]
)
def test_a_batch_has_a_budget_of_its_own(
    world: World, clocks: Clocks, failing: list[str], status: str
) -> None:
    """Two of three may fail, one of a batch of two."""
    deployment = rolling(world, "batch: 2, max_failures: 2, max_batch_failures: 1")
    world.run_to_end(deployment, dict.fromkeys(failing, Outcome.FAILED))
    row = world.get(deployment)
    if status == "failed":
        assert row.failure == "2 targets failed, within the budget of 2, so all others were done"
        assert started(world, deployment) == ["web-a", "web-b", "web-c"]
    else:
        assert str(row.failure).startswith("2 targets of one batch failed and at most 1 may; not rolled back")
        assert started(world, deployment) == ["web-a", "web-b"]


def test_a_rollback_puts_back_what_came_last_first_and_does_not_bake(world: World, clocks: Clocks) -> None:
    strategy = "order_by: rank, zone: zone, bake: 1h"
    good = rolling(world, strategy, targets=ZONED)
    through(world, good)
    clocks.go(3600)
    assert world.run_to_end(good) == "succeeded"
    bad = world.request("1.1.0", "production")
    through(world, bad)
    clocks.go(3600)
    assert world.run_to_end(bad, {"web-a": Outcome.FAILED}) == "failed"
    rollback = world.scalar("SELECT id FROM deployments WHERE rolls_back_id = :id", id=bad)
    assert isinstance(rollback, int)
    assert world.run_to_end(rollback) == "succeeded"
    assert started(world, rollback) == ["web-a", "web-c", "web-b"]


def test_a_target_that_is_down_comes_first_and_counts_as_unavailable(world: World, clocks: Clocks) -> None:
    use_health(world, asked=f"{ASKED}    strategy: {{kind: rolling, batch: 2, max_unavailable: 1}}\n")
    site = Site(world, clocks)
    site.to_staging("1.0.0")
    site.sick["web-b"] = "status 500"
    site.go_on(timedelta(minutes=2))
    deployment = world.request("1.1.0", "staging")
    batches = (
        "SELECT target_name FROM steps WHERE deployment_id = :id AND action_index = 0 ORDER BY wave_index"
    )
    assert world.column(batches, id=deployment) == ["web-b", "web-a"]
    assert (
        world.scalar("SELECT count(*) FROM waves WHERE deployment_id = :id AND total > 1", id=deployment) == 0
    )
