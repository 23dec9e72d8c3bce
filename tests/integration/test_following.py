"""One follower and what happens while it is being told something: nothing is told in part, and nothing is left out."""

import asyncio
import json
import math
from collections.abc import Callable

import pytest
from sqlalchemy.exc import ProgrammingError

from orchestrator.client.sse import EventParser, ServerEvent
from orchestrator.config import Settings
from orchestrator.db import Database, make_engine
from orchestrator.pulse import Pulse
from orchestrator.services.cursors import Cursors
from stream.events import EventWriter, Key, Mark
from stream.followers import Follower
from stream.following import Following
from stream.hub import Hub
from stream.looking import Looker
from stream.store import Store
from stream.view_keys import DASHBOARD, ViewKey
from stream.view_looking import ViewLooker
from tests.integration.engine_world import World


def test_an_end_that_comes_while_the_status_is_sent_is_shown_too(
    settings: Settings, database: Database
) -> None:
    world, cursors = World(database), Cursors(settings.secret_key)
    world.release("1")
    deployment_id = world.request("1")
    hub, looker = Hub(most_followers=1), Looker(database, cursors)
    pulse = Pulse(make_engine(settings))
    store = Store(settings, database, pulse)
    parser = EventParser()
    seen: list[ServerEvent] = []

    def look() -> None:
        asked = hub.asked(with_sign_ins=False)
        hub.publish(asked, looker.look(asked))

    async def send(chunk: bytes) -> None:
        events = list(parser.feed(chunk))
        seen.extend(events)
        if [each.type for each in events] == ["status"] and world.status(deployment_id) == "pending":
            assert world.run_to_end(deployment_id) == "succeeded"
            look()

    async def follow() -> None:
        key = Key(deployment_id)
        follower = Follower(key, world.actor, math.inf, most_bytes=1 << 20)
        topic = hub.enter(follower)
        look()
        await Following(hub, store, follower, topic, EventWriter(cursors, key), Mark(), send).run()

    asyncio.run(follow())
    store.close()
    pulse.close()
    assert [json.loads(each.data)["status"] for each in seen if each.type == "status"] == [
        "pending",
        "succeeded",
    ]
    steps = {
        each["id"]: each["status"] for e in seen if e.type == "steps" for each in json.loads(e.data)["items"]
    }
    assert set(steps.values()) == {"succeeded"}
    assert json.loads(seen[-1].data) == {"id": deployment_id, "status": "succeeded"}


def fails_at(world: World, table: str, look: Callable[[], object]) -> None:
    """Look while Postgres gives no answer to what is asked of this table, after it has answered to what was asked before."""
    world.execute(f"ALTER TABLE {table} RENAME TO out_of_reach")
    with pytest.raises(ProgrammingError):
        look()
    world.execute(f"ALTER TABLE out_of_reach RENAME TO {table}")


@pytest.mark.parametrize("comes", ["before it happens", "during the look that sees it"])
def test_what_a_look_saw_that_failed_is_told_by_the_next(
    settings: Settings, database: Database, comes: str
) -> None:
    world, cursors = World(database), Cursors(settings.secret_key)
    world.release("1")
    deployment_id = world.request("1")
    hub, looker = Hub(most_followers=1), Looker(database, cursors)
    follower = Follower(Key(deployment_id), world.actor, math.inf, most_bytes=1 << 20)

    def look(meanwhile: Callable[[], None] = lambda: None) -> None:
        asked = hub.asked(with_sign_ins=False)
        found = looker.look(asked)
        meanwhile()
        hub.publish(asked, found)

    hub.enter(follower)
    look()
    if comes == "before it happens":
        hub.join(follower, Mark(0))
        assert world.run_to_end(deployment_id) == "succeeded"
    else:
        assert world.run_to_end(deployment_id) == "succeeded"
        look(meanwhile=lambda: hub.join(follower, Mark(0)))
    fails_at(world, "log_chunks", look)
    look()
    told = [(each.type, json.loads(each.data)) for each in EventParser().feed(asyncio.run(follower.take()))]
    assert [data["status"] for kind, data in told if kind == "status"] == ["succeeded"]
    steps = [step["status"] for kind, data in told if kind == "steps" for step in data["items"]]
    assert steps
    assert set(steps) == {"succeeded"}
    assert told[-1] == ("end", {"id": deployment_id, "status": "succeeded"})


def test_a_view_that_was_made_by_a_look_that_failed_is_made_again_by_the_next(database: Database) -> None:
    world, looker = World(database), ViewLooker(database)
    world.release("1")
    key = ViewKey(DASHBOARD, "", world.actor)
    assert looker.look([key], {"sign-in"}).views.keys() == {key}
    assert world.run_to_end(world.request("1")) == "succeeded"
    fails_at(world, "sign_ins", lambda: looker.look([key], {"sign-in"}))
    assert looker.look([key], {"sign-in"}).views.keys() == {key}
