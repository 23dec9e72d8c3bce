"""What somebody who uses an API token may do: what its user may, and no more than the token says."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from orchestrator.domain.access import Permission
from orchestrator.domain.errors import ForbiddenError

SCOPES = (
    Permission.READ,
    Permission.CREATE_RELEASE,
    Permission.CONFIGURE,
    Permission.DEPLOY,
    Permission.OPERATE,
)
"""What a token may be for. Never for users, logins and tokens: those are for people who log in."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The scopes of a token, and the applications and environments it may change; none named: all."""

    scopes: frozenset[Permission]
    applications: frozenset[str] = frozenset()
    environments: frozenset[str] = frozenset()

    @classmethod
    def of(cls, scopes: Iterable[str], applications: Iterable[str], environments: Iterable[str]) -> Self:
        """From what is kept of a token. Reading is part of every scope."""
        allowed = frozenset(Permission(scope) for scope in scopes) | {Permission.READ}
        return cls(allowed, frozenset(applications), frozenset(environments))

    def require(self, permission: Permission) -> None:
        """Raise ForbiddenError where the token is not for this."""
        if permission not in self.scopes:
            has = ", ".join(sorted(self.scopes))
            raise ForbiddenError(f"this API token is for {has}, and not for {permission}")

    def require_application(self, name: str | None) -> None:
        """Raise ForbiddenError where the token is not for this application; None: for all of them."""
        self._require(self.applications, name, "applications")

    def require_environment(self, name: str | None) -> None:
        """Raise ForbiddenError where the token is not for this environment; None: for all of them."""
        self._require(self.environments, name, "environments")

    @staticmethod
    def _require(allowed: frozenset[str], name: str | None, what: str) -> None:
        if allowed and name not in allowed:
            wanted = f"all {what}" if name is None else name
            raise ForbiddenError(
                f"this API token is for the {what} {', '.join(sorted(allowed))}, and not for {wanted}"
            )
