"""Reading the settings of channels."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from orchestrator.domain.errors import SettingsRefusedError


def only(settings: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise SettingsRefusedError for a name that is none of these."""
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f" (known: {', '.join(sorted(known))})"
            raise SettingsRefusedError(str(name), f"there is no such setting{hint}")


def text(settings: Mapping[str, Any], name: str, *, default: str | None = None, longest: int = 500) -> str:
    """A line of text that must be there, unless there is a default. Raises SettingsRefusedError."""
    found = settings.get(name, default)
    if not isinstance(found, str) or not found:
        raise SettingsRefusedError(name, "must be a text")
    if len(found) > longest or not found.isprintable():
        raise SettingsRefusedError(name, f"must be one line of at most {longest} characters")
    return found
