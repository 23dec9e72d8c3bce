"""What becomes of a deployment that runs when its window closes or a freeze begins. A wave here is one action on one target."""

from datetime import timedelta

import pytest

from orchestrator.domain.windows import RuleKind
from orchestrator.presenting.deployments import present_whole
from orchestrator.presenting.explanations import present_explanation
from orchestrator.services import deployments, explaining, windows
from orchestrator.services.attempts import Claim
from tests.integration.engine_world import World, worker
from tests.integration.time_travel import BEGINNING, Clocks, clocks, use_pipeline, window, world

__all__ = ["clocks", "world"]

HOUR = timedelta(hours=1)


def begin(world: World, policy: str | None, version: str = "1.0.0") -> tuple[int, Claim]:
    """A deployment to production, with its first step claimed, while the window is open for another hour."""
    setting = f"    when_closed: {policy}\n" if policy else ""
    use_pipeline(world, "    after: staging\n", setting)
    deployment = world.request(version, "production")
    claim = world.advance(deployment, worker())
    assert claim is not None
    return deployment, claim


def waiting(world: World, deployment: int) -> list[tuple[str, str]]:
    with world.database.reading() as session:
        shown = present_whole(session, world.get(deployment))["waiting_for"]
    return [(each["kind"], each["message"]) for each in shown]


def go_on(world: World, deployment: int, claim: Claim | None) -> str:
    while claim is not None:
        claim = world.finish(claim, by=worker())
    return world.run_to_end(deployment)


@pytest.mark.parametrize("policy", [None, "finish"])
def test_by_default_it_finishes(world: World, clocks: Clocks, policy: str | None) -> None:
    window(world, BEGINNING, BEGINNING + HOUR)
    deployment, claim = begin(world, policy)
    clocks.go(3600)
    assert go_on(world, deployment, claim) == "succeeded"


def test_it_pauses_between_two_waves_and_goes_on_when_the_next_window_opens(
    world: World, clocks: Clocks
) -> None:
    window(world, BEGINNING, BEGINNING + HOUR)
    opens = BEGINNING + 5 * HOUR
    window(world, opens, opens + HOUR)
    deployment, claim = begin(world, "pause_between_waves")
    clocks.go(3600)
    assert world.finish(claim, by=worker()) is None
    message = "no window of production is open; the next opens at 2026-11-23 17:00:00 UTC"
    assert waiting(world, deployment) == [("window", message)]
    row = world.get(deployment)
    assert (row.status, row.wake_at, row.wave_index) == ("paused", opens, 0)
    with world.database.reading() as session:
        explained = present_explanation(explaining.explain(session, deployment, actor=world.actor))
    assert explained["because"] == message
    clocks.go(4 * 3600 - 1)
    assert world.advance(deployment, worker()) is None
    clocks.go(1)
    assert go_on(world, deployment, world.advance(deployment, worker())) == "succeeded"
    kinds = world.column("SELECT kind FROM events WHERE deployment_id = :id ORDER BY seq", id=deployment)
    assert kinds == [
        "deployment.requested",
        "deployment.running",
        "deployment.paused",
        "deployment.running",
        "deployment.succeeded",
    ]


def test_a_freeze_stops_it_as_well_and_its_removal_wakes_it(world: World, clocks: Clocks) -> None:
    deployment, claim = begin(world, "pause_between_waves")
    clocks.go(60)
    frozen = window(world, clocks.now, clocks.now + HOUR, kind=RuleKind.FREEZE)
    assert world.finish(claim, by=worker()) is None
    assert [kind for kind, _ in waiting(world, deployment)] == ["freeze"]
    assert world.get(deployment).wake_at == clocks.now + HOUR
    with world.database.transaction() as session:
        windows.remove(session, RuleKind.FREEZE, frozen, actor=world.actor)
    assert world.get(deployment).wake_at == clocks.now
    assert world.run_to_end(deployment) == "succeeded"


def test_it_goes_back_where_its_environment_says_so(world: World, clocks: Clocks) -> None:
    before, claim = begin(world, "rollback")
    assert go_on(world, before, claim) == "succeeded"
    window(world, BEGINNING, BEGINNING + HOUR)
    deployment, claim = begin(world, "rollback", "1.1.0")
    clocks.go(3600)
    assert world.finish(claim, by=worker()) is None
    row = world.get(deployment)
    assert row.status == "failed"
    assert row.failure == (
        "no window of production is open; none opens; 1 of 6 waves were done;"
        f" shop 1.0.0 is put back by deployment {row.rolled_back_by_id}"
    )
    assert (row.n_succeeded, row.n_skipped) == (1, 5)
    assert world.run_to_end(row.rolled_back_by_id) == "succeeded"
    targets = "SELECT DISTINCT target_name FROM steps WHERE deployment_id = :id"
    assert world.column(targets, id=row.rolled_back_by_id) == [claim.work.target_name]


@pytest.mark.parametrize("policy", ["pause_between_waves", "rollback"])
def test_the_last_wave_ends_as_it_would(world: World, clocks: Clocks, policy: str) -> None:
    window(world, BEGINNING, BEGINNING + HOUR)
    deployment, claim = begin(world, policy)
    for _ in range(5):
        following = world.finish(claim, by=worker())
        assert following is not None
        claim = following
    clocks.go(3600)
    assert world.finish(claim, by=worker()) is None
    assert world.status(deployment) == "succeeded"


def test_one_that_is_paused_can_be_cancelled(world: World, clocks: Clocks) -> None:
    window(world, BEGINNING, BEGINNING + HOUR)
    deployment, claim = begin(world, "pause_between_waves")
    clocks.go(3600)
    world.finish(claim, by=worker())
    with world.database.transaction() as session:
        deployments.cancel(session, deployment, actor=world.actor, reason="enough")
    row = world.get(deployment)
    assert (row.status, row.n_succeeded, row.n_cancelled) == ("cancelled", 1, 5)


def test_who_overrode_the_windows_is_not_stopped_by_them(world: World, clocks: Clocks) -> None:
    window(world, BEGINNING - HOUR, BEGINNING)
    use_pipeline(world, "    after: staging\n", "    when_closed: rollback\n")
    with world.database.transaction() as session:
        deployment = deployments.request(
            session,
            application="shop",
            version="1.0.0",
            environment="production",
            reason="it burns",
            actor=world.actor,
            override_windows=True,
        ).id
    assert world.run_to_end(deployment) == "succeeded"
