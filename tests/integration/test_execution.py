"""The engine on real Postgres: what is written when deployments start, go on and end."""

import hashlib
import json
import threading

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from orchestrator.db import Database
from orchestrator.domain.errors import ConflictError, LeaseLostError, RuleViolationError
from orchestrator.domain.statuses import Outcome
from orchestrator.repositories import attempts as leases
from orchestrator.repositories import waking
from orchestrator.services import attempts, deployments, execution, rollbacks
from orchestrator.services.attempts import Output
from tests.integration.engine_world import World, worker


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.release("1.0.0")
    return made


def test_a_deployment_runs_through_its_waves_and_succeeds(world: World) -> None:
    staging = world.request("1.0.0")
    assert world.run_to_end(staging) == "succeeded"
    production = world.request("1.0.0", "production")
    assert world.run_to_end(production) == "succeeded"
    order = world.column(
        "SELECT target_name || action_index FROM steps WHERE deployment_id = :id ORDER BY ended_at",
        id=production,
    )
    assert order == ["web-a0", "web-a1", "web-b0", "web-b1", "web-c0", "web-c1"]
    assert world.get(production).n_succeeded == 6


def test_the_slot_is_held_by_one_and_the_next_is_woken_by_its_end(world: World) -> None:
    first, second, third = (world.request("1.0.0") for _ in range(3))
    one = worker()
    claim = world.advance(first, one)
    assert claim is not None
    assert world.advance(second, one) is None
    assert world.advance(third, one) is None
    due = "SELECT id FROM deployments WHERE wake_at <= clock_timestamp() ORDER BY id"
    world.execute("UPDATE deployments SET wake_at = wake_at + interval '1 hour' WHERE id <> :id", id=first)
    assert world.column(due) == []
    last = world.finish(claim, by=one)
    assert last is not None
    world.finish(last, by=one)
    assert world.status(first) == "succeeded"
    assert world.column(due) == [second]


def test_two_workers_never_start_two_deployments_of_one_slot(world: World) -> None:
    ids = [world.request("1.0.0") for _ in range(2)]
    for _ in range(5):
        barrier = threading.Barrier(2)

        def go(deployment_id: int, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            world.advance(deployment_id)

        threads = [threading.Thread(target=go, args=(each,)) for each in ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [world.status(each) for each in ids] == ["running", "pending"]


def test_the_database_refuses_a_second_active_deployment(world: World) -> None:
    first, second = (world.request("1.0.0") for _ in range(2))
    world.advance(first)
    with pytest.raises(DBAPIError, match="uq_deployments_active_slot"):
        world.execute(
            "UPDATE deployments SET status = 'running', started_at = now() WHERE id = :id", id=second
        )


def test_the_database_refuses_to_change_a_terminal_status(world: World) -> None:
    deployment = world.request("1.0.0")
    world.run_to_end(deployment)
    with pytest.raises(DBAPIError, match="for ever"):
        world.execute(
            "UPDATE deployments SET status = 'running', ended_at = NULL, deployed_at = NULL, wake_at = now() WHERE id = :id",
            id=deployment,
        )


def test_the_database_refuses_a_smaller_token_and_changing_the_past(world: World) -> None:
    claim = world.advance(world.request("1.0.0"), worker())
    assert claim is not None
    with pytest.raises(DBAPIError, match="smaller"):
        world.execute("UPDATE attempts SET token = token - 1 WHERE id = :id", id=claim.attempt_id)
    for statement in (
        "UPDATE events SET kind = 'x'",
        "DELETE FROM events",
        "UPDATE plans SET document = '{}'",
    ):
        with pytest.raises(DBAPIError, match="append-only"):
            world.execute(statement)


def test_production_waits_until_the_release_succeeded_in_staging(world: World) -> None:
    production = world.request("1.0.0", "production")
    assert world.advance(production, worker()) is None
    row = world.get(production)
    assert (row.status, row.held_by) == ("pending", "promotion")
    world.execute(
        "UPDATE deployments SET wake_at = wake_at + interval '1 hour' WHERE id = :id", id=production
    )
    world.run_to_end(world.request("1.0.0"))
    assert world.column("SELECT id FROM deployments WHERE wake_at <= clock_timestamp()") == [production]
    assert world.run_to_end(production) == "succeeded"


def test_one_that_waits_for_promotion_lets_others_pass(world: World) -> None:
    world.run_to_end(world.request("1.0.0"))
    world.release("2.0.0")
    held = world.request("2.0.0", "production")
    ready = world.request("1.0.0", "production")
    world.advance(held)
    assert world.run_to_end(ready) == "succeeded"
    assert world.status(held) == "pending"


def _good_then_bad(world: World) -> int:
    world.run_to_end(world.request("1.0.0"))
    world.run_to_end(world.request("1.0.0", "production"))
    world.release("2.0.0")
    world.run_to_end(world.request("2.0.0"))
    return world.request("2.0.0", "production")


def test_a_failure_past_the_budget_rolls_back_what_was_touched(world: World) -> None:
    bad = _good_then_bad(world)
    assert world.run_to_end(bad, {"web-b": Outcome.FAILED}) == "failed"
    rollback = world.scalar("SELECT id FROM deployments WHERE rolls_back_id = :id", id=bad)
    assert isinstance(rollback, int)
    targets = world.column(
        "SELECT DISTINCT target_name FROM steps WHERE deployment_id = :id ORDER BY 1", id=rollback
    )
    assert targets == ["web-a", "web-b"]
    assert world.run_to_end(rollback) == "succeeded"
    installed = world.column("""
        SELECT t.name || ' ' || r.version FROM installations i JOIN targets t ON t.id = i.target_id
        JOIN releases r ON r.id = i.release_id WHERE t.environment = 'production' ORDER BY t.name
    """)
    assert installed == ["web-a 1.0.0", "web-b 1.0.0", "web-c 1.0.0"]
    assert "1.0.0 is put back by deployment" in str(world.get(bad).failure)


def test_a_rollback_that_fails_ends_there(world: World) -> None:
    bad = _good_then_bad(world)
    world.run_to_end(bad, {"web-a": Outcome.FAILED})
    rollback = world.scalar("SELECT id FROM deployments WHERE rolls_back_id = :id", id=bad)
    assert isinstance(rollback, int)
    assert world.run_to_end(rollback, {"web-a": Outcome.FAILED}) == "failed"
    assert world.scalar("SELECT count(*) FROM deployments WHERE rolls_back_id = :id", id=rollback) == 0


def test_without_an_earlier_success_there_is_nothing_to_put_back(world: World) -> None:
    world.run_to_end(world.request("1.0.0"))
    production = world.request("1.0.0", "production")
    assert world.run_to_end(production, {"web-a": Outcome.FAILED}) == "failed"
    assert "not rolled back" in str(world.get(production).failure)
    with pytest.raises(RuleViolationError), world.database.transaction() as session:
        rollbacks.request(session, production, actor=world.actor, reason="")


def test_a_step_is_retried_as_often_as_the_pipeline_says(world: World) -> None:
    lab = world.request("1.0.0", "lab")
    one = worker()
    claim = world.advance(lab, one)
    numbers = []
    while claim is not None:
        if claim.work.target_name == "lab-a" and claim.work.action.retries:
            numbers.append(claim.work.attempt)
            claim = world.finish(claim, Outcome.FAILED, one)
        else:
            claim = world.finish(claim, Outcome.SUCCEEDED, one)
        world.execute("UPDATE attempts SET not_before = now() WHERE ended_at IS NULL")
        claim = claim or world.advance(lab, one)
    assert numbers == [1, 2]
    row = world.get(lab)
    assert (row.status, row.n_failed, row.n_succeeded) == ("failed", 1, 5)
    assert "within the budget of 1" in str(row.failure)


def test_who_takes_a_step_is_sent_nothing_of_the_other_targets(world: World) -> None:
    world.run_to_end(world.request("1.0.0"))
    production, one, other = world.request("1.0.0", "production"), worker("one"), worker("other")
    with world.database.transaction() as session:
        held = execution.lock(session, production)
        assert held is not None
        held.taker = one.taker()
        execution.proceed(session, held)
        first = held.taken
    assert first is not None
    world.execute("UPDATE attempts SET lease_until = clock_timestamp() WHERE ended_at IS NULL")
    with world.database.transaction() as session:
        second = leases.claim(
            session,
            first.id,
            worker=other.name,
            node=other.node,
            bound_kinds=[],
            lease_seconds=30,
            node_lost_seconds=60,
        )
    assert second is not None
    for row in (first, second):
        assert row.target["name"] == "web-a"
        assert ("actions" in row.document, "targets" in row.document) == (True, False)


def test_a_claim_is_given_once(world: World) -> None:
    deployment = world.request("1.0.0")
    world.advance(deployment)
    (attempt,) = world.open_attempts(deployment)
    assert isinstance(attempt, int)
    taken = [world.claim(attempt, worker("one")), world.claim(attempt, worker("two"))]
    assert [claim is not None for claim in taken] == [True, False]


def test_a_lapsed_lease_is_taken_over_with_a_greater_token_and_the_old_owner_can_write_nothing(
    world: World,
) -> None:
    deployment = world.request("1.0.0")
    old = world.advance(deployment, worker("old", lease_seconds=0.001))
    assert old is not None
    new = world.claim(old.attempt_id, worker("new"))
    assert new is not None
    assert new.token > old.token
    with world.database.transaction() as session:
        assert leases.renew(session, {old.attempt_id: old.token}, lease_seconds=30) == {}
    with pytest.raises(LeaseLostError), world.database.transaction() as session:
        attempts.write_output(session, old, Output(0, 13, b"from the dead"))
    with pytest.raises(LeaseLostError):
        world.finish(old)
    assert world.finish(new, by=worker("new")) is not None


def test_a_lapsed_lease_is_not_revived_by_its_old_owner(world: World) -> None:
    claim = world.advance(world.request("1.0.0"), worker(lease_seconds=0.001))
    assert claim is not None
    with world.database.transaction() as session:
        assert leases.renew(session, {claim.attempt_id: claim.token}, lease_seconds=30) == {}


def test_recording_an_end_twice_changes_nothing(world: World) -> None:
    deployment = world.request("1.0.0")
    claim = world.advance(deployment, worker())
    assert claim is not None
    world.finish(claim)
    before = world.column("SELECT status FROM steps WHERE deployment_id = :id ORDER BY id", id=deployment)
    assert world.finish(claim) is None
    after = world.column("SELECT status FROM steps WHERE deployment_id = :id ORDER BY id", id=deployment)
    assert after == before


def test_output_is_stored_once_and_in_order(world: World) -> None:
    deployment = world.request("1.0.0")
    claim = world.advance(deployment, worker())
    assert claim is not None
    for start, data in ((0, b"one\x00"), (4, b"\xfftwo"), (0, b"one\x00"), (4, b"\xfftwo")):
        with world.database.transaction() as session:
            if (
                start == 0
                and world.scalar("SELECT output_bytes FROM attempts WHERE id = :id", id=claim.attempt_id) == 8
            ):
                with pytest.raises(LeaseLostError):
                    attempts.write_output(session, claim, Output(start, start + len(data), data))
            else:
                attempts.write_output(session, claim, Output(start, start + len(data), data))
    assert world.stored_log(deployment) == b"one\x00\xfftwo"


def test_cancelling_a_pending_deployment_ends_it_at_once_and_wakes_the_next(world: World) -> None:
    first, second, third = (world.request("1.0.0") for _ in range(3))
    world.advance(first)
    with world.database.transaction() as session:
        deployments.cancel(session, second, actor=world.actor, reason="not needed")
    assert world.status(second) == "cancelled"
    assert world.column("SELECT DISTINCT status FROM steps WHERE deployment_id = :id", id=second) == [
        "cancelled"
    ]
    assert world.status(third) == "pending"


def test_one_that_waits_for_promotion_can_be_cancelled(world: World) -> None:
    waiting = world.request("1.0.0", "production")
    world.advance(waiting)
    assert world.get(waiting).held_by == "promotion"
    with world.database.transaction() as session:
        deployments.cancel(session, waiting, actor=world.actor, reason="not now")
    assert world.status(waiting) == "cancelled"


def test_cancelling_a_running_one_waits_for_what_runs(world: World) -> None:
    deployment = world.request("1.0.0", "lab")
    one = worker()
    claim = world.advance(deployment, one)
    assert claim is not None
    with world.database.transaction() as session:
        deployments.cancel(session, deployment, actor=world.actor, reason="wrong")
    assert world.status(deployment) == "running"
    with world.database.transaction() as session:
        assert leases.renew(session, {claim.attempt_id: claim.token}, lease_seconds=30) == {
            claim.attempt_id: (True, 0, True)
        }
    world.finish(claim, Outcome.ABORTED)
    assert world.status(deployment) == "cancelled"
    with pytest.raises(ConflictError), world.database.transaction() as session:
        deployments.retry(session, world.request("1.0.0"), actor=world.actor)


def test_an_unknown_step_asks_and_goes_on_by_the_answer(world: World) -> None:
    deployment = world.request("1.0.0")
    one = worker()
    claim = world.advance(deployment, one)
    assert claim is not None
    assert world.finish(claim, Outcome.LOST, one) is None
    assert world.status(deployment) == "paused"
    with world.database.transaction() as session:
        deployments.answer(session, deployment, answer="retry", step_id=None, actor=world.actor)
    assert world.run_to_end(deployment) == "succeeded"


def test_each_due_deployment_is_given_to_one_ticker_only(world: World) -> None:
    ids = {world.request("1.0.0") for _ in range(20)}
    world.execute("UPDATE deployments SET wake_at = now()")
    taken: list[int] = []
    barrier = threading.Barrier(2)

    def tick() -> None:
        barrier.wait()
        for _ in range(4):
            with world.database.transaction() as session:
                taken.extend(row.id for row in waking.take_due(session, limit=5, push_seconds=60))

    threads = [threading.Thread(target=tick) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(ids)


def test_every_status_change_has_one_event_and_the_chain_verifies(world: World) -> None:
    bad = _good_then_bad(world)
    world.run_to_end(bad, {"web-b": Outcome.FAILED})
    with world.database.reading() as session:
        entries = list(
            session.execute(text("SELECT * FROM events WHERE deployment_id = :id ORDER BY seq"), {"id": bad})
        )
    kinds = [entry.kind for entry in entries]
    assert kinds == [
        "deployment.requested",
        "deployment.running",
        "step.failed",
        "deployment.failed",
        "deployment.rollback",
    ]
    previous = b""
    for entry in entries:
        body = {
            "actor_id": entry.actor_id,
            "at": json.loads(orjson.dumps(entry.at)),
            "data": entry.data,
            "kind": entry.kind,
            "seq": entry.seq,
            "subject": entry.subject,
        }
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        previous = hashlib.sha256(previous + canonical).digest()
        assert bytes(entry.hash) == previous
