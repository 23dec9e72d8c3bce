"""What a proxy is: it shares the traffic out among servers by their weights, which can be read and set while it runs."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from orchestrator.domain.errors import SettingsRefusedError

GREATEST_WEIGHT = 256
OF_THE_ENGINE = ("server", "weight", "before", "beside", "drain", "within", "interval", "forced")


class ProxyError(Exception):
    """The proxy did not answer, or not as one that can do what is asked; the text says to a person why."""


@dataclass(frozen=True, slots=True)
class Server:
    """One of those among which a proxy shares its traffic out, as the proxy itself sees it now."""

    weight: int
    usable: bool = True
    """Whether it would get anything at all: neither down nor taken out by somebody else."""
    requests: int = 0
    """How many the proxy has under way there."""
    state: str = ""
    """What the proxy calls it."""

    @property
    def takes(self) -> bool:
        """Whether it gets new requests."""
        return self.usable and self.weight > 0


class Proxy(Protocol):
    """One proxy, made from its settings. May be called from any thread."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Check `settings` (raises SettingsRefusedError) and make it; does no I/O."""
        ...

    def servers(self, timeout_seconds: float) -> Mapping[str, Server]:
        """Say what the proxy does now, by the names of its servers. Raises ProxyError."""
        ...

    def set_weight(
        self, server: str, weight: int, *, timeout_seconds: float, before_writing: Callable[[], None]
    ) -> None:
        """Have a server weigh so much; a second call changes nothing, and no other server's weight is touched.

        `before_writing` is called when all that is left is to send the change, and raises if the caller must not.
        Raises ProxyError.
        """
        ...


def at_any_time() -> None:
    """Have nothing against a change: for `before_writing`."""


def refuse_unknown(settings: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise SettingsRefusedError for the first setting that is neither one of `known` nor the engine's own."""
    for name in settings:
        if name not in (*known, *OF_THE_ENGINE):
            nearest = difflib.get_close_matches(str(name), known, 1, 0)[0]
            raise SettingsRefusedError(str(name), f"there is no such setting; did you mean {nearest!r}?")


def required_text(settings: Mapping[str, Any], name: str, *, example: str) -> str:
    """A text that must be there and fits on a line. Raises SettingsRefusedError."""
    value = settings.get(name)
    if not isinstance(value, str) or not value or any(each.isspace() for each in value):
        raise SettingsRefusedError(name, f"must be a text without spaces, such as {example}, not {value!r}")
    return value
