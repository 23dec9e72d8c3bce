"""Kombu's Redis transport for senders: one client a channel instead of a new one for each message."""

from typing import Any

from kombu.transport import redis


class Channel(redis.Channel):
    """Making a client costs as much as sending a message does."""

    _sender: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous)  # type: ignore[no-untyped-call]
        if self._sender is None:
            self._sender = super()._create_client()  # type: ignore[no-untyped-call]
        return self._sender


class Transport(redis.Transport):
    """The same with such channels."""

    Channel = Channel
