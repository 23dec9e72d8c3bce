"""Times as people type them."""

from datetime import UTC, datetime, timedelta

import click

from orchestrator import clock
from orchestrator.domain.durations import parse_duration


def read_instant(option: str, text: str | None) -> str | None:
    """The instant as the API wants it: `+2h` from now on, else RFC 3339; without an offset by this machine's clock."""
    if text is None:
        return None
    try:
        if text.startswith("+"):
            instant = clock.now() + timedelta(seconds=parse_duration(text[1:]))
        else:
            instant = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise click.UsageError(
            f"{option}: write a time such as 2026-12-01T09:00Z or +2h, not {text!r}"
        ) from error
    return instant.isoformat().replace("+00:00", "Z")
