"""The channel `github`: deployments and their statuses in a repository of GitHub (REST API 2022-11-28)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self
from urllib.parse import urlencode

import orjson

from orchestrator import posting
from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.domain.networks import Network
from orchestrator.domain.telling import TEST
from orchestrator.notifications.base import Message, Outside, Receipt, Verdict
from orchestrator.notifications.receipts import receipt
from orchestrator.notifications.settings import only, text

API = "https://api.github.com"
STATES = {
    "deployment.requested": "queued",
    "deployment.running": "in_progress",
    "deployment.paused": "in_progress",
    "deployment.succeeded": "success",
    "deployment.failed": "failure",
    "deployment.cancelled": "error",
    "deployment.superseded": "inactive",
    "deployment.expired": "inactive",
}
FINAL = {"success", "failure", "error", "inactive"}
MOST_DESCRIPTION_CHARACTERS = 140
TIMEOUT_SECONDS = 10.0
"""Of each of the at most four requests of a try."""
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}/[A-Za-z0-9_.-]{0,98}[A-Za-z0-9_-]")


class _RefusedError(Exception):
    """GitHub did not do what it was asked; `receipt` says what it answered."""

    def __init__(self, receipt: Receipt) -> None:
        super().__init__(receipt.detail)
        self.receipt = receipt


@dataclass(frozen=True, slots=True)
class GithubChannel:
    """Finds the deployment that stands for ours by its `task`, makes it if there is none, and adds a status."""

    SECRETS: ClassVar[frozenset[str]] = frozenset({"token"})
    AT_ONCE: ClassVar[int] = 1
    """The last status is the one that counts."""

    repository: str
    token: str = field(repr=False)
    tag_prefix: str = ""
    api_url: str = API
    allowed: tuple[Network, ...] = ()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], secrets: Mapping[str, Any], outside: Outside) -> Self:
        """Take `repository`, `token`; `tag_prefix` (default `v`) and `api_url` of an Enterprise Server."""
        only(settings, ("repository", "tag_prefix", "api_url"))
        repository = text(settings, "repository")
        if not _REPOSITORY.fullmatch(repository):
            raise SettingsRefusedError("repository", "must be written owner/name")
        token = text(secrets, "token")
        if not token.isascii() or " " in token:
            raise SettingsRefusedError("token", "must be a token of GitHub")
        allowed = outside.allowed_networks
        api_url = posting.check_url(settings.get("api_url", API), field="api_url", allowed=allowed)
        prefix = (
            "" if settings.get("tag_prefix") == "" else text(settings, "tag_prefix", default="v", longest=50)
        )
        return cls(repository, token, prefix, api_url.rstrip("/"), allowed)

    def send(self, message: Message) -> Receipt:
        """Bring the status there up to this event; one that comes after the end changes nothing."""
        try:
            if message.kind == TEST:
                return receipt(self._ask("GET", ""))
            state = STATES.get(message.kind)
            if state is None:
                return Receipt(Verdict.DELIVERED, f"of {message.kind} nothing is reported to GitHub")
            return self._report(message, state)
        except posting.CallFailedError as error:
            return Receipt(Verdict.FAILED, str(error))
        except _RefusedError as error:
            return error.receipt

    def _report(self, message: Message, state: str) -> Receipt:
        deployment = self._find(message.data) or self._make(message.data)
        path = f"/deployments/{deployment}/statuses"
        known = self._read("GET", f"{path}?per_page=10")
        if state not in FINAL and any(each.get("state") in FINAL for each in known):
            return Receipt(Verdict.DELIVERED, "its end is there already")
        status = {
            "state": state,
            "environment": message.data["environment"],
            "description": " ".join(message.text.split())[:MOST_DESCRIPTION_CHARACTERS],
        }
        return receipt(self._ask("POST", path, status))

    def _find(self, data: Mapping[str, Any]) -> int | None:
        query = urlencode({"task": _task(data), "environment": data["environment"], "per_page": 1})
        found = self._read("GET", f"/deployments?{query}")
        return int(found[0]["id"]) if found else None

    def _make(self, data: Mapping[str, Any]) -> int:
        """Without conditions of GitHub's own: what is reported is so already."""
        wanted = {
            "ref": f"{self.tag_prefix}{data['version']}",
            "task": _task(data),
            "environment": data["environment"],
            "description": f"{data['application']} {data['version']}",
            "payload": {"deployment_id": data["deployment_id"]},
            "auto_merge": False,
            "required_contexts": [],
        }
        (made,) = self._read("POST", "/deployments", wanted)
        return int(made["id"])

    def _read(self, method: str, path: str, body: Any = None) -> list[dict[str, Any]]:
        """What it answered, as a list of objects. Raises _RefusedError."""
        answer = self._ask(method, path, body)
        try:
            found = orjson.loads(answer.body)
        except ValueError:
            found = None
        listed = found if isinstance(found, list) else [found]
        if not 200 <= answer.status < 300 or not all(
            isinstance(each, dict) and "id" in each for each in listed
        ):
            seen = receipt(answer)
            failed = Verdict.FAILED if seen.verdict is Verdict.DELIVERED else seen.verdict
            raise _RefusedError(Receipt(failed, seen.detail, answer.status, answer.retry_after_seconds))
        return listed

    def _ask(self, method: str, path: str, body: Any = None) -> posting.Answer:
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "Content-Type": "application/json",
        }
        return posting.call(
            method,
            f"{self.api_url}/repos/{self.repository}{path}",
            headers=headers,
            body=None if body is None else orjson.dumps(body),
            allowed=self.allowed,
            timeout_seconds=TIMEOUT_SECONDS,
        )


def _task(data: Mapping[str, Any]) -> str:
    return f"deploy:{data['application']}:{data['deployment_id']}"
