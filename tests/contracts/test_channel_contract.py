"""What every kind of webhook promises, each against a real server on loopback."""

from collections.abc import Iterator
from importlib.metadata import entry_points

import pytest

from orchestrator.domain.networks import read_networks
from orchestrator.notifications.base import Outside
from orchestrator.notifications.webhook import WebhookChannel
from orchestrator.testing.channels import ChannelContract, Receiver
from tests.unit.cli_server import ScriptedServer, scripted_server

LOOPBACK = read_networks("127.0.0.0/8")
AWAY = "http://127.0.0.1:9"
"""The discard port, on which nothing listens."""


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as found:
        yield found


class TestWebhook(ChannelContract):
    channel = WebhookChannel

    @pytest.fixture
    def receiver(self, server: ScriptedServer) -> Receiver:
        server.on("POST", "/told", (204, ""))
        return Receiver(
            settings={"url": f"{server.url}/told"},
            away={"url": f"{AWAY}/told"},
            taken=lambda: len(server.requests),
            secrets={"signing": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]},
            outside=Outside(allowed_networks=LOOPBACK),
        )


def test_every_kind_that_is_installed_is_tested() -> None:
    installed = {entry.load() for entry in entry_points(group="orchestrator.notifications")}
    tested = {kind.channel for kind in ChannelContract.__subclasses__()}
    assert installed == tested
