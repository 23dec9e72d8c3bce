"""Pages that ask web for what changed: it comes by itself, and takes nothing from who fills in a form."""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.acceptance.fleet import eventually
from tests.browser.site import Site, Visitor
from tests.browser.test_live import is_streamed
from tests.browser.test_stories import PIPELINE as WITH_APPROVAL

PIPELINE = """\
application: NAME
environments:
  staging:
    targets: [{name: web-a, kind: noop}]
deploy:
  - run: "true"
"""
NUMBERS = itertools.count(1)
LONGEST_TURN_MS = 5000
SILENT_MS = 8000


@dataclass
class Scene:
    """What the pages are of, and somebody with all rights who looks at them."""

    site: Site
    visitor: Visitor
    name: str
    release: int
    hooks: list[int]

    @property
    def page(self) -> Page:
        return self.visitor.page

    def open(self, path: str) -> Page:
        """Go there, and wait until the page is told of what happens; it is not to be loaded again from then on."""
        self.page.goto(path)
        is_streamed(self.page)
        self.page.evaluate("window.isSame = true")
        return self.page

    def api(self, method: str, path: str, body: Any = None) -> Any:
        return self.site.api(method, path, body)


@pytest.fixture(scope="module")
def scene(site: Site) -> Iterator[Scene]:
    name = site.application(PIPELINE, "1.0.0")
    site.wait(site.deploy(name, "1.0.0"), "succeeded")
    release = site.api("GET", f"/releases/?name={name}")["items"][0]["id"]
    told = {"name": name, "settings": {"url": "https://hooks.example/x"}, "events": ["lock.released"]}
    hook = site.api("POST", "/webhooks/", told)["id"]
    with site.visitor() as visitor:
        visitor.log_in(site.admin)
        made = Scene(site, visitor, name, release, [hook])
        yield made
    for each in made.hooks:
        site.api("DELETE", f"/webhooks/{each}")


def lock(scene: Scene) -> str:
    reason = f"<b>fair</b> {next(NUMBERS)} is on"
    made = scene.api("POST", "/locks/", {"application": scene.name, "reason": reason})
    scene.api("DELETE", f"/locks/{made['id']}")
    return reason


def freeze(scene: Scene) -> str:
    name = f"a fair of {scene.name}"
    dated = {"from": "2020-01-01T00:00", "to": "2020-01-02T00:00"}
    scene.api("POST", "/freezes/", {"environment": "staging", "name": name, "zone": "UTC", "dated": dated})
    return name


def release(scene: Scene) -> str:
    version = f"2.{next(NUMBERS)}.0"
    scene.api("POST", "/releases/", {"name": scene.name, "version": version})
    return version


def deployment(scene: Scene) -> str:
    made = scene.site.deploy(scene.name, "1.0.0")
    scene.site.wait(made, "succeeded")
    return f"#{made}"


def application(scene: Scene) -> str:
    return scene.site.application(PIPELINE)


def pipeline(scene: Scene) -> str:
    more = PIPELINE.replace("web-a, kind: noop}", "web-a, kind: noop}, {name: came-later, kind: noop}")
    named = more.replace("application: NAME", f"application: {scene.name}")
    scene.api("PUT", f"/applications/{scene.name}/pipeline", named)
    return "came-later"


def webhook(scene: Scene) -> str:
    name = f"the chat of {scene.name}"
    told = {"name": name, "settings": {"url": "https://hooks.example/x"}, "events": ["lock.created"]}
    scene.hooks.append(scene.api("POST", "/webhooks/", told)["id"])
    return name


def delivery(scene: Scene) -> str:
    scene.api("POST", f"/webhooks/{scene.hooks[0]}/test", {})
    return "webhook.test"


def person(scene: Scene) -> str:
    return scene.site.person("viewer")


def token(scene: Scene) -> str:
    name = f"ci of {scene.name}"
    scene.api("POST", "/tokens/", {"name": name, "scopes": ["read"]})
    return name


CHANGES: list[tuple[str, Callable[[Scene], str]]] = [
    ("/locks?all=true", lock),
    ("/calendar?environment=staging", freeze),
    ("/releases?name={name}", release),
    ("/releases/{release}", deployment),
    ("/applications?limit=200", application),
    ("/applications/{name}", release),
    ("/targets?application={name}", pipeline),
    ("/insights/deployments?environment=staging&application={name}&group=finished", deployment),
    ("/webhooks", webhook),
    ("/webhooks/{hook}", delivery),
    ("/audit", lock),
    ("/users?limit=200", person),
    ("/tokens", token),
]


@pytest.mark.parametrize(("path", "change"), CHANGES, ids=[path for path, _ in CHANGES])
def test_a_change_comes_to_the_page_by_itself(
    scene: Scene, path: str, change: Callable[[Scene], str]
) -> None:
    page = scene.open(path.format(name=scene.name, release=scene.release, hook=scene.hooks[0]))
    says = change(scene)
    expect(page.locator("[data-renews]")).to_contain_text(says)
    assert is_same(page)


def test_what_somebody_fills_in_stays_and_the_page_says_that_it_is_old(scene: Scene) -> None:
    name = scene.site.person("viewer")
    page = scene.open("/users?limit=200")
    role, note = page.get_by_label(f"Role of {name}"), page.get_by_text("Something has changed since.")
    role.select_option("operator")
    role.blur()
    other = scene.site.person("viewer")
    expect(note).to_be_visible()
    expect(role).to_have_value("operator")
    expect(page.locator("tr", has_text=other)).to_have_count(0)
    role.focus()
    role.select_option("viewer")
    role.blur()
    expect(page.locator("tr", has_text=other)).to_be_visible()
    expect(note).to_be_hidden()
    role.focus()
    third = scene.site.person("viewer")
    expect(note).to_be_visible()
    expect(role).to_be_focused()
    assert is_same(page)
    page.get_by_role("link", name="Show it").click()
    expect(page.locator("tr", has_text=third)).to_be_visible()


def test_a_form_beside_what_changes_is_left_alone(scene: Scene) -> None:
    page = scene.open("/locks?all=true")
    page.locator("summary", has_text="Lock…").click()
    page.get_by_label("Reason").fill("it is not ready")
    expect(page.locator("[data-renews]")).to_contain_text(lock(scene))
    expect(page.get_by_label("Reason")).to_have_value("it is not ready")
    expect(page.get_by_label("Reason")).to_be_focused()


def test_what_is_open_and_where_the_keyboard_is_stay_with_their_row(scene: Scene) -> None:
    lock(scene)
    page = scene.open("/audit")
    id = page.locator("tbody tr").first.get_attribute("id")
    row = page.locator(f"#{id}")
    row.locator("summary").click()
    row.get_by_role("link").focus()
    expect(page.locator("[data-renews]")).to_contain_text(lock(scene))
    expect(page.locator("tbody tr").first).not_to_have_attribute("id", id or "")
    expect(page.locator("details[open]")).to_have_count(1)
    expect(row.locator("details[open]")).to_be_visible()
    expect(row.get_by_role("link")).to_be_focused()


def test_a_plan_that_is_looked_at_stays_and_the_page_says_that_it_is_old(scene: Scene) -> None:
    page = scene.open(f"/deploy?application={scene.name}&version=1.0.0&environment=staging")
    reason = page.get_by_role("textbox", name=re.compile("^Reason"))
    reason.fill("Because it is Monday")
    somebody = scene.site.person("operator")  # nobody waits for a lock of their own
    held = {"application": scene.name, "reason": "the plan waits for this"}
    made = scene.site.api("POST", "/locks/", held, by=somebody)
    expect(page.get_by_text("Something has changed since.")).to_be_visible()
    expect(reason).to_have_value("Because it is Monday")
    assert is_same(page)
    page.get_by_role("link", name="Show it").click()
    expect(page.locator(".gates")).to_contain_text("the plan waits for this")
    scene.api("DELETE", f"/locks/{made['id']}")


def test_a_page_that_nobody_sees_asks_nothing_until_somebody_does(scene: Scene) -> None:
    page = scene.open("/locks?all=true")
    look_away(page, hidden=True)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    other = scene.visitor.context.new_page()
    other.goto("/locks?all=true")
    is_streamed(other)
    reason = lock(scene)
    expect(other.locator("[data-renews]")).to_contain_text(reason)
    assert asked == []
    look_away(page, hidden=False)
    expect(page.locator("[data-renews]")).to_contain_text(reason)
    other.close()


def test_a_page_that_is_told_with_another_waits_for_its_turn_and_asks_once(scene: Scene) -> None:
    first, site = scene.open("/audit"), scene.site
    deployer, name = site.person("deployer"), site.application(WITH_APPROVAL, "1.0.0")
    with site.visitor() as visitor:
        page = visitor.log_in(site.admin)
        page.clock.install()
        page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))  # its turn comes when it is let go on
        page.goto("/locks?all=true")
        is_streamed(page)
        with page.expect_response(lambda answer: "hx-request" in answer.request.headers):
            page.clock.run_for(LONGEST_TURN_MS)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        reasons = [lock(scene), lock(scene)]
        expect(first.locator("[data-renews]")).to_contain_text(reasons[1])
        page.clock.run_for(1)  # which is not its turn yet
        count = page.locator("[data-waits-count]")
        waiting = int(count.text_content() or "")
        made = site.deploy(name, "1.0.0", "production", by=deployer)
        expect(count).to_have_text(str(waiting + 1))  # what the stream said before has come, too
        assert asked == []
        page.clock.run_for(LONGEST_TURN_MS)
        expect(page.locator("[data-renews]")).to_contain_text(reasons[1])
        assert len(asked) == 1
    site.end(made)


def test_what_somebody_presses_stays_where_it_is_until_they_let_go(scene: Scene) -> None:
    held = {"application": scene.name, "reason": "somebody is about to release it"}
    mine = scene.api("POST", "/locks/", held)["id"]
    page = scene.open("/locks")
    asked: list[Route] = []
    page.route("**/locks", lambda route: None if asked else asked.append(route))
    theirs = scene.api("POST", "/locks/", held)["id"]
    eventually(lambda: page.evaluate("true") and asked, "the page has asked what there is now")
    box = page.locator(f"#lock-{mine}").get_by_role("button").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    with page.expect_response("**/locks") as answered:
        asked[0].continue_()
    answered.value.finished()
    page.evaluate("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    page.unroute("**/locks")
    page.mouse.up()
    expect(page.locator(f"#lock-{theirs}")).to_be_visible()
    expect(page.locator(f"#lock-{mine}")).to_have_count(0)
    scene.api("DELETE", f"/locks/{theirs}")


def test_a_page_says_that_it_may_be_old_when_web_stands_still(scene: Scene) -> None:
    with scene.site.visitor() as visitor:
        page = visitor.log_in(scene.site.admin)
        page.clock.install()
        page.goto("/locks?all=true")
        is_streamed(page)
        asked: list[Route] = []
        page.route("**/locks?all=true", lambda route: None if asked else asked.append(route))
        lost = page.locator("[data-lost]")
        reason = lock(scene)
        eventually(lambda: page.evaluate("true") and asked, "the page has asked what there is now")
        expect(lost).to_be_hidden()
        page.clock.fast_forward(SILENT_MS)
        expect(lost).to_be_visible()
        asked[0].continue_()
        page.unroute("**/locks?all=true")
        expect(page.locator("[data-renews]")).to_contain_text(reason)
        expect(lost).to_be_hidden()


def test_without_the_stream_pages_ask_by_themselves(scene: Scene) -> None:
    page = scene.open("/locks?all=true")
    scene.visitor.expects = "ERR_"  # the browser says that the stream is gone
    with scene.site.stream.away():
        reason = lock(scene)
        expect(page.locator("[data-renews]")).to_contain_text(reason)
    assert is_same(page)
    scene.page.goto("about:blank")
    scene.visitor.expects = "nothing"


def test_the_page_of_a_log_says_why_its_step_failed(scene: Scene) -> None:
    gate = scene.site.folder / "may-fail"
    fails = PIPELINE.replace("noop", "command").replace(
        '"true"', f"while [ ! -e {gate} ]; do sleep 0.1; done; exit 3"
    )
    page = scene.page
    page.goto(scene.site.log(fails, "running"))
    why = page.locator("[data-log-failure]")
    expect(why).to_be_hidden()
    gate.touch()
    expect(why).to_be_visible()
    said = why.inner_text()
    page.reload()
    expect(why).to_have_text(said)


def is_same(page: Page) -> bool:
    """Whether the page was not loaded again since it was opened."""
    return bool(page.evaluate("window.isSame === true"))


def look_away(page: Page, *, hidden: bool) -> None:
    """As if its tab were left, or come back to."""
    page.evaluate(
        "is => { Object.defineProperty(document, 'hidden', { value: is, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )
