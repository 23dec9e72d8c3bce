"""What operators do all day, done by hand in a real browser."""

import re

from playwright.sync_api import Page, expect

from tests.browser.site import Site
from tests.browser.test_live import is_streamed

PIPELINE = """\
application: NAME
environments:
  staging:
    targets: [{name: web-a, kind: command}, {name: web-b, kind: command}]
    strategy: {kind: rolling, batch: 1}
  production:
    targets: [{name: web-a, kind: command}]
    approvals: [{role: operator}]
deploy:
  - run: |
      echo "installing $RELEASE_VERSION on $TARGET_NAME <b>now</b>"
      if [ "$RELEASE_VERSION" = 2.0.0 ]; then echo "no such file"; exit 3; fi
      while [ "$RELEASE_VERSION" = 3.0.0 ]; do sleep 0.1; done
"""

CANARY = """\
application: NAME
environments:
  staging:
    targets: [{name: web-a, kind: command}, {name: web-b, kind: command}, {name: web-c, kind: command}]
    strategy: {kind: canary, canary: 1, promote: manual}
    drift: {http: "SITE/health/live", expect: $RELEASE_VERSION, every: 1h}
  production:
    targets: [{name: web-a, kind: command}]
    after: staging
deploy:
  - run: echo "installing $RELEASE_VERSION on $TARGET_NAME"
"""


def ground(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def status(page: Page) -> str:
    return page.locator(".big").inner_text()


def test_first_login_with_an_empty_installation_says_how_to_begin(site: Site) -> None:
    with site.visitor() as visitor:
        visitor.page.goto("/")
        expect(visitor.page).to_have_url(re.compile("/login"))
        page = visitor.log_in(site.admin)
        expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()
        page.goto("/?q=nothing-is-called-so")
        expect(page.get_by_text("No application is called like")).to_be_visible()


def test_a_wrong_password_is_refused(site: Site) -> None:
    with site.visitor() as visitor:
        visitor.expects = "401"
        page = visitor.log_in(site.admin, "not the password")
        expect(page.get_by_role("alert")).to_have_text("The user name or the password is wrong.")


def test_what_somebody_writes_and_records_by_hand_is_deployed_and_turns_green(site: Site) -> None:
    with site.visitor() as visitor:
        page = visitor.log_in(site.person("deployer"))
        name = f"by-hand-of-{page.locator('.who').inner_text()}"
        page.goto("/pipeline")
        source = page.get_by_label("Pipeline")
        expect(source).to_have_value(re.compile("^application: hello\n"))
        written = PIPELINE.replace("application: NAME", f"application: {name}")
        source.fill(written.replace("batch: 1", "batch: many"))
        expect(page.locator("#check")).to_contain_text("line 5, environments/staging/strategy")
        source.fill(written)
        expect(page.locator("#check")).to_contain_text(
            f"It would make the application {name}: staging, production."
        )
        page.get_by_role("button", name="Store it").click()
        page.get_by_role("region", name=f"{name} has no release yet").get_by_label("Version").fill("1.0.0")
        page.get_by_role("button", name="Record it").click()
        page.get_by_role("link", name="Deploy to staging").click()
        expect(page.get_by_role("heading", name="What would happen")).to_be_visible()
        page.get_by_label("Reason").fill("Because <i>it</i> is Monday")
        page.get_by_role("button", name=f"Deploy {name} 1.0.0 to staging").click()
        expect(page.locator(".big")).to_have_text("succeeded", timeout=60_000)
        expect(page.get_by_text("2 of 2 succeeded")).to_be_visible()
        expect(page.get_by_text("Because <i>it</i> is Monday").first).to_be_visible()
        page.get_by_role("link", name="Log of web-a").click()
        expect(page.get_by_role("log")).to_contain_text("installing 1.0.0 on web-a <b>now</b>")
        page.keyboard.press("g")
        page.keyboard.press("d")
        expect(page.locator(f"#app-{name}")).to_contain_text("succeeded")


def test_a_failed_deployment_shows_why_first_and_can_be_rolled_back(site: Site) -> None:
    name = site.application(PIPELINE, "1.0.0", "2.0.0")
    site.wait(site.deploy(name, "1.0.0"), "succeeded")
    broken = site.deploy(name, "2.0.0")
    with site.visitor() as visitor:
        page = visitor.log_in(site.person("deployer"))
        page.goto(f"/deployments/{broken}")
        expect(page.locator(".big")).to_have_text("failed", timeout=60_000)
        expect(page).to_have_title(f"failed · {name} 2.0.0 to staging · Release Manager")
        wrong = page.get_by_role("region", name="What went wrong")
        expect(wrong).to_contain_text("no such file")
        page.locator("summary", has_text="Roll back…").click()
        page.get_by_role("button", name="Roll back staging").click()
        expect(page.locator("h1")).to_contain_text("1.0.0")
        expect(page.locator(".big")).to_have_text("succeeded", timeout=60_000)
        expect(page.get_by_role("link", name=f"#{broken}").first).to_be_visible()


def test_what_somebody_types_stays_while_the_page_changes_and_cancel_ends_it(site: Site) -> None:
    name = site.application(PIPELINE, "3.0.0")
    running = site.deploy(name, "3.0.0")
    with site.visitor() as visitor:
        page = visitor.log_in(site.person("deployer"))
        page.goto(f"/deployments/{running}")
        page.locator("summary", has_text="Cancel…").click()
        page.get_by_label("Reason").fill("it takes too long")
        expect(page.locator(".big")).to_have_text("running", timeout=60_000)
        expect(page.locator(".tail")).to_contain_text("installing")
        expect(page.get_by_label("Reason")).to_have_value("it takes too long")
        expect(page.locator(".icon-running").first).to_have_css("animation-name", "turn")
        page.emulate_media(reduced_motion="reduce", media="print")
        expect(page.locator(".icon-running").first).to_have_css("animation-name", "none")
        assert page.evaluate("document.getAnimations().length") == 0
        on_paper = "each => [getComputedStyle(each, '::after').content.slice(1, -1), each.title]"
        shown, exact = page.locator("#head time").first.evaluate(on_paper)
        assert shown == exact
        page.emulate_media(reduced_motion="no-preference", media="screen")
        page.get_by_role("button", name="Cancel the deployment").click()
        expect(page.locator(".big")).to_have_text("cancelled", timeout=60_000)
        expect(page.get_by_text("asked for its end: it takes too long")).to_be_visible()


def test_somebody_else_approves_in_a_browser_of_their_own(site: Site) -> None:
    name = site.application(PIPELINE, "1.0.0")
    deployer, operator = site.person("deployer"), site.person("operator")
    waiting = site.deploy(name, "1.0.0", "production", by=deployer)
    with site.visitor() as mine, site.visitor() as theirs:
        page = mine.log_in(deployer)
        page.goto(f"/deployments/{waiting}")
        expect(page.locator(".big")).to_have_text("pending")
        expect(page.get_by_text("must approve").first).to_be_visible()
        expect(page.locator("summary", has_text="Approve…")).to_have_count(0)
        other = theirs.log_in(operator)
        count = other.locator("[data-waits-count]")
        waiting = int(count.inner_text())
        assert waiting > 0
        inbox = other.get_by_role("link", name=f"Inbox {waiting} waiting for you", exact=True)
        is_streamed(other)
        second = site.deploy(name, "1.0.0", "production", by=deployer)
        expect(count).to_have_text(str(waiting + 1))
        site.api("POST", f"/deployments/{second}/cancel", {})
        inbox.click()
        other.get_by_role("link", name=re.compile(f"Look at it and decide about {name}")).click()
        other.locator("summary", has_text="Approve…").click()
        other.get_by_role("button", name=re.compile("^Approve shop")).click()
        expect(page.locator(".big")).to_have_text("succeeded", timeout=60_000)
        expect(page.get_by_role("region", name="Audit trail")).to_contain_text(f"approved by {operator}")


def test_a_freeze_stops_what_is_queued_and_its_open_page_says_so(site: Site) -> None:
    name = site.application(PIPELINE, "1.0.0", "3.0.0")
    first = site.deploy(name, "3.0.0")
    site.wait(first, "running")
    queued = site.deploy(name, "1.0.0")
    with site.visitor() as visitor:
        page = visitor.log_in(site.person("operator"))
        page.goto(f"/deployments/{queued}")
        expect(page.locator(".big")).to_have_text("pending")
        freeze = {
            "environment": "staging",
            "name": "the fair",
            "zone": "UTC",
            "dated": {"from": "2020-01-01T00:00", "to": "2090-01-01T00:00"},
        }
        made = site.api("POST", "/freezes/", freeze)
        gates = page.locator(".gates")
        expect(gates).to_contain_text("the fair")
        page.goto("/")
        expect(page.locator("thead")).to_contain_text("frozen: the fair")
        page.goto(f"/deployments/{queued}")
        site.api("POST", f"/deployments/{first}/cancel", {})
        site.wait(first, "cancelled")
        expect(page.locator(".big")).to_have_text("pending")
        site.api("DELETE", f"/freezes/{made['id']}")
        expect(page.locator(".big")).to_have_text("succeeded", timeout=60_000)


def test_without_scripts_the_pages_can_be_read_and_acted_on(site: Site) -> None:
    name = site.application(PIPELINE, "1.0.0", "3.0.0")
    running = site.deploy(name, "3.0.0")
    site.wait(running, "running")
    with site.visitor(java_script_enabled=False) as visitor:
        page = visitor.log_in(site.person("deployer"))
        page.goto(f"/?q={name}")
        page.get_by_role("link", name=re.compile("3.0.0 running")).click()
        page.locator("summary", has_text="Cancel…").click()
        page.get_by_role("button", name="Cancel the deployment").click()
        site.wait(running, "cancelled")
        page.reload()
        assert status(page) == "cancelled"


def test_keys_and_themes(site: Site) -> None:
    with site.visitor(color_scheme="light") as visitor:
        page = visitor.log_in(site.admin)
        light = ground(page)
        page.route("**/app.js", lambda _route: None)  # the other scripts are still on their way
        page.goto("/", wait_until="commit")
        page.get_by_role("button", name="Light or dark").click()
        assert ground(page) != light
        page.unroute("**/app.js")
        page.reload()
        assert ground(page) != light, "the choice is kept"
        page.keyboard.press("/")
        expect(page.locator("#q")).to_be_focused()
        page.keyboard.press("Escape")
        page.locator("#q").blur()
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("g")
        page.keyboard.press("l")
        expect(page).to_have_url(re.compile("/deployments$"))
        page.wait_for_load_state()
        page.keyboard.press("/")
        expect(page.get_by_label("Application")).to_be_focused()
        page.goto("/users")  # where there is nothing to be searched
        page.keyboard.press("/")
        expect(page.locator("#q")).to_be_focused()
        expect(page).to_have_url(re.compile("/#q$"))


def test_paper_has_what_is_folded_and_no_buttons_and_is_light(site: Site) -> None:
    with site.visitor(color_scheme="dark") as visitor:
        page = visitor.log_in(site.admin)
        page.goto("/users")
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        buttons, ink = (
            page.get_by_role("columnheader", name="Change"),
            "getComputedStyle(document.body).color",
        )
        expect(buttons).to_be_visible()
        on_screen = page.evaluate(ink)
        page.emulate_media(media="print")
        expect(buttons).to_be_hidden()
        expect(page.get_by_role("columnheader", name="Role")).to_be_visible()
        assert page.evaluate(ink) != on_screen
        page.goto("/audit")
        values = page.locator("tbody dl.data").first
        expect(values).to_be_visible()
        expect(values).to_contain_text("hash")
        page.emulate_media(media="screen")
        expect(values).to_be_hidden()


def test_a_canary_is_promoted_from_the_inbox_and_what_differs_is_found(site: Site) -> None:
    name = site.application(CANARY.replace("SITE", site.url), "1.0.0")
    made = site.deploy(name, "1.0.0")
    site.wait(made, "paused")
    with site.visitor() as visitor:
        page = visitor.log_in(site.person("deployer"))
        page.get_by_role("link", name="Inbox").click()
        page.get_by_role("link", name=f"Look at it and decide about {name}").click()
        expect(page.get_by_role("region", name="Why it is paused")).to_contain_text("1 of ")
        page.get_by_role("button", name=f"Promote {name} 1.0.0 in staging").click()
        expect(page.locator(".big")).to_have_text("succeeded", timeout=60_000)
        page.get_by_role("link", name="3 of 3 targets").click()
        page.get_by_role("button", name=f"Check now what runs of {name} in staging").click()
        differs = page.locator("tr", has_text="web-b").get_by_text("differs")
        expect(differs).to_be_visible(timeout=60_000)
        expect(page.get_by_text("not answered yet")).to_have_count(0, timeout=60_000)
        page.get_by_role("link", name="web-b").click()
        expect(page.get_by_role("region", name="Deployments")).to_contain_text(f"{name} 1.0.0 #{made}")
        page.goto("/")
        expect(page.locator(f"#app-{name}")).to_contain_text("3 targets differ")


def test_targets_are_shown_as_they_were_on_the_clocks_of_who_looks(site: Site) -> None:
    name = site.application(CANARY.replace("SITE", site.url), "1.0.0")
    made = site.deploy(name, "1.0.0")
    site.wait(made, "paused")
    with site.visitor(timezone_id="Asia/Tokyo") as visitor:
        page = visitor.log_in(site.person("viewer"))
        page.goto(f"/targets?application={name}&environment=staging")
        expect(page.get_by_label("Times of")).to_have_value("Asia/Tokyo")
        page.get_by_label("As it was").fill("2020-02-03T04:05")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_text("Mon 2020-02-03 04:05 (Asia/Tokyo)")).to_be_visible()
        expect(page.get_by_role("heading", name="Nothing ran there yet")).to_be_visible()
        page.get_by_label("As it was").fill("2090-02-03T04:05")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.locator("tbody tr")).to_contain_text("1.0.0")
        page.go_back()
        expect(page.get_by_label("As it was")).to_have_value("2020-02-03T04:05")


def test_a_recurring_deployment_is_made_changed_and_removed_by_hand(site: Site) -> None:
    name = site.application(CANARY.replace("SITE", site.url), "1.0.0")
    with site.visitor(timezone_id="Europe/Berlin") as visitor:
        page = visitor.log_in(site.person("deployer"))
        page.goto("/calendar?environment=production")
        page.get_by_role("link", name="New recurring deployment").click()
        page.wait_for_load_state()
        expect(page.get_by_label("Times of")).to_have_value("Europe/Berlin")
        page.get_by_label("Application").fill(name)
        page.get_by_label(re.compile("^When")).fill("0 9 * *")
        expect(page.locator("#check")).to_contain_text("It cannot be made like that")
        page.get_by_label(re.compile("^When")).fill("0 9 * * tue")
        expect(page.locator("#check")).to_contain_text("which has to succeed in staging first")
        page.get_by_label("It takes").select_option("staging")
        expect(page.locator("#check")).to_contain_text("It would request one on Tue")
        expect(page.locator("#check")).not_to_contain_text("which has to succeed")
        page.get_by_role("button", name="Make it").click()
        recurring = page.get_by_role("region", name="Recurring deployments").locator("tr", has_text=name)
        expect(recurring).to_contain_text("takes what is in staging")
        recurring.get_by_role("link", name="Edit").click()
        expect(page.locator("#check")).to_contain_text("It would request one on Tue")
        page.get_by_label(re.compile("^When")).fill("0 10 * * wed")
        expect(page.locator("#check")).to_contain_text("It would request one on Wed")
        page.get_by_role("button", name="Replace it").click()
        expect(recurring).to_contain_text("0 10 * * wed")
        recurring.get_by_role("button", name="Remove").click()
        page.wait_for_load_state()
        expect(page.locator("tr", has_text=name)).to_have_count(0)
