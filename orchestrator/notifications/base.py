"""What a channel is: a way to tell somebody what happened."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol, Self

from orchestrator.domain.networks import Network

MOST_DETAIL_CHARACTERS = 500
MOST_SECRET_CHARACTERS = 2048


@dataclass(frozen=True, slots=True)
class Message:
    """Something that happened. `id` stays the same in each try, so that a receiver can know what it has seen."""

    id: str
    kind: str
    """Of event: `deployment.succeeded`."""
    at: datetime
    data: Mapping[str, Any]
    text: str
    """One line for people."""

    def document(self) -> dict[str, Any]:
        """As it is sent to programs."""
        return {"type": self.kind, "timestamp": self.at, "data": dict(self.data)}


class Verdict(StrEnum):
    """What a try came to."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """Try again later."""
    GONE = "gone"
    """The receiver wants nothing more, ever."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of a try. `code` is the status of the answer, if there was one; `detail` says to a person what was seen."""

    verdict: Verdict
    detail: str
    code: int | None = None
    retry_after_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What this installation lets channels use."""

    allowed_networks: tuple[Network, ...] = ()
    """Private networks that may be called."""
    smtp_url: str = field(default="", repr=False)
    smtp_from: str = ""


class Channel(Protocol):
    """One channel, made from its settings. May be called from any thread."""

    SECRETS: ClassVar[frozenset[str]]
    """Which of its settings are secret: they are kept sealed and shown to nobody."""
    AT_ONCE: ClassVar[int]
    """How many messages it may be sent at the same time; 1 where their order matters."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], secrets: Mapping[str, Any], outside: Outside) -> Self:
        """Check them (raises SettingsRefusedError) and make the channel; does no I/O."""
        ...

    def send(self, message: Message) -> Receipt:
        """Tell it, in bounded time. Never raises because of the receiver: what went wrong is the receipt's detail."""
        ...
