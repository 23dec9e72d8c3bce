"""Times that people say: on the clocks of a zone, or with an offset of their own."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from orchestrator.domain.errors import FieldProblem, InvalidInputError
from orchestrator.domain.wall_time import instants, zone_names

_YEARS = range(2000, 2200)


def in_zones(zone: str | None) -> str | None:
    """The zone, if there is one of this name."""
    return zone if zone in zone_names() else None


def read_instant(name: str, text: str, zone: str) -> datetime:
    """What the field `name` says. Raises InvalidInputError."""
    try:
        at: datetime | None = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.year not in _YEARS:
        raise InvalidInputError(
            problems=[FieldProblem(f"/{name}", "is no time between 2000 and 2199; write 2026-11-28T09:30")]
        )
    return at.astimezone(UTC) if at.tzinfo else instants(at, ZoneInfo(zone))[0]
