"""The first pages of a new installation: a pipeline is written and stored, and a release of it is recorded, by form."""

import itertools
import re

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from orchestrator.domain.access import Role
from orchestrator.presenting.pages import grid
from orchestrator.services.actors import Actor
from orchestrator.services.overview import Overview
from tests.integration.api_world import ApiWorld, pipeline_of, world

__all__ = ["world"]

OURS = {"Origin": "http://localhost"}
NUMBERS = itertools.count(1)


def send(client: FlaskClient, token: str, path: str, **form: object) -> TestResponse:
    return client.post(path, data={"form_token": token, **form}, headers=OURS)


def source_of(world: ApiWorld, name: str) -> str:
    return str(world.admin.get(f"/applications/{name}/pipeline").get_json()["source"])


@pytest.mark.parametrize(("role", "is_led"), [(Role.VIEWER, False), (Role.DEPLOYER, True)])
def test_where_nothing_is_yet_who_may_begin_is_led_to_it(role: Role, is_led: bool) -> None:
    nothing = Overview(columns=[], lines={}, locks={}, is_cut=False)
    page = grid.view_of(nothing, part="", actor=Actor(1, "ada", role, "sign-in")).text
    assert ('href="/pipeline"' in page) == is_led


def test_the_example_is_stored_released_and_deployed_as_it_is(world: ApiWorld) -> None:
    deployer, token = world.browser("deployer")
    page = deployer.get("/pipeline").text
    example = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.S)
    assert example is not None
    assert (
        "It would make the application hello: staging."
        in send(deployer, token, "/pipeline/check", source=example[1]).text
    )
    stored = send(deployer, token, "/pipeline", source=example[1], seen="0")
    assert (stored.status_code, stored.headers["Location"]) == (303, "/releases?name=hello")
    begun = deployer.get("/releases?name=hello").text
    assert "hello has no release yet" in begun
    made = send(deployer, token, "/releases", name="hello", version="1.0.0", changes="The <b>first</b>")
    assert made.status_code == 303
    assert "Deploy to staging" in deployer.get(made.headers["Location"]).text
    assert world.admin.get("/releases/?name=hello").get_json()["items"][0]["changes"] == "The <b>first</b>"
    again = send(deployer, token, "/releases", name="hello", version="1.0.0")
    assert again.status_code == 409


def test_what_cannot_be_stored_stays_on_the_page_with_the_lines_of_its_mistakes(world: ApiWorld) -> None:
    client, token = world.browser("deployer")
    name = f"wrong-{next(NUMBERS)}"
    source = pipeline_of(name).replace("batch: 1", "batch: </textarea><b>many")
    for path in ("/pipeline/check", "/pipeline"):
        answer = send(client, token, path, source=source, seen="0")
        assert "line 8, <code>environments/production/strategy" in answer.text, answer.text
        assert "<b>many" not in answer.text
    assert answer.status_code == 422
    assert "batch: &lt;/textarea&gt;&lt;b&gt;many" in answer.text
    assert world.admin.get(f"/applications/{name}").status_code == 404
    assert send(client, token, "/pipeline", source="a\0b").status_code == 422
    assert "line 1, write a mapping" in send(client, token, "/pipeline/check", source="").text


def test_lines_end_as_they_do_in_files_and_the_same_text_changes_nothing(world: ApiWorld) -> None:
    client, token = world.browser("deployer")
    name = f"lines-{next(NUMBERS)}"
    source = pipeline_of(name)
    sent = source.replace("\n", "\r\n")
    assert send(client, token, "/pipeline", source=sent, seen="0").status_code == 303
    assert source_of(world, name) == source
    assert f"That is what {name} has already." in send(client, token, "/pipeline/check", source=sent).text
    again = send(client, token, "/pipeline", source=sent, seen="1")
    assert again.headers["Location"] == f"/applications/{name}"
    assert 'name="seen" value="1"' in client.get(f"/pipeline?application={name}").text


def test_what_somebody_else_stored_meanwhile_is_replaced_by_nobody_who_has_not_seen_it(
    world: ApiWorld,
) -> None:
    client, token = world.browser("operator")
    name = world.application()
    mine, theirs = (pipeline_of(name).replace("./install", script) for script in ("./mine", "./theirs"))
    assert world.apply(name, theirs).status_code == 200
    overtaken = send(client, token, "/pipeline", source=mine, seen="1", application=name)
    assert overtaken.status_code == 412
    assert "that you have not seen" in overtaken.text
    assert "./mine" in overtaken.text
    assert source_of(world, name) == theirs
    assert send(client, token, "/pipeline", source=mine, seen="2", application=name).status_code == 303
    assert source_of(world, name) == mine


def test_an_application_of_somebody_elses_is_left_alone(world: ApiWorld) -> None:
    client, token = world.browser("deployer")
    name = world.application()
    mine = pipeline_of(name).replace("./install", "./mine")
    checked = send(client, token, "/pipeline/check", source=mine)
    assert (checked.status_code, "It cannot be stored like that" in checked.text) == (200, True)
    assert send(client, token, "/pipeline", source=mine, seen="1").status_code == 403
    assert source_of(world, name) == pipeline_of(name)
