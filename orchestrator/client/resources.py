"""The API as methods."""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

from orchestrator.client.problems import Answer, ApiError, Problem, checked
from orchestrator.client.tokens import tokens_of
from orchestrator.client.transport import API, JSON_TYPE, Query, Transport

PAGE_MAX = 200

Record = dict[str, Any]
"""One thing as the API tells it; the keys are those of the contract."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, and where the next begins."""

    items: list[Record]
    next_cursor: str | None
    complete: bool = False


class Client(Transport):
    """The API as methods. Errors are ApiError (the server said no) or UnreachableError."""

    def call(self, method: str, path: str, *, query: Query | None = None, body: Any = None) -> Any:
        """Send JSON to a path under /api/v1 and give the JSON of the answer."""
        return self._call(method, path, query=query, body=body, repeatable=None)

    def create(self, path: str, body: Any) -> Record:
        """POST something that makes something: with a key, so that a repetition makes nothing twice."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return cast(Record, self._call("POST", path, body=body, headers=headers, repeatable=True))

    def page(self, path: str, **query: str | int | bool | None) -> Page:
        """One page of a list."""
        found = self.call("GET", path, query=query)
        return Page(found["items"], found.get("next_cursor"), complete=bool(found.get("complete")))

    def items(self, path: str, *, limit: int | None = None, **query: str | int | None) -> Iterator[Record]:
        """Everything in a list, or its first `limit`, page by page as it is consumed."""
        left, cursor = limit, None
        while left is None or left > 0:
            size = PAGE_MAX if left is None else min(left, PAGE_MAX)
            page = self.page(path, **{**query, "limit": size, "cursor": cursor})
            yield from page.items
            left = None if left is None else left - len(page.items)
            if not page.next_cursor or page.next_cursor == cursor or not page.items:
                return
            cursor = page.next_cursor

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
    ) -> Any:
        sent = dict(headers or {})
        data: bytes | None = None
        if body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = JSON_TYPE
        answer = self.request(method, API + path, query=query, body=data, headers=sent, repeatable=repeatable)
        return checked(answer)

    # Who

    def login(self, username: str, password: str) -> None:
        """Get tokens and keep them."""
        self._begin("/auth/login", {"username": username, "password": password})

    def login_by_provider(self, answer: Mapping[str, str]) -> None:
        """As `login`, with what came back from the OpenID Connect provider, and what it was asked with."""
        self._begin("/auth/oidc", answer)

    def _begin(self, path: str, body: Mapping[str, str]) -> None:
        anonymous = Client(self.base_url, patience=self.patience)
        fresh = tokens_of(anonymous.call("POST", path, body=dict(body)))
        with self.tokens.locked():
            self.tokens.save(fresh)

    def logout(self, *, everywhere: bool = False) -> None:
        """End the login at the server, or all of them; forget the tokens whatever it says."""
        try:
            self.call("POST", "/auth/logout", body={"everywhere": True} if everywhere else {})
        finally:
            with self.tokens.locked():
                self.tokens.save(None)

    def me(self) -> Record:
        """The user these tokens belong to."""
        return cast(Record, self.call("GET", "/auth/me"))

    # What

    def apply_pipeline(self, application: str, source: bytes, *, dry_run: bool = False) -> Record:
        """Store (or only check) a pipeline. Sending the same again changes nothing."""
        answer = self.request(
            "PUT",
            f"{API}/applications/{quoted(application)}/pipeline",
            query={"dry_run": True} if dry_run else None,
            body=source,
            headers={"Content-Type": "application/yaml"},
            repeatable=True,
        )
        return cast(Record, checked(answer))

    def import_freezes(self, environment: str, calendar: bytes, *, zone: str) -> Record:
        """A freeze for each event of an iCalendar file. What is there already is left alone, so it may be repeated."""
        answer = self.request(
            "POST",
            f"{API}/freezes/import",
            query={"environment": environment, "zone": zone},
            body=calendar,
            headers={"Content-Type": "text/calendar"},
            repeatable=True,
        )
        return cast(Record, checked(answer))

    def application(self, name: str) -> Record:
        """One application with its environments and targets."""
        return cast(Record, self.call("GET", f"/applications/{quoted(name)}"))

    def health(self) -> tuple[Record, Answer]:
        """What the server says of itself, also when that is 503; not repeated."""
        answer = self.request("GET", "/health", repeatable=False)
        if answer.status not in {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE}:
            checked(answer)
        found = answer.json()
        if not isinstance(found, dict):
            title = "This is no release manager: its /health tells nothing."
            raise ApiError(Problem(status=answer.status, code="not_health", title=title))
        return found, answer

    # Deployments

    def request_deployment(
        self, application: str, version: str | None = None, *, environment: str, **more: object
    ) -> Record:
        """Ask for a release to go to an environment; `more` as the API names it, None is left out."""
        body = {"application": application, "environment": environment}
        return self.create("/deployments/", {**body, **_given(version=version, **more)})

    def foresee_deployment(
        self, application: str, version: str, *, environment: str, **more: object
    ) -> Record:
        """What asking for it would do; nothing is made."""
        body = {"application": application, "version": version, "environment": environment, **_given(**more)}
        return cast(
            Record, self._call("POST", "/deployments/", query={"dry_run": True}, body=body, repeatable=True)
        )

    def deployment(self, deployment_id: int) -> Record:
        """One deployment as it is now."""
        return cast(Record, self.call("GET", f"/deployments/{deployment_id}"))

    def explain(self, deployment_id: int) -> Record:
        """Why it waits and until when, or why it ended as it did."""
        return cast(Record, self.call("GET", f"/deployments/{deployment_id}/explain"))

    def log_page(
        self, deployment_id: int, *, cursor: str | None = None, step: int | None = None, limit: int = PAGE_MAX
    ) -> Page:
        """The next part of the log; its cursor is always given, `complete` says no more will come."""
        path = f"/deployments/{deployment_id}/logs"
        return self.page(path, cursor=cursor, step=step, limit=limit)

    def last_lines(self, deployment_id: int, *, lines: int, step: int | None = None) -> Page:
        """The end of the log; the page's cursor leads on from there."""
        return self.page(f"/deployments/{deployment_id}/logs", step=step, tail=lines)

    def diagnosis(self) -> list[Record]:
        """What is unhealthy; for operators."""
        return cast(list[Record], self.call("GET", "/diagnosis")["findings"])

    def cancel(self, deployment_id: int, *, reason: str | None = None) -> Record:
        """Wish for the end of a deployment; wishing twice is wishing once."""
        path = f"/deployments/{deployment_id}/cancel"
        return cast(Record, self._call("POST", path, body=_given(reason=reason), repeatable=True))

    def claim(self, deployment_id: int) -> Record:
        """Take it on to answer what a deployment asks; twice is once."""
        return cast(
            Record, self._call("POST", f"/deployments/{deployment_id}/claim", body={}, repeatable=True)
        )

    def promote(self, deployment_id: int, *, reason: str | None = None) -> Record:
        """Say that it goes on behind the wave that is over."""
        path = f"/deployments/{deployment_id}/promote"
        return cast(Record, self.call("POST", path, body=_given(reason=reason)) or {})

    def approve(
        self, deployment_id: int, *, reason: str | None = None, plan_hash: str | None = None
    ) -> Record:
        """Say yes, perhaps to one plan only; twice is once."""
        body = _given(reason=reason, plan_hash=plan_hash)
        return cast(
            Record, self._call("POST", f"/deployments/{deployment_id}/approve", body=body, repeatable=True)
        )

    def reject(self, deployment_id: int, *, reason: str) -> Record:
        """Say no, which ends it."""
        return cast(
            Record, self.call("POST", f"/deployments/{deployment_id}/reject", body={"reason": reason})
        )

    def retry(self, deployment_id: int) -> Record:
        """A new deployment of the same."""
        return self.create(f"/deployments/{deployment_id}/retry", {})

    def replan(self, deployment_id: int) -> Record:
        """A new deployment in its place, after the pipeline as it is now."""
        return self.create(f"/deployments/{deployment_id}/replan", {})

    def rollback(self, deployment_id: int, *, reason: str | None = None) -> Record:
        """A new deployment of what was there before."""
        return self.create(f"/deployments/{deployment_id}/rollback", _given(reason=reason))

    def resume(self, deployment_id: int, *, answer: str, step_id: int | None = None) -> Record:
        """Say what happened to a step that the target cannot tell of."""
        body = {"answer": answer, **_given(step_id=step_id)}
        return cast(Record, self.call("POST", f"/deployments/{deployment_id}/resume", body=body) or {})


def quoted(name: str) -> str:
    """A name as one part of a path."""
    return quote(name, safe="")


def _given(**fields: Any) -> Record:
    return {name: value for name, value in fields.items() if value is not None}
