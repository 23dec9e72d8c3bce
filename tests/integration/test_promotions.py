"""Releases that go on by themselves: on real Postgres, from two connections at once."""

import threading

import pytest

from orchestrator.services import promotions, rollbacks
from tests.integration.engine_world import PIPELINE, World, worker
from tests.integration.time_travel import clocks, use_pipeline, world

__all__ = ["clocks", "world"]

AFTER = "    after: staging\n"


@pytest.fixture(autouse=True)
def auto(world: World) -> None:
    use_pipeline(world, AFTER, f"{AFTER}    auto: true\n")


def to_staging(world: World, version: str = "1.0.0") -> int:
    deployment = world.request(version)
    assert world.run_to_end(deployment) == "succeeded"
    return deployment


def promote(world: World, deployment: int) -> None:
    with world.database.transaction() as session:
        promotions.promote(session, deployment)


def in_production(world: World) -> list[object]:
    return world.column("SELECT id FROM deployments WHERE environment = 'production' ORDER BY id")


def last_event(world: World, deployment: int) -> tuple[object, object]:
    kind, data = (
        world.scalar(
            f"SELECT {column} FROM events WHERE deployment_id = :id ORDER BY seq DESC LIMIT 1",  # noqa: S608
            id=deployment,
        )
        for column in ("kind", "data")
    )
    return kind, data


def test_a_success_is_promoted_once_for_who_requested_it(world: World) -> None:
    staging = to_staging(world)
    assert world.scalar("SELECT count(*) FROM promotions WHERE due_at <= clock_timestamp()") == 1
    promote(world, staging)
    (made,) = in_production(world)
    assert isinstance(made, int)
    row = world.get(made)
    assert (row.version, row.requested_by, row.status) == ("1.0.0", world.actor.id, "pending")
    assert row.reason == f"promoted after deployment {staging} in staging"
    data = {"environment": "production", "deployment": made}
    assert last_event(world, staging) == ("deployment.promoted", data)
    promote(world, staging)
    assert in_production(world) == [made]
    assert world.scalar("SELECT count(*) FROM promotions WHERE due_at IS NOT NULL") == 0
    assert world.run_to_end(made) == "succeeded"


def test_two_ticks_promote_it_once(world: World) -> None:
    staging = to_staging(world)
    together = threading.Barrier(2)

    def tick() -> None:
        together.wait()
        promote(world, staging)

    threads = [threading.Thread(target=tick) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(in_production(world)) == 1


def test_it_goes_only_where_who_requested_it_may_deploy_by_then(world: World) -> None:
    staging = to_staging(world)
    world.execute("UPDATE users SET role = 'viewer'")
    promote(world, staging)
    why = "this needs the role deployer or higher for shop in production; yours there is viewer"
    data = {"environment": "production", "why": why}
    assert last_event(world, staging) == ("deployment.not_promoted", data)
    assert in_production(world) == []
    world.execute("""
        INSERT INTO grants (application_id, user_id, role, environments, created_by)
        SELECT a.id, u.id, 'deployer', '{production}', u.id FROM applications a, users u
    """)
    world.execute("UPDATE promotions SET due_at = clock_timestamp()")
    promote(world, staging)
    assert len(in_production(world)) == 1


def test_a_failure_and_a_rollback_go_nowhere(world: World) -> None:
    to_staging(world)
    second = to_staging(world, "1.1.0")
    with world.database.transaction() as session:
        back = rollbacks.request(session, second, actor=world.actor, reason="slow")
    assert world.run_to_end(back) == "succeeded"
    promoted = world.column("SELECT deployment_id FROM promotions ORDER BY deployment_id")
    assert back not in promoted
    promote(world, second)
    assert in_production(world) == []
    why = "1.1.0 has to succeed in staging first"
    assert last_event(world, second) == (
        "deployment.not_promoted",
        {"environment": "production", "why": why},
    )


def test_what_is_there_already_is_left_alone(world: World) -> None:
    promote(world, to_staging(world))
    again = to_staging(world)
    promote(world, again)
    assert len(in_production(world)) == 1
    assert last_event(world, again)[0] == "deployment.not_promoted"


def test_a_queue_that_takes_no_more_is_told_and_nothing_is_half_written(world: World) -> None:
    use_pipeline(world, AFTER, f"{AFTER}    auto: true\n    queue: reject\n")
    promote(world, to_staging(world))
    (first,) = in_production(world)
    second = to_staging(world, "1.1.0")
    promote(world, second)
    assert in_production(world) == [first]
    assert last_event(world, second)[1] == {
        "environment": "production",
        "why": f"deployment {first} of shop in production goes on, and the queue there takes no other",
    }


def test_the_newest_takes_the_place_of_what_waits(world: World) -> None:
    use_pipeline(world, AFTER, f"{AFTER}    auto: true\n    soak: 1h\n    queue: latest_wins\n")
    promote(world, to_staging(world))
    promote(world, to_staging(world, "1.1.0"))
    first, second = in_production(world)
    assert isinstance(first, int)
    assert isinstance(second, int)
    assert (world.status(first), world.status(second)) == ("superseded", "pending")
    assert world.advance(second, worker()) is None
    assert world.get(second).held_by == "soak"


def test_it_waits_for_the_last_of_several_environments(world: World) -> None:
    assert "  lab:\n" in PIPELINE
    use_pipeline(world, AFTER, "    after: [staging, lab]\n    auto: true\n")
    staging = to_staging(world)
    promote(world, staging)
    assert last_event(world, staging) == (
        "deployment.not_promoted",
        {"environment": "production", "why": "1.0.0 has to succeed in lab first"},
    )
    lab = world.request("1.0.0", "lab")
    assert world.run_to_end(lab) == "succeeded"
    promote(world, lab)
    assert len(in_production(world)) == 1
