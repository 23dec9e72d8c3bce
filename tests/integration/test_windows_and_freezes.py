"""Windows and freezes in the transaction that starts a deployment: on real Postgres."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator import clock
from orchestrator.db import Database
from orchestrator.domain.access import Role
from orchestrator.domain.errors import ForbiddenError, InvalidInputError, RuleViolationError
from orchestrator.domain.statuses import Outcome
from orchestrator.domain.windows import RuleKind
from orchestrator.presenting.deployments import present_whole
from orchestrator.services import deployments, pipelines, windows
from orchestrator.services.actors import Actor
from tests.integration.engine_world import PIPELINE, World, worker

HOUR = timedelta(hours=1)


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.release("1.0.0")
    return made


def dated(start: datetime, end: datetime) -> dict[str, Any]:
    return {"dated": {"from": f"{start:%Y-%m-%dT%H:%M}", "to": f"{end:%Y-%m-%dT%H:%M}"}}


def in_an_hour() -> datetime:
    return clock.now().astimezone(UTC).replace(second=0, microsecond=0) + HOUR


def rule(
    world: World, kind: RuleKind, schedule: Mapping[str, Any], *, environment: str = "staging", **more: Any
) -> int:
    document = {"name": "the rule", "zone": "UTC", **schedule, **more}
    with world.database.transaction() as session:
        return windows.create(session, kind, environment=environment, document=document, actor=world.actor)


def remove(world: World, kind: RuleKind, rule_id: int) -> None:
    with world.database.transaction() as session:
        windows.remove(session, kind, rule_id, actor=world.actor)


def waiting(world: World, deployment: int) -> list[tuple[str, datetime | None]]:
    with world.database.reading() as session:
        shown = present_whole(session, world.get(deployment))["waiting_for"]
    return [(each["kind"], each["until"]) for each in shown]


def request(world: World, actor: Actor | None = None, **more: Any) -> int:
    given = {"reason": "", **more}
    with world.database.transaction() as session:
        return deployments.request(
            session,
            application="shop",
            version="1.0.0",
            environment="staging",
            actor=actor or world.actor,
            **given,
        ).id


def test_outside_its_windows_a_deployment_sleeps_until_the_next_opens(world: World) -> None:
    opens = in_an_hour()
    rule(world, RuleKind.WINDOW, dated(opens, opens + HOUR))
    deployment = request(world)
    row = world.held(deployment)
    assert (row.status, row.held_by, row.wake_at) == ("pending", "window", opens)
    assert waiting(world, deployment) == [("window", opens)]


def test_inside_a_window_it_starts(world: World) -> None:
    rule(world, RuleKind.WINDOW, dated(in_an_hour() - 3 * HOUR, in_an_hour() + HOUR))
    assert world.run_to_end(request(world)) == "succeeded"


def test_a_freeze_beats_an_open_window(world: World) -> None:
    thaws = in_an_hour()
    rule(world, RuleKind.WINDOW, dated(thaws - 5 * HOUR, thaws + 5 * HOUR))
    rule(world, RuleKind.FREEZE, dated(thaws - 2 * HOUR, thaws))
    deployment = request(world)
    assert world.held(deployment).wake_at == thaws
    assert waiting(world, deployment) == [("freeze", thaws)]


def test_a_freeze_that_ends_outside_the_windows_gives_both_reasons_and_the_right_instant(
    world: World,
) -> None:
    thaws = in_an_hour()
    rule(world, RuleKind.FREEZE, dated(thaws - 2 * HOUR, thaws))
    rule(world, RuleKind.WINDOW, dated(thaws + HOUR, thaws + 2 * HOUR))
    deployment = request(world)
    assert world.held(deployment).wake_at == thaws
    assert waiting(world, deployment) == [("freeze", thaws), ("window", thaws + HOUR)]


def test_where_there_are_no_windows_a_freeze_is_the_one_reason_however_long_it_lasts(world: World) -> None:
    thaws = in_an_hour() + timedelta(days=20 * 365)
    rule(world, RuleKind.FREEZE, dated(in_an_hour() - 2 * HOUR, thaws))
    deployment = request(world)
    world.advance(deployment)
    assert waiting(world, deployment) == [("freeze", thaws)]


def test_a_freeze_made_while_deployments_are_queued_holds_them_too(world: World) -> None:
    first, second = request(world), request(world)
    assert world.run_to_end(first) == "succeeded"
    freeze = rule(world, RuleKind.FREEZE, dated(in_an_hour() - 2 * HOUR, in_an_hour()))
    assert world.advance(second, worker()) is None
    assert world.get(second).held_by == "freeze"
    remove(world, RuleKind.FREEZE, freeze)
    assert (
        world.scalar("SELECT wake_at <= clock_timestamp() FROM deployments WHERE id = :id", id=second) is True
    )
    assert world.run_to_end(second) == "succeeded"


def test_rules_of_another_environment_say_nothing(world: World) -> None:
    rule(world, RuleKind.FREEZE, dated(in_an_hour() - 2 * HOUR, in_an_hour()), environment="production")
    assert world.run_to_end(request(world)) == "succeeded"


def test_a_rule_may_be_only_for_applications_with_a_label(world: World) -> None:
    rule(world, RuleKind.FREEZE, dated(in_an_hour() - 2 * HOUR, in_an_hour()), labels={"team": ["payments"]})
    assert world.run_to_end(request(world)) == "succeeded"
    with world.database.transaction() as session:
        source = PIPELINE.replace("application: shop\n", "application: shop\nlabels: {team: payments}\n")
        pipelines.apply(session, name="shop", source=source, actor=world.actor)
    deployment = request(world)
    world.advance(deployment)
    assert world.get(deployment).held_by == "freeze"


def test_an_override_passes_windows_with_a_reason_and_never_a_freeze(world: World) -> None:
    opens = in_an_hour()
    rule(world, RuleKind.WINDOW, dated(opens, opens + HOUR))
    deployer = Actor(world.actor.id, "ada", Role.DEPLOYER, "sign-in")
    with pytest.raises(ForbiddenError):
        request(world, deployer, override_windows=True, reason="it burns")
    with pytest.raises(RuleViolationError, match="says why"):
        request(world, override_windows=True)
    assert world.run_to_end(request(world, override_windows=True, reason="it burns")) == "succeeded"
    rule(world, RuleKind.FREEZE, dated(opens - 2 * HOUR, opens - HOUR / 2))
    frozen = request(world, override_windows=True, reason="it burns")
    world.advance(frozen)
    assert waiting(world, frozen) == [("freeze", opens - HOUR / 2)]
    overridden = "SELECT data -> 'override_windows' FROM events WHERE deployment_id = :id AND seq = 1"
    assert world.scalar(overridden, id=frozen) is True


def test_an_automatic_rollback_passes_a_freeze(world: World) -> None:
    for environment in ("staging", "production"):
        assert world.run_to_end(world.request("1.0.0", environment)) == "succeeded"
    world.release("1.1.0")
    assert world.run_to_end(world.request("1.1.0")) == "succeeded"
    failing = world.request("1.1.0", "production")
    claim = world.advance(failing, worker())
    assert claim is not None
    rule(world, RuleKind.FREEZE, dated(in_an_hour() - 2 * HOUR, in_an_hour()), environment="production")
    world.finish(claim, Outcome.FAILED)
    rollback = world.scalar("SELECT id FROM deployments WHERE rolls_back_id = :id", id=failing)
    assert isinstance(rollback, int)
    assert world.run_to_end(rollback) == "succeeded"


def test_mistakes_are_all_named_and_nothing_is_written(world: World) -> None:
    with pytest.raises(InvalidInputError) as caught:
        rule(
            world,
            RuleKind.WINDOW,
            {"weekly": {"days": ["someday"], "from": "25:00", "to": "17:00"}},
            zone="Berlin",
        )
    assert {problem.pointer for problem in caught.value.problems} == {
        "/zone",
        "/weekly/days/0",
        "/weekly/from",
    }
    assert world.scalar("SELECT count(*) FROM window_rules") == 0


def test_only_operators_make_and_remove_rules(world: World) -> None:
    deployer = Actor(world.actor.id, "ada", Role.DEPLOYER, "sign-in")
    schedule = {"name": "x", "zone": "UTC", **dated(in_an_hour(), in_an_hour() + HOUR)}
    with world.database.transaction() as session, pytest.raises(ForbiddenError):
        windows.create(session, RuleKind.FREEZE, environment="staging", document=schedule, actor=deployer)
