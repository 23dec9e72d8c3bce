"""No secret that an installation holds is read again: by no route, stored text, stream, cache or log."""

import base64
import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
import urllib3
from sqlalchemy import text

from orchestrator.client import Client, MemoryTokens
from orchestrator.config import Settings
from orchestrator.db import Database
from tests.acceptance.fleet import eventually
from tests.acceptance.installation import METRICS_TOKEN, PASSWORD, Installation, installation
from tests.conftest import SECRET_KEY
from tests.integration.stream_world import Listener

OF_THE_PIPELINE = "planted-in-the-pipeline-7c1f"
OF_THE_MAIL_SERVER = "planted-for-mail-2b9e"
IDS = ("1", "2", "3")
NAMES = ("shop", "lab", "ghost")
LOADS = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') ORDER BY 1
"""


@dataclass
class Secrets:
    """What was planted, by what it is."""

    values: dict[str, str]

    def found_in(self, said: bytes) -> list[str]:
        """Which of them stand there: as they are, or in one of the ways in which bytes are written as text."""
        return [name for name, value in self.values.items() if any(form in said for form in _forms(value))]


def _forms(value: str) -> set[bytes]:
    plain = value.encode()
    encoded = base64.b64encode(plain).rstrip(b"=")[:-1]  # the last character depends on what follows
    return {plain, plain.hex().encode(), encoded, quote(value, safe="").encode()}


def wait_for_the_end(site: Installation, deployment: int) -> None:
    """Whatever the end is."""
    ended = {"succeeded", "failed"}
    eventually(lambda: site.client.deployment(deployment)["status"] in ended, "the deployment ends")


def plant(site: Installation, settings: Settings, database: Database) -> Secrets:
    """Give it secrets of every kind, and let runs use and write the one that they are given."""
    folder = settings.secrets_folder / "shop"
    folder.mkdir(parents=True)
    (folder / "TOKEN").write_text(OF_THE_PIPELINE)
    (folder / "TOKEN").chmod(0o600)
    for version, end in (("1", "true"), ("2", "exit 3")):
        source = (
            "application: shop\nsecrets: [TOKEN]\nenvironments:\n  lab:\n    targets: [{name: one, kind: command}]\n"
            f'deploy:\n  - run: |\n      test -n "$TOKEN"; echo "it is $TOKEN"; {end}\n'
        )
        site.client.apply_pipeline("shop", source.encode())
        site.client.create("/releases/", {"name": "shop", "version": version})
        made = site.client.request_deployment("shop", version, environment="lab")["id"]
        wait_for_the_end(site, made)
    settings_of_hook = {"url": "https://receiver.invalid/told"}
    webhook = site.client.create("/webhooks/", {"name": "w", "settings": settings_of_hook, "events": ["*"]})
    hook = site.client.create("/hooks/", {"sender": "github", "application": "shop"})
    token = site.client.create("/tokens/", {"name": "ci", "scopes": ["read"]})
    site.client.create(
        "/users/", {"email": "v@example.com", "username": "vic", "password": PASSWORD, "role": "viewer"}
    )
    with database.reading() as session:
        hashes = session.execute(text("SELECT username, password_hash FROM users")).all()
    held = site.tokens.load()
    assert held is not None
    return Secrets(
        {
            "the pipeline's": OF_THE_PIPELINE,
            "the mail server's": OF_THE_MAIL_SERVER,
            "the webhook's": webhook["secret"],
            "the hook's": hook["secret"],
            "the API token": token["token"],
            "the admin's access token": held.access,
            "the admin's refresh token": held.refresh,
            "the key of everything": SECRET_KEY,
            "the metrics token": METRICS_TOKEN,
            "the password": PASSWORD,
            **{f"the password's hash of {name}": kept for name, kept in hashes},
        }
    )


def readable(document: dict[str, Any]) -> list[str]:
    """Every path that can be read, with ids and names of what there is."""
    found = []
    for path, item in document["paths"].items():
        if "get" not in item:
            continue
        parameters = [
            each["name"]
            for each in [*item.get("parameters", ()), *item["get"].get("parameters", ())]
            if each["in"] == "path"
        ]
        for values in product(*(IDS if each.endswith("_id") else NAMES for each in parameters)):
            filled = path
            for name, value in zip(parameters, values, strict=True):
                filled = filled.replace("{" + name + "}", value)
            found.append(filled)
    return found


def answers(site: Installation, token: str) -> dict[str, tuple[int, bytes]]:
    """What each path answers to somebody: status, and headers with body."""
    known = {"Authorization": f"Bearer {token}"}
    http = urllib3.PoolManager()
    document = json.loads(http.request("GET", f"{site.web.url}/openapi.json").data)
    told = {}
    for path in [*readable(document), "/metrics", "/docs", "/openapi.json", "/health"]:
        answer = http.request("GET", site.web.url + path, headers=known, redirect=False)
        told[path] = (answer.status, repr(dict(answer.headers)).encode() + answer.data)
    for number in IDS[:2]:
        followed = Listener(site.stream.port, f"/api/v1/deployments/{number}/stream", known)
        told[f"stream {number}"] = (
            followed.status,
            "".join(each.data for each in followed.events()).encode(),
        )
        followed.close()
    return told


def stored(database: Database) -> dict[str, bytes]:
    """Every row of every table as text, but for the one column that is for password hashes."""
    with database.reading() as session:
        found = {}
        for (table,) in session.execute(text(LOADS)).all():
            without = " - 'password_hash'" if table == "users" else ""
            rows = session.execute(text(f'SELECT (to_jsonb(t){without})::text FROM "{table}" t')).scalars()  # noqa: S608  # from the catalogue
            found[table] = "\n".join(rows).encode()
    return found


def cached(url: str) -> bytes:
    """Everything in Redis that is text."""
    with redis.Redis.from_url(url) as store:
        return b"\n".join(
            key + b"=" + (store.get(key) or b"") for key in store.scan_iter() if store.type(key) == b"string"
        )


@pytest.mark.timeout(300)
def test_no_secret_is_read_again_anywhere(settings: Settings, database: Database, tmp_path: Path) -> None:
    mail = f"smtp://mail:{OF_THE_MAIL_SERVER}@127.0.0.1:1"
    own = {"SMTP_URL": mail, "SMTP_FROM": "r@example.com", "LOG_LEVEL": "DEBUG"}
    with installation(settings, tmp_path, **own) as site:
        secrets = plant(site, settings, database)
        tokens = MemoryTokens()
        Client(site.web.url, tokens).login("vic", PASSWORD)
        viewer, admin = tokens.load(), site.tokens.load()
        assert viewer is not None
        assert admin is not None
        told = answers(site, viewer.access)
        by_admin = answers(site, admin.access)
        logs = {name: path.read_bytes() for name, path in site.logs.items()}
        kept, noted = stored(database), cached(settings.redis_url)

    assert told["/api/v1/audit/"][0] == 403
    assert told["/api/v1/webhooks/1"][0] == 403
    assert by_admin["/api/v1/webhooks/1"][0] == 200
    assert (told["/api/v1/deployments/2/logs"][0], by_admin["/api/v1/hooks/1"][0]) == (200, 200)
    for written in (
        told["/api/v1/deployments/2/logs"][1],
        told["stream 2"][1],
        logs["web"],
        logs["worker"],
        kept["log_chunks"],
        noted,
    ):
        assert len(written) > 50, "there is something to look at"
    assert b"it is " in told["stream 2"][1]
    places = {f"viewer {path}": said for path, (_, said) in told.items()}
    places |= {f"admin {path}": said for path, (_, said) in by_admin.items()}
    places |= {f"log of {name}": said for name, said in logs.items()}
    places |= {f"table {name}": said for name, said in kept.items()} | {"Redis": noted}
    assert secrets.found_in(b"x" + METRICS_TOKEN.encode()) == ["the metrics token"]
    leaks = {place: found for place, said in places.items() if (found := secrets.found_in(said))}
    assert leaks == {}
