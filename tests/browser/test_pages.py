"""Every page as people see it: wide and narrow, light and dark, without a mistake that a machine can find.

With SCREENSHOTS=folder a picture of each is left there.
"""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.site import NARROW, WIDE, Site, judge

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
deploy:
  - run: |
      echo "installing $RELEASE_VERSION on $TARGET_NAME"
      i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo "copied file $i of 60"; done
      if [ "$RELEASE_VERSION" = 1.2.0 ]; then echo "cannot connect to <b>the database</b>"; exit 3; fi
      while [ "$RELEASE_VERSION" = 1.3.0 ]; do sleep 0.2; done
"""
LOOKS = [(scheme, size) for scheme in ("light", "dark") for size in ("wide", "narrow")]


@pytest.fixture(scope="module")
def pages(site: Site) -> dict[str, str]:
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
    pending = site.deploy(shop, "1.0.0", "production", by=deployer)
    running = site.deploy(shop, "1.3.0")
    site.wait(running, "running")
    site.api("POST", "/locks/", {"environment": "production", "reason": "the fair is on until Monday"})
    step = site.api("GET", f"/deployments/{failed}/steps")["items"][0]["id"]
    dated = {"from": "2020-01-01T00:00", "to": "2090-01-01T00:00"}
    weekly = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "16:30"}
    rules = {"zone": "Europe/Berlin", "environment": "production"}
    site.api("POST", "/windows/", {**rules, "name": "office hours", "weekly": weekly})
    site.api("POST", "/freezes/", {**rules, "name": "the fair", "dated": dated})
    release = site.api("GET", f"/releases/?name={shop}")["items"][0]["id"]
    again = {"environment": "production", "cron": "0 9 * * tue", "zone": "Europe/Berlin"}
    schedule = site.api("POST", "/schedules/", {**again, "application": shop, "reason": "each week"})["id"]
    told = {"name": "the chat", "settings": {"url": "https://hooks.example/x"}, "events": ["deployment.*"]}
    hook = site.api("POST", "/webhooks/", told)["id"]
    delivery = site.api("POST", f"/webhooks/{hook}/test", {})["id"]
    return {
        "dashboard": "/",
        "dashboard-empty": "/?q=zzz",
        "deployments": "/deployments",
        "deployments-empty": "/deployments?application=zzz",
        "succeeded": f"/deployments/{done}",
        "failed": f"/deployments/{failed}",
        "pending": f"/deployments/{pending}",
        "running": f"/deployments/{running}",
        "held": f"/deployments/{held}",
        "log": f"/deployments/{failed}/steps/{step}#L50",
        "inbox": "/inbox",
        "insights": "/insights?environment=staging",
        "insights-empty": "/insights?environment=production&from=2020-01-01&to=2020-02-01",
        "insights-deployments": "/insights/deployments?environment=staging&group=finished",
        "deploy": "/deploy",
        "deploy-plan": f"/deploy?application={shop}&version=1.1.0&environment=staging",
        "deploy-refused": f"/deploy?application={shop}&version=9.9.9&environment=staging",
        "calendar": "/calendar?environment=production",
        "calendar-week": "/calendar?environment=production&view=week",
        "rule": "/calendar/rules/new?environment=production",
        "schedule": f"/calendar/schedules/new?replaces={schedule}",
        "locks": "/locks?all=true",
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
        "system": "/system",
        "not-found": "/nothing",
    }


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("scheme", "size"), LOOKS)
def test_every_page_is_accessible_and_nothing_is_cut(
    site: Site, pages: dict[str, str], scheme: str, size: str
) -> None:
    operator = site.person("operator")
    viewport = WIDE if size == "wide" else NARROW
    with site.visitor(color_scheme=scheme, viewport=viewport, bypass_csp=True) as visitor:
        visitor.expects = "404"  # the page that is not there is one of those that are looked at
        visitor.page.goto("/login")
        wrong = [("login", each) for each in judge(visitor.page)]
        _keep(visitor.page, f"login-{size}-{scheme}")
        visitor.log_in(operator)
        for name, path in pages.items():
            visitor.page.goto(path)
            wrong += [(name, each) for each in judge(visitor.page)]
            too_wide = visitor.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if too_wide > 0:
                wrong.append((name, f"is {too_wide} pixels wider than the window"))
            _keep(visitor.page, f"{name}-{size}-{scheme}")
    assert wrong == []


def _keep(page: Page, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(full_page=True, path=Path(folder) / f"{name}.png")


def test_no_link_leads_nowhere(site: Site, pages: dict[str, str]) -> None:
    with site.visitor() as visitor:
        page = visitor.log_in(site.person("operator"))
        seen: set[str] = set()
        for path in pages.values():
            if path != "/nothing":
                page.goto(path)
                found = page.eval_on_selector_all("a[href]", "all => all.map(each => each.href)")
                seen |= {each.partition("#")[0] for each in found}
        assert len(seen) > 10
        for address in sorted(seen):
            assert page.request.get(address).status == 200, address
