"""Who has to agree to a deployment before it starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from orchestrator.domain.access import Role, at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRule:
    """`count` different people with at least this role, or of these names; never who requested the deployment."""

    count: int = 1
    role: Role = Role.DEPLOYER
    users: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Undo `document`."""
        role = Role(document.get("role", Role.DEPLOYER))
        return cls(count=document["count"], role=role, users=tuple(document.get("users", ())))

    def document(self) -> dict[str, Any]:
        """As a plain structure."""
        whom = {"users": list(self.users)} if self.users else {"role": str(self.role)}
        return {"count": self.count, **whom}

    def accepts(self, approver: "Approver") -> bool:
        """Whether this person's yes counts here."""
        if self.users:
            return approver.username in self.users
        return at_least(approver.role, self.role)

    def __str__(self) -> str:
        whom = f"of {', '.join(self.users)}" if self.users else f"with the role {self.role} or higher"
        return f"{self.count} {'person' if self.count == 1 else 'people'} {whom}"


@dataclass(frozen=True, slots=True)
class Approver:
    """Somebody who said yes, with the role they had then."""

    username: str
    role: Role


def unmet(rules: Sequence[ApprovalRule], approvers: Sequence[Approver]) -> list[tuple[ApprovalRule, int]]:
    """The rules that are not met yet, each with how many more people it needs."""
    missing = ((rule, rule.count - sum(map(rule.accepts, approvers))) for rule in rules)
    return [(rule, more) for rule, more in missing if more > 0]
