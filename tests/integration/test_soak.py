"""Promotion and soak: a release has to have succeeded before, long enough ago, and still be trusted there."""

from datetime import datetime, timedelta

import pytest

from orchestrator.presenting.deployments import present_whole
from orchestrator.services import rollbacks
from tests.integration.engine_world import World, worker
from tests.integration.time_travel import Clocks, clocks, use_pipeline, world

__all__ = ["clocks", "world"]


@pytest.fixture(autouse=True)
def soaking(world: World) -> None:
    """Half an hour of soak before production."""
    use_pipeline(world, "    after: staging\n", "    after: staging\n    soak: 30m\n")


def waiting(world: World, deployment: int) -> list[tuple[str, str, datetime | None]]:
    with world.database.reading() as session:
        shown = present_whole(session, world.get(deployment))["waiting_for"]
    return [(each["kind"], each["message"], each["until"]) for each in shown]


def to_staging(world: World, version: str) -> int:
    deployment = world.request(version, "staging")
    assert world.run_to_end(deployment) == "succeeded"
    return deployment


def test_a_release_soaks_from_its_success_on(world: World) -> None:
    production = world.request("1.0.0", "production")
    assert [each[0] for each in waiting(world, production)] == ["promotion"]
    staging = to_staging(world, "1.0.0")
    ended = world.get(staging).ended_at
    assert isinstance(ended, datetime)
    until = ended + timedelta(minutes=30)
    assert [(kind, end) for kind, _, end in waiting(world, production)] == [("soak", until)]
    row = world.held(production)
    assert (row.status, row.held_by, row.wake_at) == ("pending", "soak", until)


def test_what_has_soaked_starts(world: World, clocks: Clocks) -> None:
    to_staging(world, "1.0.0")
    clocks.go(30 * 60 - 1)
    production = world.request("1.0.0", "production")
    assert world.advance(production, worker()) is None
    clocks.go(1)
    assert world.run_to_end(production) == "succeeded"


def test_what_was_rolled_back_in_staging_has_to_succeed_there_again(world: World, clocks: Clocks) -> None:
    to_staging(world, "1.0.0")
    staging = to_staging(world, "1.1.0")
    clocks.go(60 * 60)
    production = world.request("1.1.0", "production")
    assert waiting(world, production) == []
    with world.database.transaction() as session:
        back = rollbacks.request(session, staging, actor=world.actor, reason="slow")
    message = "shop 1.1.0 has to succeed in staging first; it was rolled back in staging"
    assert waiting(world, production) == [("promotion", message, None)]
    assert world.run_to_end(back) == "succeeded"
    assert world.advance(production, worker()) is None
    to_staging(world, "1.1.0")
    assert [each[0] for each in waiting(world, production)] == ["soak"]
    clocks.go(30 * 60)
    assert world.run_to_end(production) == "succeeded"


def test_a_rollback_asks_for_no_soak(world: World, clocks: Clocks) -> None:
    for version in ("1.0.0", "1.1.0"):
        to_staging(world, version)
        clocks.go(30 * 60)
        production = world.request(version, "production")
        assert world.run_to_end(production) == "succeeded"
    with world.database.transaction() as session:
        back = rollbacks.request(session, production, actor=world.actor, reason="slow")
    assert waiting(world, back) == []
