"""The page of insights: its numbers are those of the API, and each leads to exactly the deployments it counts."""

import html
import re

from tests.integration.api_world import ApiWorld, world
from tests.integration.test_api_insights import MARCH, shop

__all__ = ["shop", "world"]


def links(page: str) -> list[tuple[str, str]]:
    """Where each link to deployments behind a number leads, and its words."""
    found = re.findall(r'<a href="(/insights/deployments[^"]*)">([^<]*)</a>', page)
    return [(html.unescape(path), words) for path, words in found]


def test_each_number_leads_to_as_many_deployments_as_it_says(world: ApiWorld, shop: str) -> None:
    client, _ = world.browser("viewer")
    page = client.get(f"/insights?application={shop}&{MARCH}").text
    for said in ("Change lead time", "2h", "0.06 a day", "33.3%", "1 recovered", "0 not yet", "of 3 changes"):
        assert said in page
    checked = 0
    for path, words in links(page):
        answer = client.get(path)
        assert answer.status_code == 200, path
        number = re.fullmatch(r"(?:of )?(\d+)\b.*", words)
        if number is not None and not re.fullmatch(r"\d+[dhms].*|.*(?:%|a day).*", words):
            assert len(re.findall(r'<th scope="row"><a href="/deployments/', answer.text)) == int(
                number[1]
            ), words
            checked += 1
    assert checked >= 12


def test_where_there_is_nothing_no_number_is_made_up(world: ApiWorld, shop: str) -> None:
    client, _ = world.browser("viewer")
    page = client.get("/insights?environment=staging&from=2024-01-01&to=2024-02-01").text
    assert page.count("Not enough data") == 6
    assert "0.0%" not in page


def test_the_page_chooses_an_environment_that_there_is(world: ApiWorld, shop: str) -> None:
    client, _ = world.browser("viewer")
    assert "All applications in production" in client.get("/insights").text
    assert client.get("/insights?environment=nowhere").status_code == 404
    assert client.get("/insights?from=2025-02-30").status_code == 422


def test_the_page_says_the_definition_of_each_measure(world: ApiWorld, shop: str) -> None:
    client, _ = world.browser("viewer")
    page = client.get(f"/insights?{MARCH}").text
    assert page.count("DORA: “") == 5


def test_what_is_asked_for_stays_text(world: ApiWorld, shop: str) -> None:
    client, _ = world.browser("viewer")
    nasty = "%3Cscript%3Ealert(1)%3C/script%3E"
    for query in ("application", "environment", "zone", "from", "by", "group", "reason", "cursor"):
        for path in ("/insights", "/insights/deployments"):
            answer = client.get(f"{path}?{query}={nasty}")
            assert "<script>alert" not in answer.text
            assert answer.status_code < 500
