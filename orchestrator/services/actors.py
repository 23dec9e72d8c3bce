"""Who acts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.domain.access import (
    BY_APPLICATION,
    Grant,
    Permission,
    Role,
    allows,
    owns_or_operates,
    require,
    role_in,
)
from orchestrator.domain.errors import ForbiddenError, RuleViolationError
from orchestrator.domain.limits import Limits
from orchestrator.repositories import users


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who is logged in."""

    id: int
    username: str
    role: Role
    """What they are everywhere."""
    sign_in_id: str
    teams: tuple[str, ...] = ()
    limits: Limits | None = None
    """What the API token allows with which they came; None: they logged in."""
    grants: tuple[Grant, ...] = ()
    """What was granted to them and their teams."""
    restricted: frozenset[str] = frozenset()
    """Environments in which a deployer needs a grant that names them."""

    def role_in(self, application: str | None, environment: str | None) -> Role:
        """Their role for an application in an environment; None: for all of them."""
        return role_in(
            self.role,
            self.grants,
            application=application,
            environment=environment,
            is_restricted=environment in self.restricted,
        )

    def require(self, permission: Permission) -> None:
        """Raise ForbiddenError that says which role is needed everywhere, or which scope."""
        require(self.role, permission)
        if self.limits is not None:
            self.limits.require(permission)

    def require_somewhere(self, permission: Permission) -> None:
        """As `require`, but what is granted for one application is enough: the place has to be asked for as well."""
        if permission in BY_APPLICATION and any(allows(each.role, permission) for each in self.grants):
            if self.limits is not None:
                self.limits.require(permission)
        else:
            self.require(permission)

    def require_place(
        self, permission: Permission, *, application: str | None, environment: str | None
    ) -> None:
        """Raise ForbiddenError where the role there, or a token, does not allow it; None: everywhere."""
        place = (f" for {application}" if application else "") + (f" in {environment}" if environment else "")
        if environment in self.restricted:
            place += ", which is restricted to grants that name it and to operators"
        require(self.role_in(application, environment), permission, place=place)
        if self.limits is not None:
            self.limits.require(permission)
            self.limits.require_application(application)
            self.limits.require_environment(environment)

    def require_application(self, permission: Permission, name: str) -> None:
        """As `require_place`, for what belongs to an application and no environment: each of its grants counts."""
        roles = [self.role, *(each.role for each in self.grants if each.application == name)]
        if not any(allows(role, permission) for role in roles):
            require(self.role, permission, place=f" for {name}")
        if self.limits is not None:
            self.limits.require(permission)
            self.limits.require_application(name)

    def require_person(self, what: str) -> None:
        """Raise ForbiddenError for a machine."""
        if self.limits is not None:
            raise ForbiddenError(f"{what} is a person's, and this is an API token: log in")

    def require_ownership(
        self, owner_id: int, what: str, *, application: str | None, environment: str | None
    ) -> None:
        """Raise ForbiddenError unless this is the owner or somebody who operates there."""
        operates = self.limits is None or Permission.OPERATE in self.limits.scopes
        role = self.role_in(application, environment) if operates else Role.VIEWER
        if not owns_or_operates(actor_id=self.id, role=role, owner_id=owner_id):
            raise ForbiddenError(f"{what} belongs to somebody else; its owner or an operator may change it")


def of_row(row: Row[Any], sign_in_id: str, *, limits: Limits | None = None) -> Actor:
    """The actor that was looked up, with all that says what they may."""
    return Actor(
        row.id,
        row.username,
        Role(row.role),
        sign_in_id,
        tuple(row.teams),
        limits,
        _grants(row.grants or ()),
        frozenset(row.restricted or ()),
    )


def of_user(session: Session, user_id: int) -> tuple[Actor, bool]:
    """Somebody in whose name the clock acts, as they may now; and whether they are active. Raises NotFoundError."""
    row = users.get_actor(session, user_id)
    return of_row(row, ""), bool(row.active)


def acting(session: Session, user_id: int, who: str) -> Actor:
    """Somebody for whom something acts by itself, as they may now; `who` says why it is them.

    Raises RuleViolationError where they are not active any more.
    """
    actor, is_active = of_user(session, user_id)
    if not is_active:
        raise RuleViolationError(f"{actor.username}, {who}, is not active any more")
    return actor


def _grants(found: Sequence[Sequence[Any]]) -> tuple[Grant, ...]:
    return tuple(
        Grant(application, Role(role), frozenset(environments)) for application, role, environments in found
    )
