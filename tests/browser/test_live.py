"""Pages that are open: what changes comes by itself, also when the stream process has gone."""

from playwright.sync_api import Page, expect

from tests.browser.site import Site, Visitor

PIPELINE = """\
application: NAME
environments:
  staging:
    targets: [{name: web-a, kind: command}]
deploy:
  - run: |
      echo "installing $RELEASE_VERSION <b>now</b>"
      while [ ! -e "$DATA_DIR/go" ] && [ "$RELEASE_VERSION" = 3.0.0 ]; do sleep 0.1; done
"""


def asked_again(visitor: Visitor) -> list[str]:
    """The requests for parts of pages from now on."""
    found: list[str] = []
    parts = ("/dashboard/grid", "/live", "/inbox/items", "/lines")
    visitor.page.on(
        "request", lambda request: found.append(request.url) if request.url.endswith(parts) else None
    )
    return found


def is_streamed(page: Page) -> None:
    """Wait until the stream has sent the page its part."""
    expect(page.locator("[data-streams]")).to_be_attached()


def notices_loss(page: Page) -> None:
    """Let `was_lost` say whether the page was without the stream since, as it may be where a machine has no time for it."""
    page.evaluate(
        "new MutationObserver(() => { window.wasLost ||= !('streams' in document.documentElement.dataset); })"
        ".observe(document.documentElement, { attributes: true })"
    )


def was_lost(page: Page) -> bool:
    return bool(page.evaluate("window.wasLost === true"))


def test_changes_come_without_being_asked_for(site: Site) -> None:
    name = site.application(PIPELINE, "1.0.0", "3.0.0")
    running = site.deploy(name, "3.0.0")
    site.wait(running, "running")
    with site.visitor() as one, site.visitor() as two:
        page, dashboard = one.log_in(site.person("deployer")), two.log_in(site.person("viewer"))
        page.goto(f"/deployments/{running}")
        dashboard.goto(f"/?q={name}")
        for each in (page, dashboard):
            is_streamed(each)
        notices_loss(dashboard)
        asked = asked_again(two)
        expect(page.locator(".tail")).to_contain_text("installing 3.0.0 <b>now</b>")
        site.api("POST", "/locks/", {"application": name, "reason": "because <i>it</i> is so"})
        expect(dashboard.locator(f"#app-{name}")).to_contain_text("because <i>it</i> is so")
        page.locator("summary", has_text="Cancel…").click()
        page.get_by_role("button", name="Cancel the deployment").click()
        expect(page.locator(".big")).to_have_text("cancelled", timeout=60_000)
        expect(dashboard.locator(f"#app-{name}")).to_contain_text("cancelled")
        assert asked == [] or was_lost(dashboard), "the dashboard asked again although the stream told it"


def test_the_list_of_deployments_changes_by_itself_keeps_its_filter_and_is_true_after_back(
    site: Site,
) -> None:
    name = site.application(PIPELINE, "1.0.0", "3.0.0")
    running = site.deploy(name, "3.0.0")
    site.wait(running, "running")
    with site.visitor() as visitor:
        page = visitor.log_in(site.person("viewer"))
        page.goto("/deployments")
        page.get_by_label("Application").fill(name)
        page.get_by_role("button", name="Filter").click()
        row = page.locator(f"#deployment-{running}")
        expect(row).to_contain_text("running")
        is_streamed(page)
        next_one = site.deploy(name, "1.0.0")
        expect(page.locator(f"#deployment-{next_one}")).to_contain_text("pending")
        row.get_by_role("link").click()
        site.api("POST", f"/deployments/{running}/cancel", {})
        site.wait(next_one, "succeeded")
        page.go_back()
        expect(row).to_contain_text("cancelled")
        expect(page.locator("tbody tr")).to_have_count(2)
        expect(page.get_by_label("Application")).to_have_value(name)
        page.reload()
        expect(page.locator("tbody tr").first).to_contain_text("succeeded")


def test_without_the_stream_pages_ask_again_and_with_it_they_stop(site: Site) -> None:
    name = site.application(PIPELINE, "1.0.0", "3.0.0")
    running = site.deploy(name, "3.0.0")
    site.wait(running, "running")
    with site.visitor() as visitor:
        visitor.expects = "ERR_"  # the browser says that the stream is gone
        page = visitor.log_in(site.person("viewer"))
        page.goto(f"/deployments/{running}")
        is_streamed(page)
        with site.stream.away():
            site.api("POST", f"/deployments/{running}/cancel", {})
            expect(page.locator(".big")).to_have_text("cancelled", timeout=60_000)
            page.goto("/")
            site.api("POST", "/locks/", {"application": name, "reason": "told without a stream"})
            expect(page.locator(f"#app-{name}")).to_contain_text("told without a stream", timeout=30_000)
            expect(page.locator("[data-lost]")).to_be_hidden()
        page.goto(f"/?q={name}")
        is_streamed(page)


def test_a_page_that_hears_nothing_of_its_stream_asks_web(site: Site) -> None:
    """As when a machine sleeps or a network goes: the connection stands, and nobody says that it is dead."""
    name = site.application(PIPELINE, "1.0.0")
    with site.visitor() as visitor:
        visitor.page.clock.install()
        page = visitor.log_in(site.person("viewer"))
        page.goto(f"/?q={name}")
        is_streamed(page)
        with site.stream.stopped():
            made = site.api("POST", "/locks/", {"application": name, "reason": "told by web"})
            page.clock.fast_forward(10_000)
            expect(page.locator(f"#app-{name}")).to_contain_text("told by web")
        site.api("DELETE", f"/locks/{made['id']}")
        page.clock.fast_forward(10_000)
        is_streamed(page)
