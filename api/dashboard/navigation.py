"""Where one can go from every page."""

from dataclasses import dataclass

from orchestrator.domain.access import Permission, allows
from orchestrator.services.actors import Actor


@dataclass(frozen=True, slots=True)
class Place:
    """A page that the head leads to, for who may see it; `key` leads there after g."""

    path: str
    name: str
    permission: Permission = Permission.READ
    key: str = ""
    is_first: bool = False
    """In the head itself; the others are in its menu."""
    is_always: bool = False
    """Also in the head of a narrow window."""
    counts: bool = False
    """It says how much waits there for who looks."""


PLACES = (
    Place("/", "Dashboard", key="d", is_first=True, is_always=True),
    Place("/deployments", "Deployments", key="l", is_first=True, is_always=True),
    Place("/calendar", "Calendar", key="c", is_first=True),
    Place("/inbox", "Inbox", key="i", is_first=True, is_always=True, counts=True),
    Place("/insights", "Insights", key="m", is_first=True),
    Place("/applications", "Applications", key="a"),
    Place("/releases", "Releases", key="r"),
    Place("/targets", "Targets", key="t"),
    Place("/locks", "Locks", key="k"),
    Place("/users", "Users", key="u"),
    Place("/tokens", "API tokens", Permission.SELF),
    Place("/webhooks", "Webhooks", Permission.OPERATE, key="w"),
    Place("/audit", "Audit", Permission.OPERATE),
    Place("/system", "System", Permission.OPERATE, key="s"),
)


def of(actor: Actor | None) -> list[Place]:
    """Where they can go."""
    if actor is None:
        return []
    return [place for place in PLACES if allows(actor.role, place.permission)]
