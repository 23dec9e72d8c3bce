"""Deployments that wait between two waves, on their pages: why, until when, and the buttons of who may end it."""

import itertools
import re

import pytest
from flask.testing import FlaskClient

from orchestrator.domain.statuses import Outcome
from orchestrator.services import deployments, pipelines
from tests.integration.api_world import ApiWorld, world
from tests.integration.engine_world import PIPELINE, World
from tests.integration.test_moving_traffic import SIDES, THREE, play, use

__all__ = ["world"]

OURS = {"Origin": "http://localhost"}
NUMBERS = itertools.count(1)
CANARY = "{kind: canary, canary: 1, weights: [10%], promote: manual}"


@pytest.fixture(scope="module")
def engine(world: ApiWorld) -> World:
    return World(world.database)


def started(engine: World, strategy: str, targets: str) -> int:
    """A deployment of a new release, as far as it goes without anybody."""
    version = f"{next(NUMBERS)}.0.0"
    engine.release(version)
    use(engine, strategy, targets=targets)
    made = engine.request(version, "production")
    play(engine, made)
    return made


def promote(client: FlaskClient, token: str, id: int) -> int:
    form = {"form_token": token, "reason": "looks <b>well</b>"}
    return client.post(f"/deployments/{id}/promote", data=form, headers=OURS).status_code


def test_a_canary_is_promoted_by_who_may(world: ApiWorld, engine: World) -> None:
    made = started(engine, CANARY, THREE)
    assert engine.status(made) == "paused"
    viewer, viewers = world.browser("viewer")
    deployer, deployers = world.browser("deployer")
    button = f"Promote shop {engine.get(made).version} in production"
    assert button not in viewer.get(f"/deployments/{made}").text
    assert promote(viewer, viewers, made) == 403
    page = deployer.get(f"/deployments/{made}").text
    assert button in page
    assert "a person has to say that it goes on" in page
    for client, waits_for in ((deployer, "mine"), (viewer, "others")):
        inbox = client.get("/inbox").text
        assert f'href="/deployments/{made}"' in inbox.partition(f'id="{waits_for}"')[2]
    assert promote(deployer, deployers, made) == 303
    play(engine, made)
    assert engine.status(made) == "succeeded"
    page = deployer.get(f"/deployments/{made}").text
    assert "looks &lt;b&gt;well&lt;/b&gt;" in page
    assert button not in page
    assert promote(deployer, deployers, made) == 400, "it waits for nothing any more"


def test_who_claims_a_canary_is_the_one_who_promotes_it(world: ApiWorld, engine: World) -> None:
    made = started(engine, CANARY, THREE)
    (one, ones), (other, others) = world.browser("deployer"), world.browser("deployer")
    path = f"/deployments/{made}"
    assert f'formaction="{path}/claim"' in one.get(path).text
    assert one.post(f"{path}/claim", data={"form_token": ones}, headers=OURS).status_code == 303
    assert "has claimed it, and nobody else is heard" in other.get(path).text
    assert promote(other, others, made) == 409
    assert promote(one, ones, made) == 303
    play(engine, made)
    assert engine.status(made) == "succeeded"


def test_a_canary_that_is_stopped_says_what_becomes_of_it(world: ApiWorld, engine: World) -> None:
    made = started(engine, CANARY, THREE)
    client, token = world.browser("deployer")
    assert "Traffic that the canary got is taken away first" in client.get(f"/deployments/{made}").text
    cancel = client.post(f"/deployments/{made}/cancel", data={"form_token": token}, headers=OURS)
    assert cancel.status_code == 303
    assert "/promote" not in client.get(f"/deployments/{made}").text
    play(engine, made)
    assert engine.status(made) == "cancelled"


@pytest.mark.parametrize("ends", ["cancel", "promote"])
def test_blue_green_says_until_when_the_old_side_is_kept_and_switches_back(
    world: ApiWorld, engine: World, ends: str
) -> None:
    made = started(engine, "{kind: blue-green, keep: 10m}", SIDES)
    viewer, _ = world.browser("viewer")
    client, token = world.browser("deployer")
    until = engine.get(made).next_wave_at
    for each in (viewer, client):
        page = each.get(f"/deployments/{made}").text
        assert "The old one is kept as it was" in page
        assert f'<time datetime="{until:%Y-%m-%dT%H:%M:%SZ}" data-ago' in page
        assert ("Switch back to the old side" in page) == (each is client)
        assert ("End the wait" in page) == (each is client)
    form = {"form_token": token}
    assert client.post(f"/deployments/{made}/{ends}", data=form, headers=OURS).status_code == 303
    did = play(engine, made)
    assert engine.status(made) == {"cancel": "cancelled", "promote": "succeeded"}[ends]
    new_one_first = did[0] == f"{engine.get(made).side}: 100"
    assert (len(did), new_one_first) == (2, ends == "promote"), "one gets the traffic, the other loses it"
    assert "is kept as it was" not in client.get(f"/deployments/{made}").text


def test_a_batch_that_settles_may_be_cut_short(world: ApiWorld, engine: World) -> None:
    made = started(engine, "{kind: rolling, batch: 1, settle: 10m}", THREE)
    client, token = world.browser("deployer")
    page = client.get(f"/deployments/{made}").text
    assert re.search(r"<strong>The next wave begins <time [^>]*>[^<]*</time></strong>", page)
    assert "Go on now" in page
    wave = engine.get(made).wave_index
    assert promote(client, token, made) == 303
    assert engine.get(made).wave_index > wave
    with world.database.transaction() as session:
        deployments.cancel(session, made, actor=engine.actor, reason="")
    play(engine, made)


def test_steps_that_are_unknown_are_answered_one_by_one_or_together(world: ApiWorld, engine: World) -> None:
    version = f"{next(NUMBERS)}.0.0"
    engine.release(version)
    made = engine.request(version, "lab")
    assert engine.run_to_end(made, dict.fromkeys(("lab-a", "lab-b", "lab-c"), Outcome.LOST)) == "paused"
    client, token = world.browser("deployer")
    viewer, _ = world.browser("viewer")
    assert 'name="step"' not in viewer.get(f"/deployments/{made}").text
    steps = set(re.findall(r'name="step" value="(\d+)"', client.get(f"/deployments/{made}").text))
    assert len(steps) == 3

    def say(**said: str) -> tuple[int, object]:
        form = {"form_token": token, "answer": "skip", **said}
        status = client.post(f"/deployments/{made}/answer", data=form, headers=OURS).status_code
        return status, engine.get(made).n_unknown

    assert say(step="x") == (422, 3)
    assert say(step="9" * 30) == (422, 3)
    assert say(step=steps.pop()) == (303, 2)
    assert say() == (303, 0)


def test_a_canary_without_traffic_promises_nothing_about_it(world: ApiWorld, engine: World) -> None:
    strategy = "{kind: canary, canary: 1, promote: manual}"
    source = PIPELINE.replace("[{name: web-a, kind: noop}]", f"{THREE}\n    strategy: {strategy}", 1)
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=source, actor=engine.actor)
    version = f"{next(NUMBERS)}.0.0"
    engine.release(version)
    made = engine.request(version)
    play(engine, made)
    page = world.browser("deployer")[0].get(f"/deployments/{made}").text
    assert f"The canary keeps {version}" in page
    assert "traffic" not in page.partition('id="why"')[2].partition("</section>")[0].lower()
