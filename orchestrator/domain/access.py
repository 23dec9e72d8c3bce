"""Who may do what: roles, what each adds, and the permission that a route declares."""

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


def require(role: Role, permission: Permission) -> None:
    """Raise ForbiddenError that says which role is needed."""
    if not allows(role, permission):
        raise ForbiddenError(f"this needs the role {least_role(permission)} or higher; yours is {role}")


def owns_or_operates(*, actor_id: int, role: Role, owner_id: int) -> bool:
    """Whether somebody may change a thing that belongs to `owner_id`: its owner, and operators."""
    return actor_id == owner_id or allows(role, Permission.OPERATE)
