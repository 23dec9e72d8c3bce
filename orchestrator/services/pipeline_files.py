"""Reading the file in which a person wrote a pipeline: every mistake comes with its line."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from orchestrator.domain.errors import InvalidInputError
from orchestrator.domain.pipeline import (
    KnownPlugins,
    Pipeline,
    SettingsCheck,
    SettingsRefusedError,
    parse_pipeline,
)
from orchestrator.services.yaml_reading import read_yaml
from orchestrator.strategies.base import Strategy
from orchestrator.targets.base import InvalidSettingsError, Target


class Check(Protocol):
    """As much of a check as is needed to try its settings."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> object:
        """Raise InvalidSettingsError when they are not usable; variables in them are not expanded yet."""
        ...


def read_pipeline(text: str, *, plugins: KnownPlugins) -> Pipeline:
    """Read a pipeline from YAML. Raises InvalidInputError with every problem, in the order of their lines."""
    source = read_yaml(text)
    try:
        return parse_pipeline(source.document, plugins=plugins)
    except InvalidInputError as error:
        problems = [replace(each, line=source.line_of(each.pointer)) for each in error.problems]
        problems.sort(key=lambda each: each.line or 0)
        raise InvalidInputError(error.message, problems=problems) from None


def known_plugins(
    *,
    targets: Mapping[str, type[Target]],
    strategies: Mapping[str, type[Strategy]],
    checks: Mapping[str, type[Check]],
) -> KnownPlugins:
    """Let the classes of the installed plugins check the settings that are meant for them."""
    return KnownPlugins(
        targets={kind: _target_check(each) for kind, each in targets.items()},
        strategies={kind: _strategy_check(each) for kind, each in strategies.items()},
        checks={kind: _check_check(each) for kind, each in checks.items()},
    )


def _target_check(plugin: type[Target]) -> SettingsCheck:
    def check(settings: Mapping[str, Any]) -> None:
        try:
            plugin.from_settings(settings, runs_dir="")
        except InvalidSettingsError as error:
            raise SettingsRefusedError(error.field, error.message) from error

    return check


def _check_check(plugin: type[Check]) -> SettingsCheck:
    def check(settings: Mapping[str, Any]) -> None:
        try:
            plugin.from_settings(settings)
        except InvalidSettingsError as error:
            raise SettingsRefusedError(error.field, error.message) from error

    return check


def _strategy_check(plugin: type[Strategy]) -> SettingsCheck:
    def check(settings: Mapping[str, Any]) -> None:
        plugin.from_settings(settings)

    return check
