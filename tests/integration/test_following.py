"""One follower and what happens while it is being told something: nothing is told in part, and nothing is left out."""

import asyncio
import json
import math

from orchestrator.client.sse import EventParser, ServerEvent
from orchestrator.config import Settings
from orchestrator.db import Database, make_engine
from orchestrator.pulse import Pulse
from orchestrator.services.cursors import Cursors
from stream.events import EventWriter, Key, Mark
from stream.following import Following
from stream.hub import Follower, Hub
from stream.looking import Looker
from stream.store import Store
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
