"""What the settings of several kinds of target have in common."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.targets.runs import VARIABLE


def refuse_unknown(settings: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise SettingsRefusedError for a setting that is none of `known`, and name the nearest."""
    for name in settings:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, 1, 0)
            raise SettingsRefusedError(name, f"there is no such setting; did you mean {nearest[0]!r}?")


def absolute_path(settings: Mapping[str, Any], name: str) -> str:
    """Return an optional absolute path, "" where it is not set. Raises SettingsRefusedError."""
    path = settings.get(name) or ""
    if not isinstance(path, str) or not (path == "" or path.startswith("/")):
        raise SettingsRefusedError(name, f"must be an absolute path, not {path!r}")
    return path


def variables(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return what `variables` gives to every command. Raises SettingsRefusedError."""
    given = settings.get("variables") or {}
    if not isinstance(given, Mapping):
        raise SettingsRefusedError("variables", "must be a mapping of names to texts")
    for name, value in given.items():
        if not isinstance(name, str) or not VARIABLE.fullmatch(name):
            raise SettingsRefusedError("variables", f"{name!r} cannot be the name of an environment variable")
        if not isinstance(value, str) or "\0" in value:
            raise SettingsRefusedError(
                "variables", f"{name} must be a text, not {value!r}; put quotes around it"
            )
    return dict(given)
