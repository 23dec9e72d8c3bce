"""Who may do what: roles, what each adds, what is granted for an application, and the permission that a route declares."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.domain.errors import ForbiddenError


class Role(StrEnum):
    """Each role may do all that the ones before it may."""

    VIEWER = "viewer"
    DEPLOYER = "deployer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Permission(StrEnum):
    """What a route asks for. `PUBLIC` routes ask for nobody; `SELF` ones for anybody who is logged in."""

    PUBLIC = "public"
    SELF = "self"
    READ = "read"
    CREATE_RELEASE = "create_release"
    DEPLOY = "deploy"
    CONFIGURE = "configure"
    OPERATE = "operate"
    ADMINISTER = "administer"


_LEAST_ROLE: dict[Permission, Role] = {
    Permission.SELF: Role.VIEWER,
    Permission.READ: Role.VIEWER,
    Permission.CREATE_RELEASE: Role.DEPLOYER,
    Permission.DEPLOY: Role.DEPLOYER,
    Permission.CONFIGURE: Role.DEPLOYER,
    Permission.OPERATE: Role.OPERATOR,
    Permission.ADMINISTER: Role.ADMIN,
}
_RANK = {role: rank for rank, role in enumerate(Role)}
BY_APPLICATION = frozenset({Permission.CREATE_RELEASE, Permission.CONFIGURE, Permission.DEPLOY})
"""What a role for one application lets somebody ask for; the service behind the route looks for which."""
GRANTED_ROLES = (Role.DEPLOYER, Role.OPERATOR, Role.ADMIN)
EVERYBODY = "*"
"""The group that everybody is in whom the provider knows."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role for one application."""

    application: str
    role: Role
    environments: frozenset[str] = frozenset()
    """Only in these; none: in all but those that are restricted."""

    def counts_in(self, environment: str | None, *, is_restricted: bool) -> bool:
        """Whether it is for this environment; None: for all of them."""
        if self.environments:
            return environment in self.environments
        return not is_restricted or at_least(self.role, Role.OPERATOR)


def least_role(permission: Permission) -> Role | None:
    """The smallest role that has the permission; None where nobody needs to be logged in."""
    return _LEAST_ROLE.get(permission)


def at_least(role: Role, least: Role) -> bool:
    """Whether a role is that one or one that may do more."""
    return _RANK[role] >= _RANK[least]


def allows(role: Role, permission: Permission) -> bool:
    """Whether somebody with this role has the permission."""
    least = least_role(permission)
    return least is None or _RANK[role] >= _RANK[least]


def role_in(
    role: Role,
    grants: Iterable[Grant],
    *,
    application: str | None,
    environment: str | None,
    is_restricted: bool = False,
) -> Role:
    """The role somebody has for an application in an environment; None: for all of them.

    The greater of their own and what is granted. In a restricted environment a deployer's own counts for nothing.
    """
    own = Role.VIEWER if is_restricted and role is Role.DEPLOYER else role
    granted = [
        each.role
        for each in grants
        if each.application == application and each.counts_in(environment, is_restricted=is_restricted)
    ]
    return max(own, *granted, key=_RANK.__getitem__) if granted else own


def require(role: Role, permission: Permission, *, place: str = "") -> None:
    """Raise ForbiddenError that says which role is needed, and where."""
    if not allows(role, permission):
        needed, there = least_role(permission), " there" if place else ""
        raise ForbiddenError(f"this needs the role {needed} or higher{place}; yours{there} is {role}")


def owns_or_operates(*, actor_id: int, role: Role, owner_id: int) -> bool:
    """Whether somebody may change a thing that belongs to `owner_id`: its owner, and operators."""
    return actor_id == owner_id or allows(role, Permission.OPERATE)


def read_roles(text: str) -> dict[str, Role]:
    """Which groups give which role, from `ops=operator, *=viewer`. Raises ValueError that names what is neither."""
    found: dict[str, Role] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        group, _, role = (each.strip() for each in part.rpartition("="))
        if not group or role not in {*Role}:
            raise ValueError(f"must be group=role with commas between, and {part!r} is not")
        found[group] = Role(role)
    return found


def highest_role(groups: Set[str], roles: Mapping[str, Role]) -> Role | None:
    """The highest role that one of these groups gives; None: none of them gives any."""
    given = [role for group, role in roles.items() if group in groups or group == EVERYBODY]
    return max(given, key=_RANK.__getitem__, default=None)
