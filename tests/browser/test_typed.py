"""What somebody types is not lost, neither when their session ends nor when a form is refused; and it is checked to the last."""

import re

from playwright.sync_api import Page, Route, expect

from tests.acceptance.fleet import eventually
from tests.browser.site import PASSWORD, Site
from tests.browser.test_live import is_streamed
from tests.browser.test_stories import PIPELINE


def come_in(page: Page, person: str) -> None:
    page.get_by_label("User name").fill(person)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def leave_unanswered(route: Route) -> None:
    """What a page asks for by itself, so that it does not go to the login before somebody presses a button."""
    if "hx-request" not in route.request.headers:
        route.continue_()


def leave_login_unfinished(route: Route) -> None:
    """The scripts of the login, which are still on their way when somebody has logged in."""
    if "/login" not in route.request.headers.get("referer", ""):
        route.continue_()


def test_a_session_that_ends_leads_its_open_page_to_the_login_and_back(site: Site) -> None:
    name = site.application(PIPELINE, "1.0.0")
    waiting = site.deploy(name, "1.0.0", "production")
    person = site.person("deployer")
    with site.visitor() as visitor:
        visitor.expects = "401"
        page = visitor.log_in(person)
        page.goto(f"/deployments/{waiting}")
        page.locator("summary", has_text="Cancel…").click()
        page.get_by_label("Reason").fill("the fair <i>is</i> on")
        site.api("POST", "/auth/logout", {"everywhere": True}, by=person)
        expect(page).to_have_url(re.compile(r"/login\?next="))
        come_in(page, person)
        expect(page).to_have_url(re.compile(f"/deployments/{waiting}$"))
        expect(page.get_by_label("Reason")).to_have_value("the fair <i>is</i> on")


def test_what_was_typed_is_there_again_after_the_login_and_after_a_no_and_gone_when_it_is_done(
    site: Site,
) -> None:
    person = site.person("operator")
    with site.visitor() as visitor:
        visitor.expects = "422"
        page = visitor.log_in(person)
        page.route("**/tokens", leave_unanswered)
        page.goto("/tokens")
        page.locator("summary", has_text="New token…").click()
        page.get_by_label("Name").fill("<b>ci</b>")
        page.get_by_label("deploy").check()
        site.api("POST", "/auth/logout", {"everywhere": True}, by=person)
        make = page.get_by_role("button", name="Make it")
        make.click()
        come_in(page, person)
        for box in ("read", "deploy"):
            page.get_by_label(box).uncheck()
        make.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("not valid")
        page.get_by_role("link", name="Back", exact=True).click()
        expect(page.get_by_label("Name")).to_have_value("<b>ci</b>")
        expect(page.get_by_label("read")).not_to_be_checked()
        page.get_by_label("read").check()
        make.click()
        expect(page.get_by_role("heading", name="Your new token")).to_be_visible()
        page.goto("/tokens")
        page.locator("summary", has_text="New token…").click()
        expect(page.get_by_label("Name")).to_have_value("")


def test_a_form_beside_a_page_that_leads_to_the_login_by_itself_is_filled_in_again(site: Site) -> None:
    person, name = site.person("deployer"), site.application(PIPELINE)
    with site.visitor() as visitor:
        visitor.expects = "401"
        page = visitor.log_in(person)
        page.goto("/locks")
        is_streamed(page)
        page.locator("summary", has_text="Lock…").click()
        page.get_by_label("Reason").fill("it is <i>not</i> ready")
        page.route("**/app.js", leave_login_unfinished)
        site.api("POST", "/auth/logout", {"everywhere": True}, by=person)
        made = site.api("POST", "/locks/", {"application": name, "reason": "so that the page asks"})
        site.api("DELETE", f"/locks/{made['id']}")
        expect(page).to_have_url(re.compile(r"/login\?next="))
        come_in(page, person)
        expect(page).to_have_url(re.compile("/locks$"))
        expect(page.get_by_label("Reason")).to_have_value("it is <i>not</i> ready")


def test_a_pipeline_that_comes_back_after_the_login_overwrites_none_that_its_writer_has_not_seen(
    site: Site,
) -> None:
    name, person = site.application(PIPELINE), site.person("operator")
    mine, theirs = (PIPELINE.replace("NAME", name).replace("web-b", each) for each in ("mine", "theirs"))
    with site.visitor() as visitor:
        visitor.expects = "status of 4"
        page = visitor.log_in(person)
        page.goto(f"/pipeline?application={name}")
        site.api("POST", "/auth/logout", {"everywhere": True}, by=person)
        site.api("PUT", f"/applications/{name}/pipeline", theirs)
        page.get_by_label("Pipeline").fill(mine)
        expect(page).to_have_url(re.compile(r"/login\?next="))
        come_in(page, person)
        expect(page.get_by_label("Pipeline")).to_have_value(mine)
        expect(page.locator("#check")).to_contain_text(f"It would be revision 3 of {name}")
        page.get_by_role("button", name="Store it").click()
        expect(page.get_by_role("alert")).to_contain_text("has a pipeline that you have not seen")
        assert "theirs" in site.api("GET", f"/applications/{name}/pipeline")["source"]


def test_a_check_is_of_what_was_typed_last_however_long_web_takes(site: Site) -> None:
    with site.visitor() as visitor:
        page = visitor.log_in(site.person("deployer"))
        page.clock.install()
        page.goto("/pipeline")
        asked: list[Route] = []
        page.route("**/pipeline/check", lambda route: route.continue_() if asked else asked.append(route))
        for name in ("typed-first", "typed-then", "typed-last"):
            page.get_by_label("Pipeline").fill(PIPELINE.replace("NAME", name))
            page.clock.fast_forward(1000)
        eventually(lambda: page.evaluate("true") and asked, "the page has asked about the first")
        asked[0].continue_()
        expect(page.locator("#check")).to_contain_text("the application typed-last")
