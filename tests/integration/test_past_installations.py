"""What ran where at an instant: while a deployment goes on, after one that failed half-way, and after rollbacks."""

from datetime import datetime, timedelta

import pytest

from orchestrator.domain.statuses import Outcome
from orchestrator.repositories import installations
from orchestrator.services import rollbacks
from tests.integration.engine_world import World, worker
from tests.integration.time_travel import BEGINNING, Clocks, clocks, use_pipeline, world

__all__ = ["clocks", "world"]

SECOND = timedelta(seconds=1)
Past = dict[str, tuple[str, int, datetime]]


def past(world: World, at: datetime | None, *, environment: str = "lab", application: str = "shop") -> Past:
    with world.database.reading() as session:
        found = installations.page_at(session, environment, application=application, at=at, skip=0, limit=100)
    return {row.target: (row.version, row.deployment_id, row.since) for row in found}


def versions(found: Past) -> dict[str, str]:
    return {target: version for target, (version, _, _) in found.items()}


def deploy(world: World, version: str, outcomes: dict[str, Outcome] | None = None) -> int:
    made = world.request(version, "lab")
    world.run_to_end(made, outcomes)
    return made


def test_nothing_ran_before_the_first_deployment(world: World, clocks: Clocks) -> None:
    clocks.go(60)
    deploy(world, "1.0.0")
    assert past(world, BEGINNING + 59 * SECOND) == {}
    assert versions(past(world, BEGINNING + 60 * SECOND)) == dict.fromkeys(
        ("lab-a", "lab-b", "lab-c"), "1.0.0"
    )


def test_a_deployment_that_failed_half_way_left_what_it_got_to(world: World, clocks: Clocks) -> None:
    first = deploy(world, "1.0.0")
    clocks.go(60)
    failed = deploy(world, "1.1.0", {"lab-b": Outcome.FAILED, "lab-c": Outcome.FAILED})
    assert world.status(failed) == "failed"
    assert past(world, BEGINNING + 59 * SECOND) == dict.fromkeys(
        ("lab-a", "lab-b", "lab-c"), ("1.0.0", first, BEGINNING)
    )
    assert past(world, BEGINNING + 60 * SECOND) == {
        "lab-a": ("1.1.0", failed, BEGINNING + 60 * SECOND),
        "lab-b": ("1.0.0", first, BEGINNING),
        "lab-c": ("1.0.0", first, BEGINNING),
    }


def test_in_the_middle_of_a_deployment_each_target_has_what_it_had_then(world: World, clocks: Clocks) -> None:
    use_pipeline(
        world, "strategy: {kind: all-at-once, max_failures: 1}", "strategy: {kind: rolling, batch: 1}"
    )
    deploy(world, "1.0.0")
    clocks.go(60)
    claim = world.advance(world.request("1.1.0", "lab"), worker())
    for _ in range(5):
        assert claim is not None
        clocks.go(10)
        claim = world.finish(claim, by=worker())
    seen = [
        sorted(versions(past(world, BEGINNING + seconds * SECOND)).values()) for seconds in (69, 70, 90, 110)
    ]
    assert seen == [
        ["1.0.0", "1.0.0", "1.0.0"],
        ["1.0.0", "1.0.0", "1.1.0"],
        ["1.0.0", "1.1.0", "1.1.0"],
        ["1.1.0", "1.1.0", "1.1.0"],
    ]


def test_a_rollback_is_what_ran_from_its_steps_on_and_the_same_release_again_changes_no_since(
    world: World, clocks: Clocks
) -> None:
    deploy(world, "1.0.0")
    clocks.go(60)
    bad = deploy(world, "1.1.0")
    clocks.go(60)
    with world.database.transaction() as session:
        back = rollbacks.request(session, bad, reason="", actor=world.actor)
    world.run_to_end(back)
    clocks.go(60)
    again = deploy(world, "1.0.0")
    assert versions(past(world, BEGINNING + 119 * SECOND))["lab-a"] == "1.1.0"
    assert past(world, BEGINNING + 120 * SECOND)["lab-a"] == ("1.0.0", back, BEGINNING + 120 * SECOND)
    assert past(world, BEGINNING + 180 * SECOND)["lab-a"] == ("1.0.0", again, BEGINNING + 120 * SECOND)


def test_now_it_is_what_the_installations_say(world: World, clocks: Clocks) -> None:
    for version in ("1.0.0", "1.1.0", "1.0.0", "1.0.0"):
        clocks.go(60)
        deploy(world, version, {"lab-b": Outcome.FAILED} if version == "1.1.0" else None)
    with world.database.reading() as session:
        now = installations.page(session, application="shop", environment="lab", skip=0, limit=100)
    expected = {row.target: (row.version, row.deployment_id, row.since) for row in now}
    assert past(world, None) == past(world, clocks.now) == expected


@pytest.mark.parametrize(("environment", "application"), [("staging", "shop"), ("lab", "other")])
def test_other_slots_are_left_out(world: World, environment: str, application: str) -> None:
    deploy(world, "1.0.0")
    assert past(world, None, environment=environment, application=application) == {}
