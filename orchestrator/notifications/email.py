"""The channel `email`: a mail in plain text, through the mail server of this installation."""

import re
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, ClassVar, Self
from urllib.parse import SplitResult, unquote, urlsplit

import orjson

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.domain.printing import printable
from orchestrator.notifications.base import Message, Outside, Receipt, Verdict
from orchestrator.notifications.settings import only

TIMEOUT_SECONDS = 10.0
MOST_RECIPIENTS = 20
MOST_SUBJECT_CHARACTERS = 200
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}")


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """One mail to all of `to`; the mail server is trusted, for it is a setting of the installation."""

    SECRETS: ClassVar[frozenset[str]] = frozenset()
    AT_ONCE: ClassVar[int] = 2

    to: tuple[str, ...]
    sender: str
    server: str = field(repr=False)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], secrets: Mapping[str, Any], outside: Outside) -> Self:
        """Take `to`: an address, or several between commas or in a list."""
        del secrets
        only(settings, ("to",))
        if not outside.smtp_url:
            raise SettingsRefusedError("", "no mail can be sent here: SMTP_URL is not set")
        given = settings.get("to")
        found = given.split(",") if isinstance(given, str) else given
        if not isinstance(found, list) or not 1 <= len(found) <= MOST_RECIPIENTS:
            raise SettingsRefusedError("to", f"must be 1 to {MOST_RECIPIENTS} addresses")
        to = tuple(str(each).strip() for each in found)
        for address in to:
            if not _ADDRESS.fullmatch(address):
                raise SettingsRefusedError(
                    "to", f"{address[:100]!r} is not an address such as ops@example.com"
                )
        return cls(to, outside.smtp_from, outside.smtp_url)

    def send(self, message: Message) -> Receipt:
        """Hand it in once, to all or to none."""
        try:
            with _connected(urlsplit(self.server)) as server:
                refused = server.send_message(self._written(message), self.sender, list(self.to))
        except (smtplib.SMTPException, OSError) as error:
            return Receipt(Verdict.FAILED, f"the mail server did not take it: {_reason(error)}")
        if refused:
            return Receipt(Verdict.DELIVERED, f"taken, but not for {', '.join(sorted(refused))}")
        return Receipt(Verdict.DELIVERED, f"taken for {len(self.to)} addresses")

    def _written(self, message: Message) -> EmailMessage:
        line = " ".join(message.text.split())
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.to)
        mail["Subject"] = printable(line)[:MOST_SUBJECT_CHARACTERS]
        mail["Date"] = format_datetime(message.at)
        mail["Message-ID"] = f"<{message.id}@devops-release-manager>"
        mail["Auto-Submitted"] = "auto-generated"
        document = orjson.dumps(message.document(), option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode()
        mail.set_content(f"{message.text}\n\n{document}\n")
        return mail


def _connected(server: SplitResult) -> smtplib.SMTP:
    """A session, encrypted where the URL or the server says so, and always where a password goes over it."""
    host, context = server.hostname or "", ssl.create_default_context()
    if server.scheme == "smtps":
        session: smtplib.SMTP = smtplib.SMTP_SSL(
            host, server.port or 465, timeout=TIMEOUT_SECONDS, context=context
        )
    else:
        session = smtplib.SMTP(host, server.port or 25, timeout=TIMEOUT_SECONDS)
    try:
        session.ehlo()
        if server.scheme == "smtp" and (server.username or session.has_extn("starttls")):
            session.starttls(context=context)
            session.ehlo()
        if server.username:
            session.login(unquote(server.username), unquote(server.password or ""))
    except (smtplib.SMTPException, OSError):
        session.close()
        raise
    return session


def _reason(error: Exception) -> str:
    """In few words: some of these errors quote what was sent."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"it answered {error.smtp_code}"
    return error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
