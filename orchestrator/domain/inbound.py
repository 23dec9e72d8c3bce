"""What others tell us: whether to believe it, how to know it again, and whether it announces a release."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from orchestrator.domain import standard_webhooks

HEADERS = (
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "x-hub-signature-256",
    "x-github-event",
    "x-gitlab-token",
    "x-gitlab-event",
)
"""All that is read of a request beside its body."""
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}")
MOST_CHANGES_CHARACTERS = 65_536
MOST_ARTIFACT_CHARACTERS = 2048


class Sender(StrEnum):
    """Who may tell us."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GENERIC = "generic"


@dataclass(frozen=True, slots=True)
class Announced:
    """A release that was published; `tag` as its author wrote it."""

    tag: str
    artifact: str
    changes: str
    committed_at: datetime | None = None
    """When its change was committed, where the message says so."""

    def version(self, prefix: str) -> str | None:
        """The version that the tag names; None where it is none."""
        found = self.tag.removeprefix(prefix)
        return found if VERSION.fullmatch(found) else None


def mistrust(sender: Sender, secret: str, headers: Mapping[str, str], body: bytes, *, now: int) -> str | None:
    """Why a message is not to be believed; None where it is signed with the secret."""
    if sender is Sender.GITHUB:
        digest = hmac.digest(secret.encode(), body, hashlib.sha256).hex()
        fits = _same(headers.get("x-hub-signature-256", ""), f"sha256={digest}")
        return None if fits else "X-Hub-Signature-256 does not fit"
    if sender is Sender.GITLAB and "webhook-signature" not in headers:
        fits = _same(headers.get("x-gitlab-token", ""), secret)
        return None if fits else "X-Gitlab-Token does not fit"
    return standard_webhooks.verify([standard_webhooks.read_secret(secret)], headers, body, now=now)


def message_key(sender: Sender, headers: Mapping[str, str], body: bytes) -> str:
    """What a message is known by when it comes again: its signed id, or the digest of what was signed.

    The ids of GitHub, and of GitLab without signatures, are not signed: who replays a message could write another one.
    """
    if sender is not Sender.GITHUB and "webhook-signature" in headers:
        return "id:" + hashlib.sha256(headers["webhook-id"].encode()).hexdigest()
    return "body:" + hashlib.sha256(body).hexdigest()


def announced(sender: Sender, headers: Mapping[str, str], document: Any) -> Announced | None:
    """The release that a message announces; None where it is about something else."""
    if not isinstance(document, dict):
        return None
    if sender is Sender.GITHUB:
        is_one = headers.get("x-github-event") == "release" and document.get("action") == "published"
        found, names = document.get("release"), ("tag_name", "html_url", "body")
        # What GitHub calls so is the date of the commit, not that of the release.
        committed = found.get("created_at") if isinstance(found, dict) else None
    elif sender is Sender.GITLAB:
        is_one = document.get("object_kind") == "release" and document.get("action") == "create"
        found, names = document, ("tag", "url", "description")
        commit = document.get("commit")
        committed = commit.get("timestamp") if isinstance(commit, dict) else None
    else:
        is_one = document.get("type") == "release.published"
        found, names = document.get("data"), ("version", "artifact", "changes")
        committed = found.get("committed_at") if isinstance(found, dict) else None
    return _read(found, *names, committed) if is_one else None


def _read(found: Any, tag: str, artifact: str, changes: str, committed: Any) -> Announced | None:
    if not isinstance(found, dict) or not isinstance(found.get(tag), str):
        return None
    return Announced(
        found[tag],
        _text(found.get(artifact))[:MOST_ARTIFACT_CHARACTERS],
        _text(found.get(changes))[:MOST_CHANGES_CHARACTERS],
        _instant(committed),
    )


def _instant(value: Any) -> datetime | None:
    """None for what is no instant: a release is not refused because of it."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def _text(value: Any) -> str:
    """What Postgres can hold of it."""
    return value.replace("\0", "") if isinstance(value, str) else ""


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())
