"""A server that checks requests as the documents of GitHub's REST API (2022-11-28) say, and keeps deployments and statuses."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.unit.cli_server import Request, ScriptedServer, scripted_server

TOKEN = "github_pat_11AAAAAA0secret"
REPOSITORY = "octocat/shop"
DEPLOYMENT_FIELDS = {
    "ref", "task", "auto_merge", "required_contexts", "payload", "environment", "description",
    "transient_environment", "production_environment",
}  # fmt: skip
STATUS_FIELDS = {
    "state", "target_url", "log_url", "description", "environment", "environment_url", "auto_inactive",
}  # fmt: skip
STATES = {"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}


@dataclass
class Github:
    """One repository with some tags."""

    server: ScriptedServer
    tags: set[str] = field(default_factory=lambda: {"v1.2.0"})
    deployments: list[dict[str, Any]] = field(default_factory=list)
    statuses: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        path = f"/repos/{REPOSITORY}"
        self.server.on("GET", path, self.checked(lambda _: (200, {"id": 1, "full_name": REPOSITORY})))
        self.server.on("GET", f"{path}/deployments", self.checked(self.list_deployments))
        self.server.on("POST", f"{path}/deployments", self.checked(self.make_deployment))

    def checked(self, answer: Any) -> Any:
        def check(request: Request) -> tuple[int, Any]:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return 401, {"message": "Bad credentials"}
            if "user-agent" not in request.headers:
                return 403, {"message": "Request forbidden by administrative rules"}
            if request.headers.get("x-github-api-version") != "2022-11-28":
                return 400, {"message": "Unsupported API version"}
            found: tuple[int, Any] = answer(request)
            return found

        return check

    def list_deployments(self, request: Request) -> tuple[int, Any]:
        wanted = {
            name: value for name, value in request.query.items() if name in {"task", "environment", "ref"}
        }
        found = [each for each in self.deployments if wanted.items() <= each.items()]
        return 200, found[::-1][: int(request.query.get("per_page", 30))]

    def make_deployment(self, request: Request) -> tuple[int, Any]:
        body = request.json()
        if not set(body) <= DEPLOYMENT_FIELDS or not isinstance(body.get("ref"), str):
            return 422, {"message": "Invalid request"}
        if body["ref"] not in self.tags:
            return 422, {"message": f"No ref found for: {body['ref']}"}
        made = {"task": "deploy", "environment": "production", **body, "id": next(self.ids)}
        self.deployments.append(made)
        path = f"/repos/{REPOSITORY}/deployments/{made['id']}/statuses"
        self.statuses[made["id"]] = []
        self.server.on("GET", path, self.checked(lambda _: (200, self.statuses[made["id"]][::-1])))
        self.server.on("POST", path, self.checked(lambda sent: self.add_status(made["id"], sent)))
        return 201, made

    def add_status(self, deployment: int, request: Request) -> tuple[int, Any]:
        body = request.json()
        if (
            not set(body) <= STATUS_FIELDS
            or body.get("state") not in STATES
            or len(body.get("description", "")) > 140
        ):
            return 422, {"message": "Validation Failed"}
        self.statuses[deployment].append({**body, "id": next(self.ids)})
        return 201, self.statuses[deployment][-1]

    def states(self, deployment: int = 1) -> list[str]:
        return [each["state"] for each in self.statuses[deployment]]


@contextmanager
def github_server() -> Iterator[Github]:
    with scripted_server() as server:
        yield Github(server)
