"""What forms offer to choose from. Pages are given these functions, as no part that renews itself has such a form."""

from collections.abc import Sequence
from dataclasses import dataclass

from api.extensions import session
from orchestrator.repositories import applications

MOST_CHOICES = 200


@dataclass(frozen=True, slots=True)
class Applications:
    """The first by name; `is_cut`: there are more, so a name has to be typed."""

    names: Sequence[str]
    is_cut: bool


def of_applications() -> Applications:
    """Those to choose from."""
    found = [row.name for row in applications.page(session(), after="", skip=0, limit=MOST_CHOICES + 1)]
    return Applications(found[:MOST_CHOICES], len(found) > MOST_CHOICES)


def of_environments() -> Sequence[str]:
    """Those to choose from, in their order."""
    return [row.name for row in applications.environments(session())]
