"""Who acts."""

from dataclasses import dataclass

from orchestrator.domain.access import Permission, Role, owns_or_operates, require
from orchestrator.domain.errors import ForbiddenError


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who is logged in."""

    id: int
    username: str
    role: Role
    sign_in_id: str
    teams: tuple[str, ...] = ()

    def require(self, permission: Permission) -> None:
        """Raise ForbiddenError that says which role is needed."""
        require(self.role, permission)

    def require_ownership(self, owner_id: int, what: str) -> None:
        """Raise ForbiddenError unless this is the owner or somebody who operates."""
        if not owns_or_operates(actor_id=self.id, role=self.role, owner_id=owner_id):
            raise ForbiddenError(f"{what} belongs to somebody else; its owner or an operator may change it")
