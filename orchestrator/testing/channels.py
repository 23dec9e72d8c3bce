# ruff: noqa: S101  # these are tests
"""Contract tests for kinds of webhooks: subclass, say the class, give the fixture `receiver`, and pytest runs them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.notifications.base import Channel, Message, Outside, Verdict


@dataclass(frozen=True, slots=True)
class Receiver:
    """Somebody whom a channel tells: its settings, what it got, and settings of one that is away."""

    settings: Mapping[str, Any]
    away: Mapping[str, Any]
    taken: Callable[[], int]
    """How many messages it took."""
    secrets: Mapping[str, Any] = field(default_factory=dict)
    outside: Outside = field(default_factory=Outside)
    outside_away: Outside | None = None


class ChannelContract:
    """What every kind of webhook must keep."""

    channel: type[Channel]

    @pytest.fixture
    def receiver(self) -> Receiver:
        """Return a real receiver."""
        raise NotImplementedError("the test class must give the fixture `receiver`")

    def message(self) -> Message:
        """Return something that happened."""
        at = datetime(2026, 11, 28, 13, 0, tzinfo=UTC)
        data = {
            "event_id": 4711,
            "subject": "deployment:42",
            "actor": None,
            "application": "shop",
            "version": "1.2.0",
            "environment": "production",
            "deployment_id": 42,
            "data": {"from": "running", "to": "failed", "why": "web-a: exit code 1 <&>\n@channel"},
        }
        return Message("evt_4711", "deployment.failed", at, data, "shop 1.2.0 to production: failed\nX: <&>")

    def test_a_message_is_taken(self, receiver: Receiver) -> None:
        """It is sent once."""
        made = self.channel.from_settings(receiver.settings, receiver.secrets, receiver.outside)
        receipt = made.send(self.message())
        assert (receipt.verdict, receiver.taken()) == (Verdict.DELIVERED, 1), receipt.detail

    def test_one_who_is_away_is_tried_again(self, receiver: Receiver) -> None:
        """What went wrong is said and not raised, and names no secret."""
        outside = receiver.outside_away or receiver.outside
        made = self.channel.from_settings(receiver.away, receiver.secrets, outside)
        receipt = made.send(self.message())
        assert (receipt.verdict, receipt.code, bool(receipt.detail)) == (Verdict.FAILED, None, True)
        for secret in receiver.secrets.values():
            assert str(secret) not in receipt.detail

    def test_unknown_settings_are_refused(self, receiver: Receiver) -> None:
        """A setting that is misspelt must not be passed over."""
        with pytest.raises(SettingsRefusedError):
            self.channel.from_settings(
                {**receiver.settings, "surprise": "x"}, receiver.secrets, receiver.outside
            )

    def test_no_secret_is_shown(self, receiver: Receiver) -> None:
        """Secrets are declared, and are in no text of the channel."""
        assert set(receiver.secrets) <= self.channel.SECRETS
        assert not set(receiver.settings) & self.channel.SECRETS
        shown = repr(self.channel.from_settings(receiver.settings, receiver.secrets, receiver.outside))
        for secret in receiver.secrets.values():
            assert str(secret) not in shown

    def test_it_says_how_many_at_once(self) -> None:
        """At least one."""
        assert self.channel.AT_ONCE >= 1
