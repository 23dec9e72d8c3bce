"""What the readers of a pipeline share: variables, kinds, and the settings that belong to a plugin."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.domain.reading import Problems, Section, child, described, shortened, suggest
from orchestrator.domain.variables import RESERVED_PREFIXES, is_reserved, is_variable_name

MAX_VARIABLES = 500
MAX_VALUE_CHARACTERS = 32_768
MAX_SECRETS = 100

SettingsCheck = Callable[[Mapping[str, Any]], None]
"""Raises SettingsRefusedError when a plugin cannot work with the settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPlugins:
    """Which kinds there are, and who checks the settings of each."""

    targets: Mapping[str, SettingsCheck]
    strategies: Mapping[str, SettingsCheck]
    checks: Mapping[str, SettingsCheck]
    proxies: Mapping[str, SettingsCheck] = field(default_factory=dict)
    switching: Collection[str] = ()
    """Strategies that cannot do without a proxy."""
    receivers: frozenset[str] = frozenset()
    """The kinds of target to which files can be brought."""


def read_variables(section: Section, key: str = "variables") -> dict[str, str]:
    if not section.has(key):
        return {}
    problems = section.problems
    part = Section.of(problems, section.at(key), section.values[key])
    if len(part.values) > MAX_VARIABLES:
        problems.add(part.pointer, f"there may be at most {MAX_VARIABLES} variables here")
        return {}
    variables = {}
    for name, value in part.values.items():
        if not is_variable_name(name):
            problems.add(
                part.at(name),
                f"{shortened(name)!r} cannot be a variable; use capitals, digits and underscores",
            )
        elif is_reserved(name):
            prefixes = ", ".join(RESERVED_PREFIXES)
            problems.add(
                part.at(name), f"names that begin with {prefixes} are set for you; choose another name"
            )
        else:
            variables[name] = read_value(problems, part.at(name), value)
    return variables


def read_secrets(section: Section) -> tuple[str, ...]:
    if not section.has("secrets"):
        return ()
    names, at, problems = section.values["secrets"], section.at("secrets"), section.problems
    if not isinstance(names, list | tuple) or len(names) > MAX_SECRETS:
        problems.add(
            at, f"must be a list of names, at most {MAX_SECRETS}; their values are files of the workers"
        )
        return ()
    for index, name in enumerate(names):
        if not isinstance(name, str) or not is_variable_name(name):
            problems.add(child(at, index), "must be a name in capitals, digits and underscores")
        elif is_reserved(name):
            problems.add(child(at, index), f"{name} is set for you; choose another name")
        elif name in names[:index]:
            problems.add(child(at, index), f"{name} stands here twice; remove one")
    return tuple(name for name in names if isinstance(name, str))


def read_value(problems: Problems, pointer: str, value: object) -> str:
    if type(value) is int:
        return str(value)
    if value is None:
        problems.add(pointer, 'has no value; write "" for an empty text')
    elif isinstance(value, bool | float):
        problems.add(pointer, f"must be a text; write {described(value)} in quotes")
    elif not isinstance(value, str):
        problems.add(pointer, f"must be a text, not {described(value)}")
    elif len(value) > MAX_VALUE_CHARACTERS:
        problems.add(pointer, f"must be at most {MAX_VALUE_CHARACTERS} characters long, not {len(value)}")
    else:
        return value
    return ""


def read_kind(section: Section, known: Mapping[str, SettingsCheck], *, what: str) -> str:
    kind = section.values.get("kind")
    if kind is None:
        section.problems.add(section.pointer, f"`kind` is missing{suggest('', known)}")
    elif not isinstance(kind, str):
        section.problems.add(section.at("kind"), f"must be the name of a {what}, not {described(kind)}")
    elif kind not in known:
        hint = suggest(kind, known)
        section.problems.add(section.at("kind"), f"there is no {what} {described(kind)}{hint}")
    else:
        return kind
    return ""


def check_settings(
    problems: Problems, pointer: str, settings: Mapping[str, Any], check: SettingsCheck
) -> None:
    try:
        check(settings)
    except SettingsRefusedError as error:
        problems.add(f"{pointer}/{error.field}" if error.field else pointer, error.message)
