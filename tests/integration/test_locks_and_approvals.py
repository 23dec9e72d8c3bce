"""What people say to deployments, in the transaction that would start them: on real Postgres."""

from datetime import timedelta

import pytest

from orchestrator import clock
from orchestrator.db import Database
from orchestrator.domain.access import Role
from orchestrator.domain.errors import ConflictError, ForbiddenError, RuleViolationError
from orchestrator.domain.statuses import Outcome
from orchestrator.presenting.deployments import present_whole
from orchestrator.repositories import users
from orchestrator.services import approvals, deployments, locks, pipelines, rollbacks
from orchestrator.services.actors import Actor
from tests.integration.engine_world import PIPELINE, World, worker


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.release("1.0.0")
    return made


def person(world: World, name: str, role: Role = Role.DEPLOYER) -> Actor:
    with world.database.transaction() as session:
        user_id = users.insert(
            session, email=f"{name}@example.com", username=name, password_hash="x", role=str(role)
        )
    assert user_id is not None
    return Actor(user_id, name, role, "sign-in")


def lock(world: World, by: Actor, **more: object) -> int:
    given = {"application": "shop", "environment": None, "expires_at": None, "warning_only": False} | more
    with world.database.transaction() as session:
        return locks.create(session, reason="the database moves", actor=by, **given)  # type: ignore[arg-type]


def release(world: World, lock_id: int, by: Actor) -> None:
    with world.database.transaction() as session:
        locks.release(session, lock_id, actor=by)


def waits_for(world: World, deployment: int) -> list[str]:
    with world.database.reading() as session:
        return [each["message"] for each in present_whole(session, world.get(deployment))["waiting_for"]]


def requested_by(world: World, who: Actor, environment: str = "staging") -> int:
    with world.database.transaction() as session:
        return deployments.request(
            session, application="shop", version="1.0.0", environment=environment, reason="", actor=who
        ).id


@pytest.mark.parametrize(
    "scope",
    [{}, {"environment": "staging"}, {"application": None}, {"application": None, "environment": "staging"}],
)
def test_a_lock_keeps_others_out_until_it_is_released_which_wakes_them(
    world: World, scope: dict[str, object]
) -> None:
    ben = person(world, "ben", Role.OPERATOR)
    held = lock(world, ben, **scope)
    deployment = world.request("1.0.0")
    assert world.advance(deployment, worker()) is None
    assert waits_for(world, deployment) == [f"ben locked it (lock {held}): the database moves"]
    assert world.get(deployment).held_by == "lock"
    release(world, held, ben)
    woken = "SELECT wake_at <= clock_timestamp() FROM deployments WHERE id = :id"
    assert world.scalar(woken, id=deployment) is True
    assert world.run_to_end(deployment) == "succeeded"


def test_a_lock_elsewhere_keeps_nobody_out(world: World) -> None:
    lock(world, person(world, "ben"), environment="production")
    assert world.run_to_end(world.request("1.0.0")) == "succeeded"


def test_who_locked_may_deploy_past_those_who_wait(world: World) -> None:
    ben = person(world, "ben")
    lock(world, ben)
    waiting = world.request("1.0.0")
    world.advance(waiting)
    assert world.run_to_end(requested_by(world, ben)) == "succeeded"
    assert world.status(waiting) == "pending"


def test_a_lock_expires_by_itself(world: World) -> None:
    until = clock.now() + timedelta(hours=1)
    lock(world, person(world, "ben"), expires_at=until)
    deployment = world.request("1.0.0")
    assert abs(world.held(deployment).wake_at - until) < timedelta(milliseconds=1)
    world.execute("UPDATE locks SET expires_at = clock_timestamp() - interval '1 second'")
    assert world.run_to_end(deployment) == "succeeded"


def test_a_warning_and_what_runs_are_not_stopped(world: World) -> None:
    ben = person(world, "ben")
    lock(world, ben, warning_only=True)
    deployment = world.request("1.0.0")
    claim = world.advance(deployment, worker())
    assert claim is not None
    lock(world, ben)
    assert world.finish(claim, Outcome.SUCCEEDED, worker()) is not None


def test_an_automatic_rollback_passes_a_lock(world: World) -> None:
    assert world.run_to_end(world.request("1.0.0")) == "succeeded"
    assert world.run_to_end(world.request("1.0.0", "production")) == "succeeded"
    world.release("1.1.0")
    assert world.run_to_end(world.request("1.1.0")) == "succeeded"
    failing = world.request("1.1.0", "production")
    claim = world.advance(failing, worker())
    assert claim is not None
    lock(world, person(world, "ben"))
    world.finish(claim, Outcome.FAILED)
    rollback = world.scalar("SELECT id FROM deployments WHERE rolls_back_id = :id", id=failing)
    assert isinstance(rollback, int)
    assert world.run_to_end(rollback) == "succeeded"


def test_locks_have_owners(world: World) -> None:
    ben, eve = person(world, "ben"), person(world, "eve")
    with pytest.raises(ForbiddenError):
        lock(world, eve, application=None)
    held = lock(world, ben)
    with pytest.raises(ForbiddenError, match=r"lock \d+ of ben"):
        release(world, held, eve)
    release(world, held, world.actor)
    release(world, held, ben)
    events = "SELECT kind FROM events WHERE subject = :subject ORDER BY seq"
    assert world.column(events, subject=f"lock:{held}") == ["lock.created", "lock.released"]


def use_rules(world: World, rules: str) -> None:
    source = PIPELINE.replace("  staging:\n", f"  staging:\n    approvals: {rules}\n")
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=source, actor=world.actor)


def approve(world: World, deployment: int, by: Actor) -> None:
    with world.database.transaction() as session:
        approvals.approve(session, deployment, actor=by, reason="looks good")


def test_a_deployment_waits_for_every_rule_and_starts_with_the_last_yes(world: World) -> None:
    use_rules(world, "[{count: 2, role: operator}, {users: [cleo]}]")
    ben, dan = (person(world, name, Role.OPERATOR) for name in ("ben", "dan"))
    cleo, eve = person(world, "cleo"), person(world, "eve")
    deployment = world.request("1.0.0")
    assert world.advance(deployment, worker()) is None
    assert waits_for(world, deployment) == [
        "2 people with the role operator or higher must approve, other than who requested it",
        "1 person of cleo must approve, other than who requested it",
    ]
    approve(world, deployment, ben)
    approve(world, deployment, ben)
    approve(world, deployment, cleo)
    with pytest.raises(ForbiddenError, match="you are none of them"):
        approve(world, deployment, eve)
    with pytest.raises(ForbiddenError, match="who requested"):
        approve(world, deployment, world.actor)
    assert world.status(deployment) == "pending"
    approve(world, deployment, dan)
    assert world.status(deployment) == "running"
    assert world.run_to_end(deployment) == "succeeded"
    approved = "SELECT count(*) FROM events WHERE deployment_id = :id AND kind = 'deployment.approved'"
    assert world.scalar(approved, id=deployment) == 3


def test_a_no_ends_it_with_its_reason_and_lets_the_next_go(world: World) -> None:
    use_rules(world, "[{role: operator}]")
    deployment, behind = world.request("1.0.0"), world.request("1.0.0")
    world.advance(deployment)
    world.advance(behind)
    with world.database.transaction() as session:
        approvals.reject(
            session, deployment, actor=person(world, "ben", Role.OPERATOR), reason="not on a Friday"
        )
    row = world.get(deployment)
    assert (row.status, row.failure) == ("cancelled", "rejected by ben: not on a Friday")
    with pytest.raises(RuleViolationError, match="asks for no approval"):
        approve(world, deployment, person(world, "dan", Role.OPERATOR))
    assert world.status(behind) == "pending"


def test_what_asks_nobody_cannot_be_approved(world: World) -> None:
    deployment = world.request("1.0.0")
    with pytest.raises(RuleViolationError):
        approve(world, deployment, person(world, "ben", Role.OPERATOR))


def test_a_rollback_needs_no_approval(world: World) -> None:
    assert world.run_to_end(world.request("1.0.0")) == "succeeded"
    world.release("1.1.0")
    last = world.request("1.1.0")
    assert world.run_to_end(last) == "succeeded"
    use_rules(world, "[{count: 3, role: admin}]")
    with world.database.transaction() as session:
        back = rollbacks.request(session, last, actor=world.actor, reason="")
    assert world.run_to_end(back) == "succeeded"


def replan(world: World, deployment: int, by: Actor | None = None) -> int:
    with world.database.transaction() as session:
        return deployments.replan(session, deployment, actor=by or world.actor)


def test_what_was_approved_is_one_plan_and_an_edited_one_begins_at_nobody(world: World) -> None:
    use_rules(world, "[{count: 2, role: operator}]")
    ben = person(world, "ben", Role.OPERATOR)
    deployment = world.request("1.0.0")
    approve(world, deployment, ben)
    one = "1 more of 2 people with the role operator or higher must approve, other than who requested it"
    assert waits_for(world, deployment) == [one]
    edited = PIPELINE.replace("  staging:\n", "  staging:\n    approvals: [{count: 2, role: operator}]\n")
    with world.database.transaction() as session:
        source = edited.replace("run: ./install", "run: ./install --carefully")
        pipelines.apply(session, name="shop", source=source, actor=world.actor)
    assert waits_for(world, deployment) == [one]
    made = replan(world, deployment)
    assert waits_for(world, made) == [one.replace("1 more of 2", "2")]
    assert world.get(made).plan_hash != world.get(deployment).plan_hash
    row = world.get(deployment)
    assert (row.status, row.failure) == (
        "superseded",
        f"deployment {made} is newer and took its place in the queue",
    )


def test_a_yes_may_name_the_plan_it_is_for(world: World) -> None:
    use_rules(world, "[{role: operator}]")
    ben = person(world, "ben", Role.OPERATOR)
    deployment = world.request("1.0.0")
    digest = str(world.get(deployment).plan_hash)
    with world.database.transaction() as session, pytest.raises(ConflictError, match=digest):
        approvals.approve(session, deployment, actor=ben, reason="", plan_hash="another")
    with world.database.transaction() as session:
        approvals.approve(session, deployment, actor=ben, reason="", plan_hash=digest)
    assert world.run_to_end(deployment) == "succeeded"


def test_what_runs_keeps_its_plan_and_so_does_a_rollback(world: World) -> None:
    deployment = world.request("1.0.0")
    assert world.advance(deployment, worker()) is not None
    with pytest.raises(ConflictError, match="not pending any more"):
        replan(world, deployment)
    assert world.scalar("SELECT count(*) FROM deployments") == 1


@pytest.mark.parametrize("policy", ["fifo", "reject", "latest_wins"])
def test_a_new_plan_takes_the_old_ones_place_in_any_queue(world: World, policy: str) -> None:
    source = PIPELINE.replace("  staging:\n", f"  staging:\n    queue: {policy}\n")
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=source, actor=world.actor)
    waits = world.request("1.0.0")
    made = replan(world, waits)
    assert (world.status(waits), world.status(made)) == ("superseded", "pending")
    assert (world.get(waits).replaced_by_id, world.get(made).replaced_by_id) == (made, None)


def test_a_team_approves_and_not_who_recorded_the_release(world: World) -> None:
    use_rules(world, "[{team: payments, not_author: true}]")
    ben, cleo = person(world, "ben"), person(world, "cleo")
    world.execute("UPDATE releases SET created_by = :ben", ben=ben.id)
    deployment = world.request("1.0.0")
    with pytest.raises(
        ForbiddenError,
        match="of the team payments; you are none of them; who recorded the release does not count",
    ):
        approve(world, deployment, cleo)
    in_team = [Actor(each.id, each.username, each.role, "", ("payments",)) for each in (ben, cleo)]
    with pytest.raises(ForbiddenError):
        approve(world, deployment, in_team[0])
    approve(world, deployment, in_team[1])
    assert world.run_to_end(deployment) == "succeeded"


def test_a_yes_that_expired_may_be_said_again(world: World) -> None:
    use_rules(world, "[{role: operator, expires: 1h}]")
    ben = person(world, "ben", Role.OPERATOR)
    lock(world, ben, application=None)
    deployment = world.request("1.0.0")
    approve(world, deployment, ben)
    assert len(waits_for(world, deployment)) == 1
    world.execute("UPDATE approvals SET at = clock_timestamp() - interval '1 hour'")
    assert len(waits_for(world, deployment)) == 2
    approve(world, deployment, ben)
    assert len(waits_for(world, deployment)) == 1
