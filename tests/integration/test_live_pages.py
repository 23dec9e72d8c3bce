"""Open pages and the real stream process: what comes to whom, when, and who is let in."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from orchestrator.client.sse import ServerEvent
from orchestrator.services import tokens
from tests.integration.api_world import ApiWorld, pipeline_of, world
from tests.integration.stream_world import Listener, StreamWorld, running, stream_server, streams

__all__ = ["streams", "world"]

NASTY = "<script>alert(1)</script>"


@dataclass
class Page:
    """An open page: who looks, and what it was sent."""

    world: ApiWorld
    browser: FlaskClient
    listener: Listener

    def until(self, *words: str, without: str = "\0") -> str:
        """What it is sent, until something of it says all of these words and not the other ones."""
        for event in self.listener.events():
            html = html_of(event)
            if all(word in html for word in words) and without not in html:
                return html
        raise AssertionError(f"it ended before {words}")

    def next_piece(self, name: str) -> str:
        """What is sent next for one element."""
        for event in self.listener.events():
            if event.type == "pieces" and name in (pieces := json.loads(event.data)["pieces"]):
                return str(pieces[name])
        raise AssertionError(f"it ended before {name} changed")


def html_of(event: ServerEvent) -> str:
    if event.type == "view":
        return str(json.loads(event.data)["html"])
    return "".join(json.loads(event.data)["pieces"].values()) if event.type == "pieces" else ""


def ticket_of(browser: FlaskClient, page: str = "") -> str:
    answer = browser.get(f"/live/ticket?page={page}")
    assert answer.status_code == 200
    return str(answer.get_json()["ticket"])


def listen(streams: StreamWorld, view: str, what: object, ticket: str) -> Listener:
    path = f"/live?view={view}&what={quote(str(what))}&ticket={quote(ticket)}"
    return Listener(streams.server.port, path, {})


def opened(
    streams: StreamWorld, view: str, what: object = "", *, role: str = "viewer", page: str = ""
) -> Page:
    browser, _ = streams.api.browser(role)
    return Page(streams.api, browser, listen(streams, view, what, ticket_of(browser, page)))


def test_a_page_is_sent_all_first_and_then_what_changes(streams: StreamWorld) -> None:
    claim = streams.running()
    id = claim.work.deployment_id
    page = opened(streams, "deployment", id)
    assert page.listener.status == 200
    assert page.listener.answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    first = next(iter(page.listener.events()))
    assert first.type == "view"
    assert 'id="head"' in html_of(first)
    assert "Timeline" in html_of(first)
    streams.write(claim, b"copying the files\n")
    assert "Timeline" not in page.until("copying the files"), "only the pieces that changed are sent"
    streams.end(claim)
    while "succeeded</span>" not in page.next_piece("head"):
        pass
    page.listener.close()


def timeless(html: str) -> str:
    """Without the end that is expected, which goes once it has passed."""
    return re.sub(r"<div><dt>Expected end</dt>.*?</div>", "", html)


def test_what_the_stream_sends_is_what_web_answers(streams: StreamWorld) -> None:
    claim = streams.running()
    page = opened(streams, "deployment", claim.work.deployment_id, role="operator")
    sent = html_of(next(iter(page.listener.events())))
    token = page.browser.get("/").text.partition('name="form_token" value="')[2].partition('"')[0]
    answered = page.browser.get(f"/deployments/{claim.work.deployment_id}/live").text
    assert token in answered
    assert timeless(sent) == timeless(answered.replace(token, "")), "but for what a form brings along"
    page.listener.close()
    streams.end(claim)


def test_the_list_of_deployments_shows_each_change_of_its_rows(streams: StreamWorld) -> None:
    claim = streams.running()
    row = f'id="deployment-{claim.work.deployment_id}"'
    page = opened(streams, "deployments", "application=shop&environment=staging")
    token = page.browser.get("/").text.partition('name="form_token" value="')[2].partition('"')[0]
    first = page.until(row, "running</span>")
    answered = page.browser.get("/deployments/list?application=shop&environment=staging").text
    assert first == answered.replace(token, "")
    only_failed = opened(streams, "deployments", f"application=shop&status=failed&junk={NASTY}")
    assert row not in only_failed.until("id=")
    streams.end(claim)
    changed = page.until(row, "succeeded</span>")
    assert changed.count("<tr ") == 1, "only the row that changed is sent"
    new = streams.running()
    page.until(f'id="deployment-{new.work.deployment_id}"', row)
    streams.end(new)
    for each in (page, only_failed):
        each.listener.close()


def test_a_freeze_reaches_the_page_of_what_it_stops_and_the_dashboard(streams: StreamWorld) -> None:
    first = streams.running("lab")
    streams.engine.release("7.0.0")
    waiting = streams.engine.request("7.0.0", "lab")
    page, dashboard = opened(streams, "deployment", waiting), opened(streams, "dashboard", "shop")
    page.until("Why it waits")
    dashboard.until('id="app-shop"')
    dated = {"from": "2020-01-01T00:00", "to": "2090-01-01T00:00"}
    freeze = {"environment": "lab", "name": f"the fair {NASTY}", "zone": "UTC", "dated": dated}
    made = streams.person.post("/freezes/", json=freeze).get_json()
    for each in (page, dashboard):
        html = each.until("the fair")
        assert NASTY not in html
    assert streams.person.call("DELETE", f"/freezes/{made['id']}").status_code == 200
    page.until("Why it waits", without="the fair")
    for each in (page, dashboard):
        each.listener.close()
    streams.end(first)
    assert streams.engine.run_to_end(waiting) == "succeeded"


def test_the_inbox_is_of_who_looks(streams: StreamWorld) -> None:
    page = opened(streams, "inbox")
    assert "Nothing waits for you" in html_of(next(iter(page.listener.events())))
    page.listener.close()


@pytest.mark.parametrize(
    ("path", "view", "page"), [("/", "dashboard", ""), ("/releases", "news", "dashboard.release_list")]
)
def test_every_page_is_told_how_much_waits_for_who_looks(
    streams: StreamWorld, path: str, view: str, page: str
) -> None:
    name = streams.api.application("1.0")
    asks = pipeline_of(name).replace("    after: staging\n", "    approvals: [{role: operator}]\n")
    assert streams.api.apply(name, asks).status_code == 200
    deployer = streams.api.person("deployer")
    people = [opened(streams, view, role=role, page=page) for role in ("operator", "viewer")]
    counts = [count_of(each.listener) for each in people]
    assert counts == [counted(each.browser.get(path).text) for each in people]
    body = {"application": name, "version": "1.0", "environment": "production"}
    made = deployer.post("/deployments/", json=body).get_json()["id"]
    assert count_of(people[0].listener) == counts[0] + 1
    assert streams.person.post(f"/deployments/{made}/approve", json={}).status_code == 202
    assert count_of(people[0].listener) == counts[0]
    nothing = people[1].browser.get(path).text
    assert counted(nothing) == people[1].browser.get("/inbox/count").get_json()["count"] == 0
    assert "data-waits hidden>" in nothing
    for each in people:
        each.listener.close()


def count_of(listener: Listener) -> int:
    """How much waits, as the page is told next."""
    return int(json.loads(listener.until("waits")[-1].data)["count"])


def counted(page: str) -> int:
    found = re.search(r"<span data-waits-count>(\d+)</span><span class=\"unseen\"> waiting for you", page)
    assert found
    return int(found[1])


def test_who_logs_out_is_sent_away(streams: StreamWorld) -> None:
    browser, token = streams.api.browser("viewer")
    listener = listen(streams, "inbox", "", ticket_of(browser))
    listener.until("view")
    browser.post("/logout", data={"form_token": token}, headers={"Origin": "http://localhost"})
    assert json.loads(listener.until("cut")[-1].data)["code"] == "unauthenticated"
    assert list(listener.events()) == []


def test_a_ticket_is_no_token_and_a_token_no_ticket(streams: StreamWorld) -> None:
    browser, _ = streams.api.browser("viewer")
    ticket, token = ticket_of(browser), streams.person.tokens["access_token"]
    for wrong in ("", "x", ticket + "x", token):
        listener = listen(streams, "inbox", "", wrong)
        assert (listener.status, listener.problem()["code"]) == (401, "unauthenticated")
    answer = streams.api.client().get("/api/v1/auth/me", headers={"Authorization": f"Bearer {ticket}"})
    assert answer.status_code == 401


def test_a_ticket_is_good_for_seconds(streams: StreamWorld) -> None:
    with streams.api.database.transaction() as session:
        row = session.execute(text("SELECT id, user_id FROM sign_ins ORDER BY created_at DESC LIMIT 1")).one()
    old = datetime.now(UTC) - timedelta(seconds=60)
    key = streams.api.settings.secret_key
    ticket = tokens.write_ticket(key, user_id=row.user_id, sign_in_id=row.id, now=old)
    assert listen(streams, "inbox", "", ticket).status == 401


@pytest.mark.parametrize(
    ("view", "what", "status"),
    [("nothing", "", 422), ("deployment", "x", 404), ("deployment", "0", 404), ("deployment", "9" * 30, 404)],
)
def test_only_views_that_there_are(streams: StreamWorld, view: str, what: str, status: int) -> None:
    assert opened(streams, view, what).listener.status == status


def test_the_page_of_a_deployment_that_is_not_there_is_cut(streams: StreamWorld) -> None:
    page = opened(streams, "deployment", 999_999)
    assert json.loads(page.listener.until("cut")[-1].data)["code"] == "not_found"


def test_the_log_of_a_step_is_followed_with_a_ticket(streams: StreamWorld) -> None:
    claim = streams.running()
    browser, _ = streams.api.browser("viewer")
    streams.write(claim, b"one\n")
    path = f"/api/v1/deployments/{claim.work.deployment_id}/stream?step={claim.work.step_id}"
    listener = Listener(streams.server.port, f"{path}&ticket={quote(ticket_of(browser))}", {})
    assert listener.answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "one" in listener.until("log")[-1].data
    listener.close()
    streams.end(claim)


def test_pages_may_connect_to_the_stream_and_nowhere_else(world: ApiWorld) -> None:
    client = world.another(stream_url="https://stream.example:8443/behind").test_client()
    policy = client.get("/login").headers["Content-Security-Policy"]
    assert "connect-src 'self' https://stream.example:8443;" in policy
    alone = world.another(stream_url="").test_client()
    assert "connect-src 'self';" in alone.get("/login").headers["Content-Security-Policy"]


def test_a_stream_process_that_ends_says_so(streams: StreamWorld, tmp_path: Path) -> None:
    with running(stream_server(streams.api, tmp_path)) as server:
        page = opened(streams.on(server), "inbox")
        page.listener.until("view")
        server.popen.terminate()
        assert json.loads(page.listener.until("cut")[-1].data)["code"] == "unavailable"


def test_what_cannot_be_read_sends_its_page_away_and_nobody_else(streams: StreamWorld) -> None:
    other = opened(streams, "inbox")
    other.listener.until("view")
    claim = streams.running()
    page = opened(streams, "deployment", claim.work.deployment_id)
    page.listener.until("view")
    name = "a window that nobody can read"
    weekly = {"days": ["mon"], "from": "09:00", "to": "10:00"}
    made = streams.person.post(
        "/windows/", json={"environment": "lab", "name": name, "zone": "UTC", "weekly": weekly}
    ).get_json()["id"]
    with streams.api.database.transaction() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(
            text("UPDATE window_rules SET document = '{}', created_at = now() WHERE id = :id"), {"id": made}
        )
    dashboard = opened(streams, "dashboard", "shop")
    assert json.loads(dashboard.listener.until("cut")[-1].data)["code"] == "not_found"
    streams.write(claim, b"still told\n")
    page.until("still told")
    for each in (other, page):
        each.listener.close()
    with streams.api.database.transaction() as session:
        session.execute(
            text("UPDATE window_rules SET removed_at = now(), removed_by = created_by WHERE id = :id"),
            {"id": made},
        )
    streams.end(claim)
