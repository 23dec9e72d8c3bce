"""How much waits for somebody is as much as their inbox lists, and costs two statements however much it is."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event

from orchestrator import clock
from orchestrator.db import Database
from orchestrator.domain.access import Grant, Role
from orchestrator.domain.statuses import Outcome
from orchestrator.presenting.pages import inbox as page
from orchestrator.services import inbox
from orchestrator.services.actors import Actor
from tests.integration.engine_world import World
from tests.integration.test_halting import going_back, held_locks
from tests.integration.test_locks_and_approvals import approve, person, use_rules

People = dict[str, Actor]


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.release("1.0.0")
    made.release("1.1.0")
    return made


@pytest.fixture
def people(world: World) -> People:
    """One of each kind; ada requests everything, and recorded the releases."""
    roles = {"vera": Role.VIEWER, "dora": Role.DEPLOYER, "otto": Role.OPERATOR, "olga": Role.OPERATOR}
    found = {"ada": world.actor} | {name: person(world, name, role) for name, role in roles.items()}
    found["gran"] = replace(person(world, "gran", Role.VIEWER), grants=(Grant("shop", Role.OPERATOR),))
    return found


def waits(world: World, people: People) -> dict[str, int]:
    """For whom how much is counted, after it was compared with what their inboxes list."""
    with world.database.reading() as session:
        found = inbox.read(session)
        counted = {name: found.count_for(each, clock.now()) for name, each in people.items()}
        listed = {
            name: page.read(session, actor=each)
            .pieces["items"]
            .partition('id="others"')[0]
            .count('<li class="card')
            for name, each in people.items()
        }
    assert counted == listed
    return {name: count for name, count in counted.items() if count}


def test_an_approval_waits_for_those_whose_yes_is_missing(world: World, people: People) -> None:
    assert waits(world, people) == {}
    use_rules(world, "[{count: 2, role: operator}, {users: [vera, ada], not_author: true}]")
    made = world.request("1.0.0")
    assert waits(world, people) == {"vera": 1, "otto": 1, "olga": 1, "gran": 1}
    approve(world, made, people["otto"])
    approve(world, made, people["vera"])
    assert waits(world, people) == {"olga": 1, "gran": 1}
    approve(world, made, people["olga"])
    assert waits(world, people) == {}


def test_who_recorded_the_release_is_not_waited_for_where_the_rule_says_so(
    world: World, people: People
) -> None:
    use_rules(world, "[{role: operator, not_author: true}]")
    made = world.request("1.0.0")
    world.execute(
        "UPDATE deployments SET requested_by = :id WHERE id = :made", id=people["dora"].id, made=made
    )
    assert waits(world, people) == {"otto": 1, "olga": 1, "gran": 1}


def test_a_yes_that_has_expired_is_waited_for_again(world: World, people: People) -> None:
    use_rules(world, "[{count: 2, role: operator, expires: 1h}]")
    approve(world, world.request("1.0.0"), people["otto"])
    assert waits(world, people) == {"olga": 1, "gran": 1}
    world.execute("UPDATE approvals SET at = clock_timestamp() - interval '1 hour'")
    assert waits(world, people) == {"otto": 1, "olga": 1, "gran": 1}


def test_a_question_and_a_slot_that_stands_still_wait_for_whoever_may_deploy_there(
    world: World, people: People
) -> None:
    asked = world.request("1.0.0", "lab")
    world.run_to_end(asked, {"lab-a": Outcome.LOST})
    deployers = {"ada", "dora", "otto", "olga", "gran"}
    assert world.status(asked) == "paused"
    assert waits(world, people) == dict.fromkeys(deployers, 1)
    _, rollback = going_back(world)
    assert world.run_to_end(rollback, {"web-a": Outcome.FAILED}) == "failed"
    assert len(held_locks(world)) == 1
    assert waits(world, people) == dict.fromkeys(deployers, 2)


def test_it_costs_as_many_statements_however_much_waits(world: World, people: People) -> None:
    use_rules(world, "[{role: operator}]")
    seen: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(world.database.engine, "before_cursor_execute", note)
    costs = []
    for _ in range(2):
        world.request("1.0.0")
        with world.database.reading() as session:
            seen.clear()
            assert inbox.read(session).count_for(people["otto"], clock.now()) > len(costs)
            costs.append(len(seen))
    event.remove(world.database.engine, "before_cursor_execute", note)
    assert costs == [2, 2]
