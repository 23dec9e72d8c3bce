"""The pictures in the README and in docs, made anew: a small company in the middle of its day. Nothing collects this file:

SCREENSHOTS=docs .venv/bin/python -m pytest -n0 tests/browser/pictures.py
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.site import PASSWORD, Site
from tests.browser.test_live import is_streamed

PIPELINE = """\
application: NAME
environments:
  staging:
    targets: [{name: web-1, kind: command}, {name: web-2, kind: command}, {name: web-3, kind: command}]
    strategy: {kind: rolling, batch: 1}
  production:
    after: staging
    targets: [{name: web-1, kind: command}, {name: web-2, kind: command}, {name: web-3, kind: command}]
    strategy: {kind: rolling, batch: 1}
    approvals: [{role: operator}]
deploy:
  - name: install
    run: |
      echo "fetching $RELEASE_NAME $RELEASE_VERSION"
      for part in binaries assets templates translations; do echo "unpacking $part"; done
      echo "stopping the old version on $TARGET_NAME"
      if [ "$RELEASE_VERSION" = 1.9.0 ]; then
        echo "migrating the schema from 41 to 42"
        echo "error: column orders.currency is still read by version 1.8.2"
        exit 3
      fi
      while [ "$RELEASE_VERSION" = 5.2.0 ] && [ "$TARGET_NAME" = web-2 ]; do sleep 0.2; done
      echo "answers on port 8080"
"""
PEOPLE = {"grace": "operator", "lin": "deployer", "sven": "deployer"}
THERE = {
    "shop": ("2.3.0", "lin"),
    "billing": ("1.8.2", "sven"),
    "search": ("5.1.0", "lin"),
    "mail": ("0.9.4", "sven"),
}
NEXT = {
    "shop": ("2.4.0", "Gift cards can be combined"),
    "billing": ("1.9.0", "Invoices in more than one currency"),
    "search": ("5.2.0", "Suggestions while typing"),
}


def deploy(site: Site, name: str, version: str, by: str, *, ends: str = "succeeded") -> int:
    made = site.deploy(name, version, by=by)
    site.wait(made, ends)
    return made


def to_production(site: Site, name: str, version: str, by: str) -> None:
    made = site.deploy(name, version, "production", by=by)
    site.api("POST", f"/deployments/{made}/approve", {})
    site.wait(made, "succeeded")


def set_scene(site: Site) -> dict[str, str]:
    """What is in the pictures; the address of each page, by the name of its picture."""
    for name, role in PEOPLE.items():
        user = {"email": f"{name}@example.com", "username": name, "password": PASSWORD, "role": role}
        site.api("POST", "/users/", user)
        login = site.api("POST", "/auth/login", {"username": name, "password": PASSWORD})
        site.tokens[name] = login["access_token"]
    for name, (version, by) in THERE.items():
        site.api(
            "PUT",
            f"/applications/{name}/pipeline",
            PIPELINE.replace("application: NAME", f"application: {name}"),
        )
        site.api("POST", "/releases/", {"name": name, "version": version})
        deploy(site, name, version, by)
        to_production(site, name, version, by)
    for name, (version, changes) in NEXT.items():
        site.api("POST", "/releases/", {"name": name, "version": version, "changes": changes})
    deploy(site, "shop", "2.4.0", "lin")
    waiting = site.deploy("shop", "2.4.0", "production", by="lin")
    failed = deploy(site, "billing", "1.9.0", "sven", ends="failed")
    deploy(site, "search", "5.2.0", "lin", ends="running")
    fair = (datetime.now(UTC) + timedelta(days=9)).date()
    rule = {"environment": "production", "zone": "Europe/Berlin"}
    weekly = {"days": ["mon", "tue", "wed", "thu"], "from": "09:00", "to": "16:30"}
    dated = {"from": f"{fair}T00:00", "to": f"{fair + timedelta(days=4)}T00:00"}
    site.api("POST", "/windows/", {**rule, "name": "office hours", "weekly": weekly})
    site.api("POST", "/freezes/", {**rule, "name": "the fair", "dated": dated})
    site.api(
        "POST", "/schedules/", {**rule, "cron": "0 9 * * tue", "application": "search", "reason": "each week"}
    )
    site.api(
        "POST",
        "/locks/",
        {"application": "mail", "environment": "production", "reason": "the provider moves its servers"},
    )
    return {
        "dashboard": "/",
        "waiting": f"/deployments/{waiting}",
        "deployment": f"/deployments/{failed}",
        "calendar": f"/calendar?environment=production&at={fair}",
    }


def test_make_them(site: Site) -> None:
    pages, folder = set_scene(site), Path(os.environ["SCREENSHOTS"])
    with site.visitor(color_scheme="light", viewport={"width": 1280, "height": 800}) as visitor:
        visitor.page.clock.set_fixed_time(datetime.now(UTC) + timedelta(minutes=7))  # or all were "now"
        page = visitor.log_in("grace")
        for name, path in pages.items():
            page.goto(path)
            is_streamed(page)
            expect(page.locator("[data-waits-count]")).to_have_text("1")
            page.screenshot(full_page=True, path=folder / f"{name}.png")
