"""What the clock on the wall shows, and the instants at which it does."""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

_SECOND = timedelta(seconds=1)


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Every IANA name that can be used."""
    return frozenset(available_timezones())


def is_abbreviation(zone: str) -> bool:
    """Whether `zone` names an offset or an old alias (`EST`, `CET`, `Etc/GMT+5`) and not a place."""
    return zone not in {"UTC", "Etc/UTC"} and ("/" not in zone or zone.startswith("Etc/"))


def instants(local: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Give the first and the second instant at which clocks in `zone` show `local`, which has no zone of its own.

    They are the same but for what is shown twice. What is never shown gives the transition that leaps over it.
    """
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if second < first:
        first = second = _leap(second, first, zone)
    return first, second


def shown(at: datetime, zone: str) -> datetime:
    """Give what clocks in `zone` show at an instant, without a zone."""
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def _leap(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """Find the transition in (before, after]; transitions are at whole seconds."""
    old = before.astimezone(zone).utcoffset()
    before = before.replace(microsecond=0)
    while after - before > _SECOND:
        middle = before + (after - before) // (2 * _SECOND) * _SECOND
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)
