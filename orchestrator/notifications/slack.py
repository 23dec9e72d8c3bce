"""The channel `slack`: one line to an incoming webhook of Slack, or of what speaks like it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import orjson

from orchestrator import posting
from orchestrator.domain.networks import Network
from orchestrator.notifications.base import Message, Outside, Receipt, Verdict
from orchestrator.notifications.receipts import receipt
from orchestrator.notifications.settings import only

MOST_CHARACTERS = 3000


@dataclass(frozen=True, slots=True)
class SlackChannel:
    """POSTs `{"text": ...}`; the URL is the secret."""

    SECRETS: ClassVar[frozenset[str]] = frozenset({"url"})
    AT_ONCE: ClassVar[int] = 1
    """Slack takes about one message a second of each, in the order in which people are to read them."""

    url: str = field(repr=False)
    allowed: tuple[Network, ...] = ()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], secrets: Mapping[str, Any], outside: Outside) -> Self:
        """Take `url`."""
        only(settings, ())
        url = posting.check_url(secrets.get("url"), field="url", allowed=outside.allowed_networks)
        return cls(url, outside.allowed_networks)

    def send(self, message: Message) -> Receipt:
        """Say it once."""
        body = orjson.dumps({"text": _escaped(message.text)[:MOST_CHARACTERS]})
        headers = {"Content-Type": "application/json"}
        try:
            return receipt(posting.call("POST", self.url, headers=headers, body=body, allowed=self.allowed))
        except posting.CallFailedError as error:
            return Receipt(Verdict.FAILED, str(error))


def _escaped(text: str) -> str:
    """As Slack asks for text that is only text: what others wrote then mentions nobody and links nowhere."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
