"""The variables a step sees: which of two wins, what is reserved, and how `$NAME` is read."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

RESERVED_PREFIXES = ("RELEASE_", "DEPLOYMENT_", "TARGET_")
"""Names the orchestrator gives to every step; a pipeline may not set them."""

LABEL_PREFIX = "TARGET_LABEL_"

GIVEN_NAMES = frozenset(
    {
        "RELEASE_NAME",
        "RELEASE_VERSION",
        "RELEASE_ARTIFACT",
        "RELEASE_ARTIFACT_SHA256",
        "RELEASE_ID",
        "DEPLOYMENT_ID",
        "DEPLOYMENT_ENVIRONMENT",
        "DEPLOYMENT_STRATEGY",
        "DEPLOYMENT_WAVE",
        "DEPLOYMENT_ROLLS_BACK",
        "DEPLOYMENT_REQUESTED_BY",
        "DEPLOYMENT_PREVIOUS_VERSION",
        "TARGET_NAME",
        "TARGET_KIND",
    }
)
"""What every step is given, beside one `TARGET_LABEL_<KEY>` a label of its target."""

_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,254}")
_REFERENCE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<plain>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<stray>))"
)


def is_variable_name(name: str) -> bool:
    """Whether a variable may be called so: capitals, digits and underscores, not starting with a digit."""
    return _NAME.fullmatch(name) is not None


def is_reserved(name: str) -> bool:
    """Whether only the orchestrator sets variables of this name."""
    return name.startswith(RESERVED_PREFIXES)


def label_variable(key: str) -> str:
    """Name the variable that carries the label `key`."""
    return LABEL_PREFIX + key.upper().replace("-", "_")


def merge_variables(*layers: Mapping[str, str]) -> dict[str, str]:
    """Lay mappings over one another; a later one wins (pipeline, environment, target, action)."""
    merged: dict[str, str] = {}
    for layer in layers:
        merged.update(layer)
    return merged


def references(value: Any) -> frozenset[str]:
    """Name every variable that the texts anywhere in `value` refer to.

    Raises ValueError on a `$` that refers to none.
    """
    return frozenset(name for text in _texts(value) for name in _names(text))


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$NAME` and `${NAME}`; `$$` is a dollar sign; what was put in is not read again.

    Raises ValueError on an undefined name and on a `$` that names nothing.
    """

    def replace(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name = _name(match)
        if name not in variables:
            raise ValueError(f"the variable {name} is not defined")
        return variables[name]

    return _REFERENCE.sub(replace, text)


def expand_settings(settings: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Expand every text in `settings`, however deep; keys and what is not text stay. Raises as `expand`."""
    return {key: _expand_value(value, variables) for key, value in settings.items()}


def _expand_value(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return expand(value, variables)
    if isinstance(value, Mapping):
        return expand_settings(value, variables)
    if isinstance(value, list | tuple):
        return [_expand_value(item, variables) for item in value]
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _names(text: str) -> Iterator[str]:
    return (_name(match) for match in _REFERENCE.finditer(text) if not match["escaped"])


def _name(match: re.Match[str]) -> str:
    name = match["plain"] or match["braced"]
    if not name:
        raise ValueError("a lone `$` names no variable; write `$$` for a dollar sign")
    return name
