"""Telling people: Slack's own rules for text, and mail that a real mail server takes."""

from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes
from email.policy import default

import pytest

from orchestrator.domain.errors import InvalidInputError
from orchestrator.services import deployments, locks
from tests.integration.webhook_world import PATH, WebhookWorld, hooks
from tests.mail_server import Mailbox, mail_server

__all__ = ["hooks"]


@pytest.fixture
def mailbox(hooks: WebhookWorld) -> Iterator[Mailbox]:
    with mail_server() as box:
        hooks.settings = replace(hooks.settings, smtp_url=box.url, smtp_from="releases@example.com")
        hooks.ours = replace(hooks.ours, settings=hooks.settings)
        yield box


def test_mail_is_sent_once_to_all(hooks: WebhookWorld, mailbox: Mailbox) -> None:
    hooks.make(
        "lock.created", "release.created", kind="email", settings={"to": "ops@example.com, web@example.com"}
    )
    hooks.world.release("1.2.0")
    hooks.tell()
    ((to, content),) = mailbox.mails
    mail = message_from_bytes(content, policy=default)
    assert to == ["ops@example.com", "web@example.com"]
    assert mail["Subject"] == "release created by ada: shop 1.2.0"
    assert mail["From"] == "releases@example.com"
    assert mail["Message-ID"] == f"<evt_{hooks.row().event_id}@devops-release-manager>"
    assert '"version": "1.2.0"' in mail.get_content()
    assert hooks.row().status == "delivered"


def test_what_others_wrote_makes_no_header(hooks: WebhookWorld, mailbox: Mailbox) -> None:
    """The reason of a cancelled deployment is anybody's text."""
    hooks.make("deployment.cancel_requested", kind="email", settings={"to": "ops@example.com"})
    hooks.world.release("1.0")
    deployment = hooks.world.request("1.0")
    with hooks.world.database.transaction() as session:
        deployments.cancel(
            session, deployment, actor=hooks.world.actor, reason="x\r\nBcc: all@example.com\r\n\r\nbody"
        )
    hooks.tell()
    ((to, content),) = mailbox.mails
    mail = message_from_bytes(content, policy=default)
    assert (to, mail["Bcc"]) == (["ops@example.com"], None)


def test_a_mail_server_that_is_away_is_tried_again(hooks: WebhookWorld, mailbox: Mailbox) -> None:
    hooks.make("release.created", kind="email", settings={"to": "ops@example.com"})
    hooks.ours = replace(hooks.ours, settings=replace(hooks.settings, smtp_url="smtp://127.0.0.1:9"))
    hooks.world.release("1.0")
    hooks.tell()
    assert (hooks.row().status, mailbox.mails) == ("pending", [])
    assert hooks.world.column("SELECT detail FROM delivery_tries") == [
        "the mail server did not take it: Connection refused"
    ]


def test_no_password_goes_over_an_open_connection(hooks: WebhookWorld, mailbox: Mailbox) -> None:
    hooks.make("release.created", kind="email", settings={"to": "ops@example.com"})
    open_server = hooks.settings.smtp_url.replace("smtp://", "smtp://user:hidden@")
    hooks.ours = replace(hooks.ours, settings=replace(hooks.settings, smtp_url=open_server))
    hooks.world.release("1.0")
    hooks.tell()
    assert mailbox.mails == []
    (detail,) = hooks.world.column("SELECT detail FROM delivery_tries")
    assert "hidden" not in str(detail)


@pytest.mark.parametrize("to", ["", "nobody", "a@b\r\nBcc: c@d", ["a@example.com"] * 21, [], 7, "a@b,"])
def test_addresses_that_are_none_are_refused(hooks: WebhookWorld, mailbox: Mailbox, to: object) -> None:
    with pytest.raises(InvalidInputError):
        hooks.make("*", kind="email", settings={"to": to})


def test_without_a_mail_server_there_is_no_mail(hooks: WebhookWorld) -> None:
    with pytest.raises(InvalidInputError) as refused:
        hooks.make("*", kind="email", settings={"to": "ops@example.com"})
    assert "SMTP_URL" in refused.value.problems[0].detail


def test_slack_is_told_text_and_nothing_but_text(hooks: WebhookWorld) -> None:
    """Slack: `&`, `<` and `>` are the three characters to escape; `<!channel>` would call everybody."""
    hooks.make("lock.created", "release.created", kind="slack")
    hooks.answers((200, b"ok"))
    with hooks.world.database.transaction() as session:
        locks.create(
            session,
            application="shop",
            environment=None,
            reason="<!channel> & more",
            expires_at=None,
            warning_only=False,
            actor=hooks.world.actor,
        )
    hooks.world.release("1.0")
    hooks.tell()
    hooks.tell()
    texts = [sent.json()["text"] for sent in hooks.told.got("POST", PATH)]
    assert len(texts) == 2
    assert texts[1] == "release created by ada: shop 1.0"
    assert "<" not in texts[0]
    assert hooks.world.scalar("SELECT settings::text FROM webhooks") == "{}"


def test_slack_s_url_is_kept_sealed(hooks: WebhookWorld) -> None:
    hooks.make("*", kind="slack")
    for table in ("webhooks", "events"):
        assert PATH not in str(hooks.world.column(f"SELECT t::text FROM {table} t"))  # noqa: S608
