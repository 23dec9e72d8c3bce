"""What every kind of webhook promises, each against a real server on loopback."""

from collections.abc import Iterator
from importlib.metadata import entry_points

import pytest

from orchestrator.domain.networks import read_networks
from orchestrator.notifications.base import Outside, Verdict
from orchestrator.notifications.email import EmailChannel
from orchestrator.notifications.github import GithubChannel
from orchestrator.notifications.slack import SlackChannel
from orchestrator.notifications.webhook import WebhookChannel
from orchestrator.testing.channels import ChannelContract, Receiver
from tests.github_server import REPOSITORY, TOKEN, github_server
from tests.mail_server import mail_server
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


class TestSlack(ChannelContract):
    channel = SlackChannel

    @pytest.fixture
    def receiver(self, server: ScriptedServer) -> Receiver:
        server.on("POST", "/services/T0/B0/secret", (200, b"ok"))
        return Receiver(
            settings={},
            away={},
            taken=lambda: len(server.requests),
            secrets={"url": f"{server.url}/services/T0/B0/secret"},
            outside=Outside(allowed_networks=LOOPBACK),
            outside_away=Outside(),
        )

    def test_one_who_is_away_is_tried_again(self, receiver: Receiver) -> None:
        away = {"url": f"{AWAY}/services/T0/B0/secret"}
        receipt = self.channel.from_settings({}, away, receiver.outside).send(self.message())
        assert receipt.verdict is Verdict.FAILED
        assert "secret" not in receipt.detail


class TestEmail(ChannelContract):
    channel = EmailChannel

    @pytest.fixture
    def receiver(self) -> Iterator[Receiver]:
        with mail_server() as box:
            yield Receiver(
                settings={"to": "ops@example.com"},
                away={"to": "ops@example.com"},
                taken=lambda: len(box.mails),
                outside=Outside(smtp_url=box.url, smtp_from="releases@example.com"),
                outside_away=Outside(smtp_url="smtp://127.0.0.1:9", smtp_from="releases@example.com"),
            )


class TestGithub(ChannelContract):
    channel = GithubChannel

    @pytest.fixture
    def receiver(self) -> Iterator[Receiver]:
        with github_server() as github:
            yield Receiver(
                settings={"repository": REPOSITORY, "api_url": github.server.url},
                away={"repository": REPOSITORY, "api_url": AWAY},
                taken=lambda: sum(len(each) for each in github.statuses.values()),
                secrets={"token": TOKEN},
                outside=Outside(allowed_networks=LOOPBACK),
            )


def test_every_kind_that_is_installed_is_tested() -> None:
    installed = {entry.load() for entry in entry_points(group="orchestrator.notifications")}
    tested = {kind.channel for kind in ChannelContract.__subclasses__()}
    assert installed == tested
