"""How values are said on pages."""

import hmac
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from orchestrator.domain.durations import format_duration
from orchestrator.domain.foreign import cleaned
from orchestrator.domain.window_reading import WEEKDAYS

TONES = {
    "pending": "wait",
    "waiting": "wait",
    "ready": "wait",
    "running": "go",
    "paused": "warn",
    "unknown": "warn",
    "succeeded": "good",
    "failed": "bad",
    "cancelled": "off",
    "superseded": "off",
    "expired": "off",
    "skipped": "off",
}
"""The colour of each status; the word and the icon stand beside it."""

_MARKED = re.compile(r"`([^`]+)`|\b([Dd]eployment [1-9][0-9]{0,17})\b")
_BEGINNINGS = frozenset(
    {
        "deploying",
        "every",
        "exit",
        "it",
        "its",
        "no",
        "nobody",
        "none",
        "nothing",
        "only",
        "the",
        "there",
        "this",
        "what",
    }
)


def same(one: str, other: str) -> bool:
    """Whether two secrets are the same, in constant time."""
    return hmac.compare_digest(one.encode("utf-8", "surrogateescape"), other.encode())


def tone(status: str) -> str:
    """The colour of a status."""
    return TONES.get(status, "off")


def instant(at: datetime) -> str:
    """An instant, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def minute(at: datetime) -> str:
    """An instant; without its seconds where they are 00."""
    return instant(at).replace(":00 UTC", " UTC") if at.second == 0 else instant(at)


def local(at: datetime, zone: str) -> str:
    """An instant on the clocks of a zone, to the minute."""
    return f"{at.astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M}"


def machine(at: datetime) -> str:
    """An instant, for `datetime` of a `time` element."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def span(start: datetime | None, end: datetime | None) -> str:
    """How long something took; nothing where it has not begun or not ended."""
    if start is None or end is None:
        return ""
    return length((end - start).total_seconds())


def length(seconds: float) -> str:
    """A length of time, to the second."""
    return format_duration(round(seconds)) if seconds >= 1 else "under 1s"


def size(count: int) -> str:
    """A number of bytes."""
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.1f} KiB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MiB"


def sentence(text: str) -> str:
    """As a sentence of its own. What may be a name keeps its first letter."""
    first = text.partition(" ")[0]
    text = f"{first.capitalize()}{text[len(first) :]}" if first in _BEGINNINGS else text
    return text if text.endswith((".", "!", "?")) else f"{text}."


def output(text: str) -> str:
    """What a step wrote, without what would steer a terminal."""
    return "\n".join(cleaned(line, colours=False) for line in text.split("\n"))


def begun(text: str) -> str:
    """With a capital letter, of what does not begin with a name."""
    return text[:1].upper() + text[1:]


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """What it is made of, each with its kind: `code` stood in backticks, `deployment` names one by its id, all else is `text`."""
    done = 0
    for found in _MARKED.finditer(text):
        yield "text", text[done : found.start()]
        yield ("code", found[1]) if found[1] else ("deployment", found[2])
        done = found.end()
    yield "text", text[done:]


def weekdays(names: Sequence[str]) -> str:
    """Days of the week, in order; three or more that follow each other as a range."""
    places = [WEEKDAYS.index(name) for name in names]
    if len(places) > 2 and places == list(range(places[0], places[-1] + 1)):
        return f"{names[0].capitalize()} to {names[-1].capitalize()}"
    return ", ".join(name.capitalize() for name in names)


def plural(count: int, one: str) -> str:
    """So many of them."""
    return f"1 {one}" if count == 1 else f"{count} {one}s"
