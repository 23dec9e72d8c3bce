"""Lengths of time as people write them: `60s`, `10m`, `1h30m`, `2d`, `500ms`."""

import re

_DURATION = re.compile(
    r"(?:(?P<d>\d{1,6})d)?(?:(?P<h>\d{1,6})h)?(?:(?P<m>\d{1,6})m(?!s))?(?:(?P<s>\d{1,6})s)?(?:(?P<ms>\d{1,6})ms)?",
    re.ASCII,
)
_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_DAY = 86_400_000


def parse_duration(text: str) -> float:
    """Give the seconds that `text` says. Raises ValueError, with what to write instead, when it says none."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise ValueError("write a duration such as 30s, 10m or 1h30m")
    units = {"d": _DAY, **_MILLISECONDS}
    return sum(int(match[unit] or 0) * each for unit, each in units.items()) / 1000


def format_duration(seconds: float) -> str:
    """Write `seconds` the way `parse_duration` reads it, in hours at the most; they undo each other down to a millisecond."""
    rest = round(seconds * 1000)
    parts = []
    for unit, each in _MILLISECONDS.items():
        count, rest = divmod(rest, each)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def rough_duration(seconds: float) -> str:
    """The two greatest units of it, for people: `2d 9h`, `3h 5m`, `42s`."""
    rest = round(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(each for each in parts[:2] if not each.startswith("0")) or "under 1s"
