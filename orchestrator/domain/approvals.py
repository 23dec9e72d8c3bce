"""Who has to agree to a deployment before it starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from orchestrator.domain.access import Role, at_least
from orchestrator.domain.durations import format_duration, parse_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRule:
    """`count` different people with at least this role, of these names or of this team; never who requested it."""

    count: int = 1
    role: Role = Role.DEPLOYER
    users: tuple[str, ...] = ()
    team: str = ""
    but_author: bool = False
    """Neither does who recorded the release count."""
    expires_seconds: int = 0
    """How long a yes counts; 0: for ever."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Undo `document`."""
        return cls(
            count=document["count"],
            role=Role(document.get("role", Role.DEPLOYER)),
            users=tuple(document.get("users", ())),
            team=document.get("team", ""),
            but_author=document.get("not_author", False),
            expires_seconds=int(parse_duration(document["expires"])) if "expires" in document else 0,
        )

    def document(self) -> dict[str, Any]:
        """As a plain structure."""
        document: dict[str, Any] = {"count": self.count}
        if self.users:
            document["users"] = list(self.users)
        elif self.team:
            document["team"] = self.team
        else:
            document["role"] = str(self.role)
        if self.but_author:
            document["not_author"] = True
        if self.expires_seconds:
            document["expires"] = format_duration(self.expires_seconds)
        return document

    def accepts(self, approver: "Approver", now: datetime) -> bool:
        """Whether this person's yes counts here, at this time."""
        if self.but_author and approver.is_author:
            return False
        if self.expires_seconds and approver.at + timedelta(seconds=self.expires_seconds) <= now:
            return False
        if self.users:
            return approver.username in self.users
        if self.team:
            return self.team in approver.teams
        return at_least(approver.role, self.role)

    def __str__(self) -> str:
        whom = f"with the role {self.role} or higher"
        if self.users:
            whom = f"of {', '.join(self.users)}"
        elif self.team:
            whom = f"of the team {self.team}"
        return f"{self.count} {'person' if self.count == 1 else 'people'} {whom}"

    def demand(self, more: int) -> str:
        """What is still missing, in plain words."""
        author = " or recorded the release" if self.but_author else ""
        lasting = (
            f"; each yes counts for {format_duration(self.expires_seconds)}" if self.expires_seconds else ""
        )
        who = f"{self}" if more == self.count else f"{more} more of {self}"
        return f"{who} must approve, other than who requested it{author}{lasting}"


@dataclass(frozen=True, slots=True)
class Approver:
    """Somebody who said yes, when, and as what they were then."""

    username: str
    role: Role
    at: datetime
    teams: tuple[str, ...] = ()
    is_author: bool = False
    """They recorded the release."""


def agreed_until(
    rules: Sequence[ApprovalRule], approvers: Sequence[Approver], now: datetime
) -> datetime | None:
    """When the first of these rules, all of which are met, is not any more; None: each yes counts for ever."""
    ends = []
    for rule in rules:
        if rule.expires_seconds:
            said = sorted((each.at for each in approvers if rule.accepts(each, now)), reverse=True)
            ends.append(said[rule.count - 1] + timedelta(seconds=rule.expires_seconds))
    return min(ends, default=None)


def unmet(
    rules: Sequence[ApprovalRule], approvers: Sequence[Approver], now: datetime
) -> list[tuple[ApprovalRule, int]]:
    """The rules that are not met at this time, each with how many more people it needs."""
    missing = ((rule, rule.count - sum(rule.accepts(each, now) for each in approvers)) for rule in rules)
    return [(rule, more) for rule, more in missing if more > 0]


def is_wanted(
    rules: Sequence[ApprovalRule], approvers: Sequence[Approver], person: Approver, now: datetime
) -> bool:
    """Whether a rule that is not met would count this person's yes, and does not yet."""
    said = [each for each in approvers if each.username == person.username]
    return any(
        rule.accepts(person, now) and not any(rule.accepts(each, now) for each in said)
        for rule, _ in unmet(rules, approvers, now)
    )
