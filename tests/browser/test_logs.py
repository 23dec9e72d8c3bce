"""Logs, read by hand in a real browser: long ones, folded ones, and those that are still written."""

import re

from playwright.sync_api import expect

from tests.browser.site import Site
from tests.browser.test_stories import PIPELINE


def test_a_long_log_is_followed_searched_and_linked_into(site: Site) -> None:
    long = PIPELINE.replace('echo "installing', 'seq 1 50000 | sed "s/^/line /"; echo "installing')
    log = site.log(long, "succeeded")
    with site.visitor() as visitor:
        page = visitor.log_in(site.person("viewer"))
        page.goto(f"{log}#L49000")
        expect(page.locator("#L49000")).to_contain_text("line 49000", timeout=60_000)
        expect(page.locator("#L49000")).to_be_in_viewport()
        expect(page.locator("#L50001")).to_contain_text("<b>now</b>")
        page.keyboard.press("/")
        page.keyboard.type("line 31337")
        expect(page.locator(".line.current")).to_contain_text("line 31337")
        expect(page).to_have_url(re.compile("#L31337$"))
        with page.expect_download() as download:
            page.locator("a", has_text="Download").click()
        lines = download.value.path().read_text().splitlines()
        assert (len(lines), lines[0], lines[49_999]) == (50_001, "line 1", "line 50000")


def test_what_a_script_groups_folds_and_unfolds_for_who_is_led_there(site: Site) -> None:
    coloured = 'printf "\\033[1;31mo\\033[0mne\\033]0;x\\007\\n"'
    grouped = PIPELINE.replace(
        'echo "installing',
        f'echo "::group::unpacking <b>it</b>"; {coloured}; echo two; echo "::endgroup::"; echo "installing',
    )
    log = site.log(grouped, "succeeded")
    with site.visitor() as visitor:
        page = visitor.log_in(site.person("viewer"))
        page.goto(log)
        expect(page.locator("#L5")).to_contain_text("installing")
        page.get_by_role("button", name="Fold").click()
        expect(page.locator("#L2")).to_be_hidden()
        expect(page.locator("#L5")).to_be_visible()
        page.locator("#L1").click(position={"x": 200, "y": 8})
        expect(page.locator("#L2")).to_have_text("one")
        expect(page.locator("#L2 .ink-red")).to_have_text("o")
        page.locator("#L1").press(" ")
        expect(page.locator("#L2")).to_be_hidden()
        page.evaluate("location.hash = '#L3'")
        expect(page.locator("#L3")).to_be_in_viewport()
        expect(page.locator("#L1")).to_contain_text("unpacking <b>it</b>")


def test_a_log_is_followed_until_somebody_goes_back_and_its_lines_may_come_in_pieces(site: Site) -> None:
    gates = [site.folder / f"gate-{number}" for number in (1, 2)]
    one, two = (f"while [ ! -e {each} ]; do sleep 0.1; done" for each in gates)
    script = f'printf "::gro"; {one}; echo "up::unpacking"; seq 1 400; seq -s " " 1 3000; echo "::endgroup::"; {two}; seq 401 800'
    log = site.log(PIPELINE.replace('echo "installing', f'{script}; echo "installing'), "running")
    with site.visitor() as visitor:
        page = visitor.log_in(site.person("viewer"))
        page.goto(log)
        expect(page.locator("#L1")).to_have_text("::gro")
        gates[0].touch()
        expect(page.locator("#L1")).to_have_text("unpacking")
        expect(page.locator("#L403")).to_be_in_viewport()
        page.get_by_role("log").press("PageUp")
        expect(page.get_by_label("Follow")).not_to_be_checked()
        gates[1].touch()
        expect(page.locator("#L804")).to_contain_text("installing")
        expect(page.locator("#L804")).not_to_be_in_viewport()
        page.get_by_role("button", name="Fold").click()
        expect(page.locator("#L2")).to_be_hidden()
        expect(page.locator("#L403")).to_be_hidden()
        expect(page.locator("#L404")).to_be_visible()
