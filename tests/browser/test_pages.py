"""Every page as people see it: wide and narrow, light and dark, without a mistake that a machine can find.

With SCREENSHOTS=folder a picture of each is left there.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page

from tests.browser.site import EVERY_RULE, NARROW, RULES_OF_COLOURS, WIDE, Site, judge

PIPELINE = """\
application: NAME
environments:
  staging:
    targets: [{name: web-a, kind: command}, {name: web-b, kind: command}, {name: web-c, kind: command}]
    strategy: {kind: rolling, batch: 1}
  production:
    targets: [{name: web-a, kind: command}, {name: web-b, kind: command}]
    strategy: {kind: rolling, batch: 1}
    approvals: [{role: operator}]
  lab:
    targets: [{name: lab-a, kind: command}, {name: lab-b, kind: command}]
    strategy: {kind: canary, canary: 1, promote: manual}
  later:
    targets: [{name: web-a, kind: command}]
  europe:
    targets: [{name: web-a, kind: command}]
  america:
    targets: [{name: web-a, kind: command}]
deploy:
  - run: |
      echo "installing $RELEASE_VERSION on $TARGET_NAME"
      i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo "copied file $i of 60"; done
      if [ "$RELEASE_VERSION" = 1.2.0 ]; then echo "cannot connect to <b>the database</b>"; exit 3; fi
      while [ "$RELEASE_VERSION" = 1.3.0 ]; do sleep 0.2; done
"""
CAREFUL = """\
application: NAME
environments:
  staging:
    targets: [{name: web-a, kind: command}, {name: web-b, kind: command}]
    on_failure: {pause: 1h, then: rollback}
  production:
    targets: [{name: web-a, kind: command}]
    on_failure: rollback
deploy:
  - run: test "$RELEASE_VERSION" != 1.2.0
"""
BETWEEN = (600, 740, 768, 930, 1024, 1130)
LONG = f"an-application-{'w' * 48}"
LONG_VERSION = f"2026.11.28-rc.1+build.{'0123456789abcdef' * 6}"


@pytest.fixture(scope="module")
def pages(site: Site) -> Iterator[dict[str, str]]:
    """The address of every kind of page, in every state that looks different."""
    deployer = site.person("deployer")
    shop = site.application(PIPELINE, "1.0.0", "1.1.0", "1.2.0", "1.3.0")
    broken = site.application(PIPELINE, "1.0.0", "1.2.0")
    done = site.deploy(shop, "1.0.0")
    site.wait(done, "succeeded")
    site.wait(site.deploy(broken, "1.0.0"), "succeeded")
    failed = site.deploy(broken, "1.2.0")
    site.wait(failed, "failed")
    held = site.deploy(shop, "1.0.0", "lab")
    site.wait(held, "paused")
    careful = site.application(CAREFUL, "1.0.0", "1.2.0")
    site.wait(site.deploy(careful, "1.0.0", "production"), "succeeded")
    rolled_back = site.deploy(careful, "1.2.0", "production")
    site.wait(rolled_back, "failed")
    asked = site.deploy(careful, "1.2.0")
    site.wait(asked, "paused")
    site.api(
        "PUT", f"/applications/{LONG}/pipeline", PIPELINE.replace("application: NAME", f"application: {LONG}")
    )
    site.api(
        "POST", "/releases/", {"name": LONG, "version": LONG_VERSION, "artifact": f"oci://{LONG}@{'a' * 64}"}
    )
    long = site.deploy(LONG, LONG_VERSION)
    site.wait(long, "succeeded")
    pending = site.deploy(shop, "1.0.0", "production", by=deployer)
    running = site.deploy(shop, "1.3.0")
    site.wait(running, "running")
    closed = {"environment": "production", "reason": "the fair is on until Monday"}
    lock = site.api("POST", "/locks/", closed)["id"]
    step = site.api("GET", f"/deployments/{failed}/steps")["items"][0]["id"]
    dated = {"from": "2020-01-01T00:00", "to": "2090-01-01T00:00"}
    weekly = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "16:30"}
    rules = {"zone": "Europe/Berlin", "environment": "production"}
    window = site.api("POST", "/windows/", {**rules, "name": "office hours", "weekly": weekly})["id"]
    freeze = site.api("POST", "/freezes/", {**rules, "name": "the fair", "dated": dated})["id"]
    release = site.api("GET", f"/releases/?name={shop}")["items"][0]["id"]
    again = {"environment": "production", "cron": "0 9 * * tue", "zone": "Europe/Berlin"}
    schedule = site.api("POST", "/schedules/", {**again, "application": shop, "reason": "each week"})["id"]
    told = {"name": "the chat", "settings": {"url": "https://hooks.example/x"}, "events": ["deployment.*"]}
    hook = site.api("POST", "/webhooks/", told)["id"]
    delivery = site.api("POST", f"/webhooks/{hook}/test", {})["id"]
    yield {
        "dashboard": "/",
        "dashboard-empty": "/?q=zzz",
        "deployments": "/deployments",
        "deployments-empty": "/deployments?application=zzz",
        "succeeded": f"/deployments/{done}",
        "failed": f"/deployments/{failed}",
        "pending": f"/deployments/{pending}",
        "rolled-back": f"/deployments/{rolled_back}",
        "asked": f"/deployments/{asked}",
        "long": f"/deployments/{long}",
        "running": f"/deployments/{running}",
        "held": f"/deployments/{held}",
        "log": f"/deployments/{failed}/steps/{step}#L50",
        "inbox": "/inbox",
        "insights": "/insights?environment=staging",
        "insights-empty": "/insights?environment=production&from=2020-01-01&to=2020-02-01",
        "insights-deployments": "/insights/deployments?environment=staging&group=finished",
        "deploy": "/deploy",
        "deploy-plan": f"/deploy?application={shop}&version=1.1.0&environment=staging",
        "deploy-long": f"/deploy?application={LONG}&version={quote(LONG_VERSION)}&environment=staging",
        "deploy-refused": f"/deploy?application={shop}&version=9.9.9&environment=staging",
        "calendar": "/calendar?environment=production",
        "calendar-week": "/calendar?environment=production&view=week",
        "rule": "/calendar/rules/new?environment=production",
        "schedule": f"/calendar/schedules/new?replaces={schedule}",
        "locks": "/locks?all=true",
        "pipeline": f"/pipeline?application={shop}",
        "pipeline-new": "/pipeline",
        "releases": "/releases",
        "release": f"/releases/{release}",
        "applications": "/applications",
        "application": f"/applications/{shop}",
        "targets": f"/targets?application={shop}",
        "targets-past": "/targets?environment=staging&at=2090-01-01T12:00&zone=Europe/Berlin",
        "targets-none": "/targets?environment=staging&at=2020-01-01T12:00&zone=UTC",
        "target": "/targets/1",
        "webhooks": "/webhooks",
        "webhook": f"/webhooks/{hook}",
        "delivery": f"/webhooks/{hook}/deliveries/{delivery}",
        "audit": "/audit",
        "audit-verification": "/audit/verification",
        "users": "/users",
        "tokens": "/tokens",
        "password": "/password",
        "system": "/system",
        "not-found": "/nothing",
    }
    rules = (f"locks/{lock}", f"windows/{window}", f"freezes/{freeze}", f"schedules/{schedule}")
    for each in (*rules, f"webhooks/{hook}"):
        site.api("DELETE", f"/{each}")


@pytest.mark.timeout(600)
def test_every_page_is_accessible_nothing_is_cut_and_no_link_leads_nowhere(
    site: Site, pages: dict[str, str]
) -> None:
    begun = site.application(CAREFUL)
    with site.visitor() as visitor:
        page = visitor.page
        visitor.expects = "404"  # the page that is not there is one of those that are looked at
        page.goto("/login")
        wrong = seen_wrong(page, "login")
        visitor.log_in(site.person("operator"))
        links: set[str] = set()
        for name, path in pages.items():
            page.goto(path)
            wrong += seen_wrong(page, name)
            found = page.eval_on_selector_all("a[href]", "all => all.map(each => each.href)")
            links |= {each.partition("#")[0] for each in found}
        links.remove(site.url + pages["not-found"])  # of its own parts
        page.set_viewport_size(WIDE)
        page.goto("/")
        if hidden := page.locator(".grid-card").evaluate("card => card.scrollWidth - card.clientWidth"):
            wrong.append(f"of six environments {hidden} pixels are out of sight")
        wrong += [f"the dashboard is cut at {each}" for each in BETWEEN if is_cut(page, "/", each)]
        visitor.expects = "status of 4"  # as are two that say no
        page.goto("/insights?from=2026-01-02&to=2026-01-01")
        wrong += seen_wrong(page, "invalid")
        visitor.log_in(site.person("viewer"))
        page.goto("/audit")
        wrong += seen_wrong(page, "forbidden")
        visitor.log_in(site.admin)
        page.goto(f"/releases?name={begun}")
        wrong += seen_wrong(page, "releases-begun")
        page.goto("/users")
        page.locator("summary", has_text="Add a user…").click()
        wrong += seen_wrong(page, "users-as-admin")
        assert len(links) > 10
        wrong += [f"{each} is linked to" for each in sorted(links) if page.request.get(each).status != 200]
    assert wrong == []


def is_cut(page: Page, path: str, width: int) -> bool:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(path)
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


def seen_wrong(page: Page, name: str) -> list[str]:
    """Look at a page in every size and scheme. In the dark only the rules about colours can say anything new."""
    wrong = []
    for size, viewport in (("wide", WIDE), ("narrow", NARROW)):
        page.set_viewport_size(viewport)
        for scheme, rules in (("light", EVERY_RULE), ("dark", RULES_OF_COLOURS)):
            page.emulate_media(color_scheme=scheme)
            look = f"{name}-{size}-{scheme}"
            wrong += [f"{look}: {each}" for each in judge(page, rules)]
            if folder := os.environ.get("SCREENSHOTS"):
                page.screenshot(full_page=True, path=Path(folder) / f"{look}.png")
        too_wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if too_wide > 0:
            wrong.append(f"{name}-{size} is {too_wide} pixels wider than the window")
    return wrong
