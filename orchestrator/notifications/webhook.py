"""The channel `webhook`: a signed POST, as Standard Webhooks says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import orjson

from orchestrator import clock, posting
from orchestrator.domain import standard_webhooks
from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.domain.networks import Network
from orchestrator.notifications.base import Message, Outside, Receipt, Verdict
from orchestrator.notifications.receipts import receipt
from orchestrator.notifications.settings import only


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """POSTs JSON to `url`, signed with each of the secrets in `signing`, of which the first is the newest."""

    SECRETS: ClassVar[frozenset[str]] = frozenset({"signing"})
    AT_ONCE: ClassVar[int] = 10

    url: str
    keys: tuple[bytes, ...] = field(repr=False)
    allowed: tuple[Network, ...] = ()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], secrets: Mapping[str, Any], outside: Outside) -> Self:
        """Take `url`; `signing` are one or two secrets."""
        only(settings, ("url",))
        try:
            keys = tuple(standard_webhooks.read_secret(each) for each in secrets.get("signing", ()))
        except ValueError as error:
            raise SettingsRefusedError("signing", str(error)) from error
        if not keys:
            raise SettingsRefusedError("signing", "must hold at least one secret")
        url = posting.check_url(settings.get("url"), field="url", allowed=outside.allowed_networks)
        return cls(url, keys, outside.allowed_networks)

    def send(self, message: Message) -> Receipt:
        """POST it once."""
        body = orjson.dumps(message.document(), option=orjson.OPT_UTC_Z)
        signed = standard_webhooks.headers(
            self.keys, message_id=message.id, timestamp=int(clock.now().timestamp()), body=body
        )
        headers = {"Content-Type": "application/json", **signed}
        try:
            return receipt(posting.call("POST", self.url, headers=headers, body=body, allowed=self.allowed))
        except posting.CallFailedError as error:
            return Receipt(Verdict.FAILED, str(error))
