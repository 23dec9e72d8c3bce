"""Who acts."""

from dataclasses import dataclass

from orchestrator.domain.access import Permission, Role, owns_or_operates, require
from orchestrator.domain.errors import ForbiddenError
from orchestrator.domain.limits import Limits


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who is logged in."""

    id: int
    username: str
    role: Role
    sign_in_id: str
    teams: tuple[str, ...] = ()
    limits: Limits | None = None
    """What the API token allows with which they came; None: they logged in."""

    def require(self, permission: Permission) -> None:
        """Raise ForbiddenError that says which role is needed, or which scope."""
        require(self.role, permission)
        if self.limits is not None:
            self.limits.require(permission)

    def require_place(self, *, application: str | None, environment: str | None) -> None:
        """Raise ForbiddenError where a token does not allow to change things there; None: everywhere."""
        if self.limits is not None:
            self.limits.require_application(application)
            self.limits.require_environment(environment)

    def require_application(self, name: str) -> None:
        """As `require_place`, for what belongs to an application and no environment."""
        if self.limits is not None:
            self.limits.require_application(name)

    def require_person(self, what: str) -> None:
        """Raise ForbiddenError for a machine."""
        if self.limits is not None:
            raise ForbiddenError(f"{what} is a person's, and this is an API token: log in")

    def require_ownership(self, owner_id: int, what: str) -> None:
        """Raise ForbiddenError unless this is the owner or somebody who operates."""
        operates = self.limits is None or Permission.OPERATE in self.limits.scopes
        role = self.role if operates else Role.VIEWER
        if not owns_or_operates(actor_id=self.id, role=role, owner_id=owner_id):
            raise ForbiddenError(f"{what} belongs to somebody else; its owner or an operator may change it")
