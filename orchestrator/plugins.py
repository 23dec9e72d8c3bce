"""The registry of plugins: built-ins and third parties come through the same door, the entry points."""

import difflib
import functools
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from orchestrator.checks.base import Check
from orchestrator.domain.errors import MisconfiguredError, NotFoundError
from orchestrator.notifications.base import Channel
from orchestrator.targets.base import Target
from orchestrator.traffic.base import Proxy


class UnknownPluginError(NotFoundError):
    """There is no such plugin."""

    code = "unknown_plugin"


class PluginConflictError(MisconfiguredError):
    """Two distributions bring a plugin of the same name."""

    code = "plugin_conflict"


class PluginUnusableError(MisconfiguredError):
    """A plugin cannot be loaded."""

    code = "plugin_unusable"


class Registry(Mapping[str, type[Any]]):
    """The plugins of one entry point group by name; each is loaded when it is first asked for."""

    def __init__(self, group: str, noun: str) -> None:
        """Find the names in `group`. Raises PluginConflictError."""
        self._noun = noun
        self._loaded: dict[str, type[Any]] = {}
        self._entries: dict[str, EntryPoint] = {}
        for entry in entry_points(group=group):
            if other := self._entries.get(entry.name):
                owners = f"{_distribution(other)} and {_distribution(entry)}"
                raise PluginConflictError(f"{owners} both bring the {noun} {entry.name!r}: remove one")
            self._entries[entry.name] = entry

    def __getitem__(self, name: str) -> type[Any]:
        """Return the plugin. Raises KeyError as a mapping does, and PluginUnusableError."""
        if name not in self._loaded:
            entry = self._entries[name]
            try:
                self._loaded[name] = entry.load()
            except (ImportError, AttributeError) as error:
                raise PluginUnusableError(
                    f"the {self._noun} {name!r} of {_distribution(entry)} cannot be loaded: {error}"
                ) from error
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names in alphabetical order, loading nothing."""
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._entries)

    def named(self, name: str) -> type[Any]:
        """Return the plugin. Raises UnknownPluginError, which lists the known ones, and PluginUnusableError."""
        if name not in self._entries:
            near = difflib.get_close_matches(name, self, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UnknownPluginError(
                f"there is no {self._noun} {name!r}{hint} (known: {', '.join(self) or 'none'})"
            )
        return self[name]


@functools.cache
def _registry(group: str, noun: str) -> Registry:
    return Registry(group, noun)


def target_kinds() -> Mapping[str, type[Target]]:
    """Return every kind of target by name."""
    return cast("Mapping[str, type[Target]]", _registry("orchestrator.targets", "kind of target"))


def target_kind(name: str) -> type[Target]:
    """Return a kind of target. Raises UnknownPluginError."""
    return cast("type[Target]", _registry("orchestrator.targets", "kind of target").named(name))


def strategies() -> Mapping[str, type[Any]]:
    """Return every strategy by name."""
    return _registry("orchestrator.strategies", "strategy")


def strategy(name: str) -> type[Any]:
    """Return a strategy. Raises UnknownPluginError."""
    return _registry("orchestrator.strategies", "strategy").named(name)


def check_kinds() -> Mapping[str, type[Check]]:
    """Return every kind of check by name."""
    return cast("Mapping[str, type[Check]]", _registry("orchestrator.checks", "kind of check"))


def check_kind(name: str) -> type[Check]:
    """Return a kind of check. Raises UnknownPluginError."""
    return cast("type[Check]", _registry("orchestrator.checks", "kind of check").named(name))


def proxy_kinds() -> Mapping[str, type[Proxy]]:
    """Return every kind of proxy by name."""
    return cast("Mapping[str, type[Proxy]]", _registry("orchestrator.traffic", "kind of proxy"))


def proxy_kind(name: str) -> type[Proxy]:
    """Return a kind of proxy. Raises UnknownPluginError."""
    return cast("type[Proxy]", _registry("orchestrator.traffic", "kind of proxy").named(name))


def channel_kind(name: str) -> type[Channel]:
    """Return a kind of channel. Raises UnknownPluginError."""
    return cast("type[Channel]", _registry("orchestrator.notifications", "kind of webhook").named(name))


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "an unknown distribution"
