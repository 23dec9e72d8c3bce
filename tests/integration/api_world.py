"""What the API's tests share: an application on a database of its own, and people who are logged in."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from api.app import close, create_app
from orchestrator.config import Settings
from orchestrator.db import Database
from tests.conftest import environment, migrate, settings_for
from tests.servers import PostgresServer, empty, worker_id

PASSWORD = "correct horse battery"
V1 = "/api/v1"
_numbers = itertools.count(1)


def pipeline_of(name: str) -> str:
    """A pipeline with two environments, production after staging."""
    return f"""\
application: {name}
environments:
  staging:
    targets: [{{name: web-a, kind: noop}}]
  production:
    after: staging
    targets: [{{name: web-a, kind: noop}}, {{name: web-b, kind: noop}}]
    strategy: {{kind: rolling, batch: 1}}
deploy:
  - run: ./install
"""


@dataclass
class Person:
    """Somebody with tokens."""

    client: FlaskClient
    tokens: dict[str, Any]
    id: int = 0

    def call(self, method: str, path: str, **options: Any) -> TestResponse:
        """Send a request with the access token; paths are below /api/v1."""
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}", **options.pop("headers", {})}
        return self.client.open(V1 + path, method=method, headers=headers, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.call("GET", path, **options)

    def post(self, path: str, **options: Any) -> TestResponse:
        return self.call("POST", path, **options)


@dataclass
class ApiWorld:
    """The application, its database, and its first admin."""

    app: Flask
    settings: Settings
    database: Database
    redis: redis.Redis
    admin: Person = field(init=False)
    others: list[Flask] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.register("admin")
        self.admin = self.login("admin")

    def client(self) -> FlaskClient:
        return self.app.test_client()

    def another(self, **settings: Any) -> Flask:
        """One more application, which is set otherwise."""
        self.others.append(create_app(replace(self.settings, **settings)))
        return self.others[-1]

    def close(self) -> None:
        for app in (self.app, *self.others):
            close(app)

    def register(self, username: str, role: str | None = None, by: Person | None = None) -> dict[str, Any]:
        body = {"email": f"{username}@example.com", "username": username, "password": PASSWORD}
        body |= {"role": role} if role else {}
        answer = by.post("/users/", json=body) if by else self.client().post(f"{V1}/users/", json=body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.get_json()
        return found

    def login(self, username: str, password: str = PASSWORD) -> Person:
        answer = self.client().post(f"{V1}/auth/login", json={"username": username, "password": password})
        assert answer.status_code == 200, answer.text
        return Person(self.client(), answer.get_json())

    def person(self, role: str) -> Person:
        """Somebody new with this role, logged in."""
        made = self.register(f"{role}-{next(_numbers)}", role, by=self.admin)
        person = self.login(made["username"])
        person.id = made["id"]
        return person

    def browser(self, role: str | None) -> tuple[FlaskClient, str]:
        """A browser with the session of somebody new, and the token of its forms; None: of nobody."""
        client = self.client()
        if role is None:
            return client, ""
        name = self.register(f"{role}-{next(_numbers)}", role, by=self.admin)["username"]
        form = {"username": name, "password": PASSWORD}
        answer = client.post("/login", data=form, headers={"Origin": "http://localhost"})
        assert answer.status_code == 303, answer.text
        page = client.get("/").text
        return client, page.partition('name="form_token" value="')[2].partition('"')[0]

    def application(self, *versions: str) -> str:
        """Record an application with these releases; its name."""
        name = f"shop-{next(_numbers)}"
        answer = self.apply(name, pipeline_of(name))
        assert answer.status_code == 201, answer.text
        for version in versions:
            answer = self.admin.post("/releases/", json={"name": name, "version": version})
            assert answer.status_code == 201, answer.text
        return name

    def apply(self, name: str, source: str | bytes, query: str = "") -> TestResponse:
        return self.admin.call(
            "PUT", f"/applications/{name}/pipeline{query}", data=source, content_type="application/yaml"
        )

    def deploy(self, application: str, version: str, environment: str = "staging") -> dict[str, Any]:
        body = {"application": application, "version": version, "environment": environment}
        answer = self.admin.post("/deployments/", json=body)
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.get_json()
        return found

    def count(self, table: str) -> int:
        """How many rows a table has."""
        with self.database.reading() as session:
            return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608


@pytest.fixture(scope="module")
def world(
    postgres_server: PostgresServer, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiWorld]:
    """One application for a module; its tests make names of their own."""
    folder: Path = tmp_path_factory.mktemp("api")
    template = postgres_server.template("migrated", lambda url: migrate(url, redis_url, folder))
    name = f"api_{worker_id()}"
    url = postgres_server.create_database(name, template=template)
    empty(redis_url)
    store = redis.Redis.from_url(redis_url)
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment(url, redis_url, folder).items():
            patch.setenv(variable, value)
        settings = settings_for(url, redis_url, folder)
        database = Database(settings)
        made = ApiWorld(create_app(settings), settings, database, store)
        yield made
        made.close()
        database.close()
    store.close()
    postgres_server.drop_database(name)
