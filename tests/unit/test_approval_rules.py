"""Whose yes counts, and for how long."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.domain.access import Role
from orchestrator.domain.approvals import ApprovalRule, Approver, agreed_until, unmet
from orchestrator.domain.pipeline_approvals import read_approvals
from orchestrator.domain.reading import Problems, Section

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def approver(name: str, **more: Any) -> Approver:
    return Approver(**({"username": name, "role": Role.DEPLOYER, "at": NOW} | more))


def read(rule: object) -> tuple[tuple[ApprovalRule, ...], list[str]]:
    problems = Problems()
    section = Section.of(problems, "", {"approvals": [rule]})
    return read_approvals(section), [f"{each.pointer} {each.detail}" for each in problems.found]


@pytest.mark.parametrize(
    "document",
    [
        {"count": 2, "role": "operator"},
        {"count": 1, "users": ["ann", "bob"]},
        {"count": 1, "team": "payments"},
        {"count": 1, "role": "deployer", "not_author": True, "expires": "24h"},
    ],
)
def test_a_rule_is_read_and_written_back(document: dict[str, Any]) -> None:
    (rule,), problems = read(document)
    assert problems == []
    assert rule.document() == document
    assert ApprovalRule.of(document) == rule


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"team": "x", "role": "admin"}, "/approvals/0/team write only one of `role`, `users` and `team`"),
        ({"users": ["ann"], "team": "x"}, "/approvals/0/team write only one of"),
        ({"team": "No Team"}, "/approvals/0/team"),
        ({"not_author": "yes"}, "/approvals/0/not_author must be true or false"),
        ({"expires": "10s"}, "/approvals/0/expires must be from 1m to 720h, not 10s"),
        ({"expires": 5}, "/approvals/0/expires must say its unit"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(rule: object, problem: str) -> None:
    _, problems = read(rule)
    assert any(each.startswith(problem) for each in problems), problems


def test_a_team_counts_as_who_was_in_it_when_they_said_yes() -> None:
    rule = ApprovalRule(team="payments")
    assert rule.accepts(approver("ann", teams=("web", "payments")), NOW)
    assert not rule.accepts(approver("bob", role=Role.ADMIN), NOW)
    assert str(rule) == "1 person of the team payments"


def test_who_recorded_the_release_may_be_left_out() -> None:
    author = approver("ann", is_author=True)
    assert ApprovalRule().accepts(author, NOW)
    rule = ApprovalRule(but_author=True)
    assert not rule.accepts(author, NOW)
    assert rule.accepts(approver("bob"), NOW)
    assert rule.demand(1) == (
        "1 person with the role deployer or higher must approve,"
        " other than who requested it or recorded the release"
    )


def test_a_yes_counts_up_to_and_not_at_its_end() -> None:
    rule = ApprovalRule(expires_seconds=3600)
    assert rule.demand(1).endswith("other than who requested it; each yes counts for 1h")
    said = [approver("ann")]
    assert unmet([rule], said, NOW + HOUR - timedelta(microseconds=1)) == []
    assert unmet([rule], said, NOW + HOUR) == [(rule, 1)]


def test_what_is_agreed_lasts_as_long_as_enough_of_the_newest_yeses_do() -> None:
    first, second, third = (
        approver(name, at=NOW - minutes * timedelta(minutes=1))
        for name, minutes in (("ann", 50), ("bob", 20), ("cleo", 5))
    )
    two, old = ApprovalRule(count=2, expires_seconds=3600), ApprovalRule(users=("ann",))
    assert agreed_until([two, old], [first, second], NOW) == NOW + timedelta(minutes=10)
    assert agreed_until([two, old], [first, second, third], NOW) == NOW + timedelta(minutes=40)
    assert agreed_until([old], [first], NOW) is None
