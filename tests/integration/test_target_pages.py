"""Targets on pages: what ran there at an instant, whether what was installed still runs there, and what touched them."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from orchestrator.checks.base import Probe
from orchestrator.domain.statuses import Outcome
from orchestrator.repositories import drift as rows
from orchestrator.services import drift, pipelines
from tests.integration.api_world import ApiWorld, world
from tests.integration.engine_world import PIPELINE, World

__all__ = ["world"]

OURS = {"Origin": "http://localhost"}
NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
ASKED = """  lab:
    drift: {http: "http://127.0.0.1:9/version", expect: $RELEASE_VERSION}
"""
SLOT = {"application": "shop", "environment": "lab"}


@pytest.fixture(scope="module")
def engine(world: ApiWorld) -> World:
    """`shop`, whose `lab` is asked what runs there, with two releases."""
    made = World(world.database)
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=PIPELINE.replace("  lab:\n", ASKED), actor=made.actor)
    for version in ("1.0.0", "1.1.0"):
        made.release(version)
    return made


@pytest.fixture(scope="module")
def installed(engine: World) -> int:
    """What is in the lab since half past nine on 10 March 2026, by UTC."""
    made = engine.request("1.0.0", "lab")
    assert engine.run_to_end(made) == "succeeded"
    with engine.database.transaction() as session:
        session.execute(
            text("SET LOCAL session_replication_role = replica")
        )  # what has ended does not change
        for change in (
            "UPDATE deployments SET created_at = :at, started_at = :at, ended_at = :at, deployed_at = :at WHERE id = :id",
            "UPDATE steps SET started_at = :at, ended_at = :at WHERE deployment_id = :id",
        ):
            session.execute(text(change), {"id": made, "at": datetime(2026, 3, 10, 9, 30, tzinfo=UTC)})
    return made


def answer(world: ApiWorld, *, ok: bool, detail: str) -> int:
    """Let every target that is due say so; how many were."""
    with world.database.transaction() as session:
        rows.enrol(session)
        questions, about = drift.take(session, limit=64)
    said = {each.target_id: (each.asked_at, Probe(ok, detail)) for each in questions}
    with world.database.transaction() as session:
        drift.record(session, said, about)
    return len(questions)


def check(client: FlaskClient, token: str, **form: str) -> Any:
    return client.post("/targets/check", data={"form_token": token, **form}, headers=OURS)


def words_of(page: str) -> str:
    """What is read on a page, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


@pytest.mark.parametrize(
    ("at", "ran"),
    [
        ("at=2026-03-10T10:30&zone=Europe/Berlin", True),
        ("at=2026-03-10T10:29&zone=Europe/Berlin", False),
        ("at=2026-03-10T09:30&zone=UTC", True),
        ("at=2026-03-10T09:30:00Z", True),
        ("at=2026-03-10T15:00:00%2B05:30", True),
        ("at=2026-03-10T14:59:00%2B05:30", False),
        ("at=2026-03-10T09:29&zone=Mars/Olympus", False),
    ],
)
def test_what_ran_at_an_instant_is_shown_in_the_zone_of_who_asks(
    world: ApiWorld, installed: int, at: str, ran: bool
) -> None:
    client, _ = world.browser("viewer")
    page = client.get(f"/targets?application=shop&environment=lab&{at}").text
    assert page.count(f'<a href="/deployments/{installed}">') == (3 if ran else 0)
    assert ("Nothing ran there yet" in page) == (not ran)


def test_a_past_instant_keeps_its_time_and_zone_in_the_form(world: ApiWorld, installed: int) -> None:
    client, _ = world.browser("viewer")
    page = client.get("/targets?environment=lab&at=2026-03-10T09:30:00Z&zone=Asia/Tokyo").text
    assert 'name="at" value="2026-03-10T18:30"' in page
    assert "<option selected>Asia/Tokyo</option>" in page
    assert "Tue 2026-03-10 18:30" in page
    deployment = client.get(f"/deployments/{installed}").text
    assert "at=2026-03-10T09%3A30%3A00Z" in deployment, "the way from a deployment to what ran there before"


@pytest.mark.parametrize(
    "query", ["at=x", "at=0001-01-01T00:00", "at=9999-12-31T23:59-12:00", "at=2026-13-01", "asked=soon"]
)
def test_a_time_that_cannot_be_is_said_to_be_wrong(world: ApiWorld, installed: int, query: str) -> None:
    client, _ = world.browser("viewer")
    assert client.get(f"/targets?{query}").status_code == 422
    assert client.get("/targets?environment=nowhere&at=2026-01-01T00:00").status_code == 404


def test_what_differs_is_shown_wherever_the_target_is_and_can_be_asked_again(
    world: ApiWorld, installed: int
) -> None:
    viewer, viewers = world.browser("viewer")
    deployer, deployers = world.browser("deployer")
    assert answer(world, ok=False, detail=f"0.9.9 answers {NASTY}") == 3
    listed = deployer.get("/targets?application=shop&environment=lab")
    target = re.search(r'href="(/targets/\d+)"', listed.text)
    assert target is not None
    for client in (viewer, deployer):
        for path in ("/targets", target[1], "/?q=shop", "/applications/shop"):
            page = client.get(path).text
            assert "differ" in page or "not as installed" in page, path
            assert "<script>alert" not in page
            assert "<img src=x" not in page
    assert "3 targets differ" in words_of(viewer.get("/?q=shop").text)
    assert "1.0.0 was installed; 0.9.9 answers" in words_of(listed.text)
    assert listed.text.count('action="/targets/check"') == 1, "one button for a slot"
    assert 'action="/targets/check"' not in viewer.get("/targets").text
    assert check(viewer, viewers, **SLOT).status_code == 403
    asked = check(deployer, deployers, **SLOT)
    assert asked.status_code == 303
    waiting = deployer.get(asked.headers["Location"]).text
    assert "3 targets have not answered yet" in waiting
    assert answer(world, ok=True, detail="it is 1.0.0") == 3
    done = deployer.get(asked.headers["Location"]).text
    assert done.count("as installed</span>") == 3
    assert "not answered" not in done
    assert "differ" not in words_of(viewer.get("/?q=shop").text)


def test_what_cannot_be_asked_is_refused(world: ApiWorld) -> None:
    client, token = world.browser("operator")
    name = world.application("1.0")
    assert check(client, token, application=name, environment="staging").status_code == 400
    assert check(client, token, application="nobody", environment="staging").status_code == 404
    assert check(client, token, application=name).status_code == 422


def test_a_target_lists_the_deployments_that_touched_it_and_those_say_how_far_they_reached(
    world: ApiWorld, engine: World
) -> None:
    client, _ = world.browser("viewer")
    staged = engine.request("1.0.0", "staging")
    assert engine.run_to_end(staged) == "succeeded"
    made = engine.request("1.0.0", "production")
    assert engine.run_to_end(made, {"web-b": Outcome.FAILED}) == "failed"
    deployment = words_of(client.get(f"/deployments/{made}").text)
    assert "2 of 3 targets" in deployment
    pages = {}
    listed = client.get("/targets?application=shop&environment=production").text
    for id, name in re.findall(r'href="/targets/(\d+)">([a-z-]+)<', listed):
        pages[name] = client.get(f"/targets/{id}").text
    link = f'href="/deployments/{made}"'
    assert {name for name, page in pages.items() if link in page} == {"web-a", "web-b"}
    assert {name for name, page in pages.items() if "failed here" in page} == {"web-b"}
    assert client.get("/targets/999999").status_code == 404
