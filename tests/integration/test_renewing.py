"""Pages that ask web for what changed: the part they ask for, what they are told of, and by whom."""

import html
import json
import re
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from api.dashboard import renewal
from orchestrator.services import pipelines
from stream.view_keys import NEWS, ViewKey
from stream.view_looking import ViewLooker
from stream.visiting import NOBODY
from tests.integration.api_world import ApiWorld, world
from tests.integration.engine_world import PIPELINE
from tests.integration.stream_world import Listener, StreamWorld, streams
from tests.integration.test_following import fails_at
from tests.integration.test_query_counts import statements
from tests.integration.test_target_pages import ASKED, answer

__all__ = ["statements", "streams", "world"]

OURS = {"Origin": "http://localhost"}
ASKS = {"HX-Request": "true"}
# Each page that asks for its part again, by its view; the parts of some say something else each time.
PAGES = {
    "locks.lock_list": "/locks",
    "calendar.calendar": "/calendar?environment=staging",
    "deploying.deploy_page": "/deploy",
    "catalogue.release_list": "/releases",
    "catalogue.release_page": "/releases/{release}",
    "catalogue.application_list": "/applications",
    "catalogue.application_page": "/applications/shop",
    "targets.target_list": "/targets?application=shop",
    "targets.target_page": "/targets/{target}",
    "webhooks.webhook_list": "/webhooks",
    "webhooks.webhook_page": "/webhooks/{webhook}",
    "webhooks.delivery_page": "/webhooks/{webhook}/deliveries/{delivery}",
    "audit.audit": "/audit?subject=user:1",
    "insights.insights_page": "/insights?environment=staging",
    "insights.insights_deployments": "/insights/deployments?environment=staging&group=finished",
    "people.user_list": "/users",
    "people.token_list": "/tokens",
    "system.system": "/system",
}
NEVER_THE_SAME = {"deploying.deploy_page", "system.system"}


@dataclass
class There:
    """What the pages are of."""

    ids: dict[str, int]

    def path(self, view: str) -> str:
        return PAGES[view].format(**self.ids)


@pytest.fixture(scope="module")
def there(streams: StreamWorld) -> There:
    streams.end(streams.running())
    hook = {"name": "mine", "settings": {"url": "https://hooks.example/x"}, "events": ["user.changed"]}
    webhook = streams.person.post("/webhooks/", json=hook).get_json()["id"]
    delivery = streams.person.post(f"/webhooks/{webhook}/test", json={}).get_json()["id"]
    with streams.api.database.reading() as session:
        release, target = (
            session.execute(text(f"SELECT min(id) FROM {table}")).scalar_one()  # noqa: S608
            for table in ("releases", "targets")
        )
    return There({"release": release, "target": target, "webhook": webhook, "delivery": delivery})


def endpoint(view: str) -> str:
    return f"dashboard.{view.partition('.')[2]}"


def key(*news: str, application: str = "") -> ViewKey:
    return ViewKey(NEWS, application, NOBODY, news)


def test_every_page_that_asks_again_is_tried_here(world: ApiWorld) -> None:
    views = world.app.view_functions.items()
    asking = {name for name, view in views if (how := renewal.of(view)) is not None and how.asks}
    assert {endpoint(view) for view in PAGES} == asking


@pytest.mark.parametrize("view", PAGES)
def test_a_page_holds_the_part_that_it_asks_for_again(world: ApiWorld, there: There, view: str) -> None:
    client, _ = world.browser("admin")
    page, part = client.get(there.path(view)), client.get(there.path(view), headers=ASKS)
    assert (page.status_code, part.status_code) == (200, 200)
    assert f'data-renews="{endpoint(view)}"' in page.text
    assert "<html" not in part.text
    assert re.search(r'data-took="\d+\.\d"', page.text)
    assert re.fullmatch(r"part;dur=\d+\.\d", part.headers["Server-Timing"])
    if view in NEVER_THE_SAME:
        return
    assert part.text.strip() in page.text
    tag = part.headers["ETag"]
    assert [tag] == [html.unescape(each) for each in re.findall(r'data-etag="([^"]*)"', page.text)]
    again = client.get(there.path(view), headers={**ASKS, "If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")


def test_how_much_waits_is_asked_for_once_by_a_page_and_by_no_part(
    world: ApiWorld, statements: list[str]
) -> None:
    client, _ = world.browser("operator")
    asked = {}
    for path, headers in (("/locks", {}), ("/locks", ASKS), ("/", {}), ("/dashboard/grid", {})):
        statements.clear()
        assert client.get(path, headers=headers).status_code == 200
        asked[path, bool(headers)] = sum("AS author_id" in each for each in statements)
    assert asked == {
        ("/locks", False): 1,
        ("/locks", True): 0,
        ("/", False): 1,
        ("/dashboard/grid", False): 0,
    }


def test_a_plan_is_another_one_only_when_something_it_depends_on_has_changed(world: ApiWorld) -> None:
    client, _ = world.browser("deployer")
    name = world.application("1.0")
    path = f"/deploy?application={name}&version=1.0&environment=staging"
    first = client.get(path, headers=ASKS)
    asking = {**ASKS, "If-None-Match": first.headers["ETag"]}
    assert client.get(path, headers=asking).status_code == 304
    lock = {"application": name, "reason": "the fair is on"}
    assert world.admin.post("/locks/", json=lock).status_code == 201
    changed = client.get(path, headers=asking)
    assert changed.status_code == 200
    assert "the fair is on" in changed.text


def test_the_answer_to_a_form_is_not_replaced_by_what_its_address_shows(world: ApiWorld) -> None:
    client, token = world.browser("admin")
    form = {"form_token": token, "name": "ci", "scopes": "read"}
    made = client.post("/tokens", data=form, headers={**OURS, **ASKS})
    assert "It is shown this once" in made.text
    assert "data-renews" not in made.text
    assert "<html" in made.text


def test_what_was_as_somebody_asked_for_it_does_not_change(world: ApiWorld, there: There) -> None:
    client, _ = world.browser("viewer")
    assert "data-renews" not in client.get("/targets?environment=staging&at=2020-01-01T12:00&zone=UTC").text


def ask_for_ticket(client: FlaskClient, view: str) -> tuple[int, str]:
    found = client.get(f"/live/ticket?page={endpoint(view)}")
    return found.status_code, found.get_json()["ticket"] if found.status_code == 200 else ""


def listen(streams: StreamWorld, ticket: str) -> Listener:
    return Listener(streams.server.port, f"/live?view={NEWS}&what=&ticket={quote(ticket)}", {})


def test_a_page_is_told_when_to_ask(streams: StreamWorld) -> None:
    client, _ = streams.api.browser("viewer")
    listener = listen(streams, ask_for_ticket(client, "locks.lock_list")[1])
    listener.until("news")
    shown = client.get("/locks", headers=ASKS)
    made = streams.person.post("/locks/", json={"application": "shop", "reason": "told by the stream"})
    assert made.status_code == 201
    while "told by the stream" not in shown.text:
        assert json.loads(listener.until("news")[-1].data).keys() == {"turn", "of"}, "not what happened"
        shown = client.get("/locks", headers=ASKS)
    streams.person.call("DELETE", f"/locks/{made.get_json()['id']}")
    listener.close()


def test_pages_that_are_told_together_have_a_turn_each(streams: StreamWorld) -> None:
    client, _ = streams.api.browser("viewer")
    both = [listen(streams, ask_for_ticket(client, "people.token_list")[1]) for _ in range(2)]
    comes = [json.loads(each.until("news")[-1].data) for each in both]
    assert all(each["of"] == each["turn"] + 1 for each in comes), "those that were here before go first"
    assert comes[0]["turn"] < comes[1]["turn"]
    assert streams.person.post("/tokens/", json={"name": "ci", "scopes": ["read"]}).status_code == 201
    told = [json.loads(each.until("news")[-1].data) for each in both]
    assert sorted(each["turn"] for each in told) == [0, 1]
    assert [each["of"] for each in told] == [2, 2]
    for each in both:
        each.close()


def test_nobody_is_told_of_what_they_may_not_see(streams: StreamWorld) -> None:
    viewer, _ = streams.api.browser("viewer")
    assert ask_for_ticket(viewer, "audit.audit")[0] == 403
    assert ask_for_ticket(viewer, "nothing.nothing")[0] == 404
    plain = viewer.get("/live/ticket").get_json()["ticket"]
    never = ask_for_ticket(viewer, "people.password_page")[1]
    for ticket in (plain, never):
        refused = listen(streams, ticket)
        assert (refused.status, refused.problem()["code"]) == (403, "forbidden")


def test_pages_hear_of_their_kinds_and_of_their_application(streams: StreamWorld) -> None:
    looker = ViewLooker(streams.api.database)
    locks, shop, other = (
        key("lock.*"),
        key("deployment.*", application="shop"),
        key("deployment.*", application="other"),
    )
    ends, everything = key("deployment.succeeded"), key("*")
    keys = [locks, shop, other, ends, everything]
    assert everything in looker.look(keys, ()).told, "something may have happened before they came"
    assert looker.look(keys, ()).told == set()
    claim = streams.running("lab")
    assert looker.look(keys, ()).told == {shop, everything}
    streams.end(claim)
    assert looker.look(keys, ()).told == {shop, ends, everything}
    made = streams.person.post("/locks/", json={"application": "shop", "reason": "x"}).get_json()
    assert looker.look(keys, ()).told == {locks, everything}
    fails_at(streams.engine, "sign_ins", lambda: looker.look(keys, {"sign-in"}))
    assert looker.look(keys, ()).told == set(keys), "what the look before saw was told to nobody"
    streams.person.call("DELETE", f"/locks/{made['id']}")


def test_pages_hear_also_of_what_no_event_tells(streams: StreamWorld, there: There) -> None:
    with streams.api.database.transaction() as session:
        source = PIPELINE.replace("  lab:\n", ASKED)
        pipelines.apply(session, name="shop", source=source, actor=streams.engine.actor)
    claim = streams.running("lab")
    looker = ViewLooker(streams.api.database)
    tried, checked = key("delivery.tried"), key("target.changed")
    looker.look([tried, checked], ())
    assert looker.look([tried, checked], ()).told == set()
    streams.end(claim)
    assert looker.look([tried, checked], ()).told == {checked}, "no event says that a step succeeded"
    assert answer(streams.api, ok=True, detail="as installed") > 0
    assert looker.look([tried, checked], ()).told == {checked}
    streams.person.post(f"/webhooks/{there.ids['webhook']}/test", json={})
    assert looker.look([tried, checked], ()).told == {tried}


@pytest.mark.parametrize(
    ("table", "before", "late"),
    [
        (
            "drift_checks",
            "checked_at = clock_timestamp() - interval '1 hour'",
            "checked_at = clock_timestamp() - interval '2 s'",
        ),
        (
            "installations",
            "since = clock_timestamp() - interval '1 hour'",
            "deployment_id = (SELECT max(id) FROM deployments)",
        ),
    ],
)
def test_pages_hear_also_of_what_is_written_after_what_is_later(
    streams: StreamWorld, there: There, table: str, before: str, late: str
) -> None:
    """An answer to a question that was asked before others, and an installation that was committed after others."""
    with streams.api.database.transaction() as session:
        source = PIPELINE.replace("  lab:\n", ASKED)
        pipelines.apply(session, name="shop", source=source, actor=streams.engine.actor)
    streams.end(streams.running("lab"))
    answer(streams.api, ok=True, detail="as installed")
    looker, asks = ViewLooker(streams.api.database), key("target.changed")
    one = f"WHERE target_id = (SELECT min(target_id) FROM {table})"  # noqa: S608  # names of ours
    streams.engine.execute(f"UPDATE {table} SET {before} {one}")  # noqa: S608
    looker.look([asks], ())
    assert looker.look([asks], ()).told == set()
    streams.engine.execute(f"UPDATE {table} SET {late} {one}")  # noqa: S608
    assert looker.look([asks], ()).told == {asks}
    streams.engine.execute("UPDATE drift_checks SET due_at = clock_timestamp()")  # as other tests find them
