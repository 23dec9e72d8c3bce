"""No secret that an installation holds is read again: by no route, stored text, stream, cache or log."""

import base64
import json
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

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
from tests.integration.test_api_oidc import VERIFIER, question
from tests.oidc_server import CLIENT_ID, CLIENT_SECRET, REDIRECT_URL, Oidc, oidc_server
from tests.receiver import Receiver, receiving

OF_THE_PIPELINE = "planted-in-the-pipeline-7c1f"
OF_THE_MAIL_SERVER = "planted-for-mail-2b9e"
OF_SLACK = "planted-for-slack-5e0d"
OF_GITHUB = "planted-for-github-a41c"
IDS = ("1", "2", "3")
NAMES = ("shop", "lab", "far", "ghost")
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


def run_with_secrets(site: Installation, settings: Settings, receiver: Receiver) -> None:
    """Let runs on the worker's node and at an HTTP service use and write the secret that they are given."""
    folder = settings.secrets_folder / "shop"
    folder.mkdir(parents=True)
    (folder / "TOKEN").write_text(OF_THE_PIPELINE)
    (folder / "TOKEN").chmod(0o600)
    url = f"http://127.0.0.1:{receiver.port}/runs"
    for version, environment, end in (("1", "lab", "true"), ("2", "lab", "exit 3"), ("3", "far", "true")):
        source = (
            "application: shop\nsecrets: [TOKEN]\nenvironments:\n  lab:\n    targets: [{name: one, kind: command}]\n"
            f"  far:\n    targets: [{{name: two, kind: http, url: '{url}', secret: {receiver.secret}}}]\n"
            f'deploy:\n  - run: |\n      test -n "$TOKEN"; echo "it is $TOKEN"; {end}\n'
        )
        site.client.apply_pipeline("shop", source.encode())
        site.client.create("/releases/", {"name": "shop", "version": version})
        made = site.client.request_deployment("shop", version, environment=environment)["id"]
        wait_for_the_end(site, made)


def log_in_at(site: Installation, provider: Oidc) -> dict[str, str]:
    """Come by way of the provider, once well and once with a code that was used: what nobody else may learn of it."""
    provider.person |= {"sub": "guest-1", "email": "guest@id.example", "email_verified": True}
    asked = question("http://127.0.0.1:49152/")
    back = provider.authorize(f"{provider.issuer}/authorize?{urlencode(asked)}")
    body = {
        "code": parse_qs(urlsplit(back).query)["code"][0],
        "code_verifier": VERIFIER,
        "nonce": asked["nonce"],
        "redirect_uri": asked["redirect_uri"],
    }
    came = [urllib3.request("POST", f"{site.web.url}/api/v1/auth/oidc", json=body) for _ in range(2)]
    assert [each.status for each in came] == [200, 401]
    tokens = came[0].json()
    given = {f"what the provider gave, {number}": each for number, each in enumerate(provider.given)}
    assert len(given) == 3, "a code, an access token and an ID token"
    return given | {
        "the client's at the provider": CLIENT_SECRET,
        "the guest's access token": tokens["access_token"],
        "the guest's refresh token": tokens["refresh_token"],
    }


def make_webhooks(site: Installation) -> dict[str, str]:
    """One of each kind that holds a secret."""
    to = {"url": "https://receiver.invalid/told"}
    webhook = site.client.create("/webhooks/", {"name": "w", "settings": to, "events": ["*"]})
    rotated = site.client.create(f"/webhooks/{webhook['id']}/rotate", {})
    slack = {"url": f"https://slack.invalid/services/{OF_SLACK}"}
    github = {"repository": "octocat/shop", "token": OF_GITHUB, "api_url": "https://github.invalid"}
    for kind, values in (("slack", slack), ("github", github)):
        site.client.create("/webhooks/", {"name": kind, "kind": kind, "settings": values, "events": ["*"]})
    return {
        "the webhook's first": webhook["secret"],
        "the webhook's second": rotated["secret"],
        "Slack's": OF_SLACK,
        "GitHub's": OF_GITHUB,
    }


def make_hooks(site: Installation) -> dict[str, str]:
    """One of each kind."""
    made = {
        sender: site.client.create("/hooks/", {"sender": sender, "application": "shop"})
        for sender in ("github", "gitlab", "generic")
    }
    return {f"the hook's of {sender}": each["secret"] for sender, each in made.items()}


def plant(
    site: Installation, settings: Settings, database: Database, receiver: Receiver, provider: Oidc
) -> Secrets:
    """Give it secrets of every kind, and let it use them."""
    kept = make_webhooks(site) | log_in_at(site, provider)
    run_with_secrets(site, settings, receiver)
    kept |= make_hooks(site)
    token = site.client.create("/tokens/", {"name": "ci", "scopes": ["read"]})
    site.client.create(
        "/users/", {"email": "v@example.com", "username": "vic", "password": PASSWORD, "role": "viewer"}
    )
    with database.reading() as session:
        who_have_one = "SELECT username, password_hash FROM users WHERE username IN ('ada', 'vic')"
        hashes = session.execute(text(who_have_one)).all()
    assert len(hashes) == 2
    held = site.tokens.load()
    assert held is not None
    return Secrets(
        {
            "the pipeline's": OF_THE_PIPELINE,
            "the mail server's": OF_THE_MAIL_SERVER,
            "the HTTP target's": receiver.secret.read_text().strip(),
            "Postgres' password": urlsplit(settings.database_url).password or "",
            "Redis' password": urlsplit(settings.redis_url).password or "",
            "the API token": token["token"],
            "the admin's access token": held.access,
            "the admin's refresh token": held.refresh,
            "the key of everything": SECRET_KEY,
            "the metrics token": METRICS_TOKEN,
            "the password": PASSWORD,
            **{f"the password's hash of {name}": made for name, made in hashes},
            **kept,
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
    for number in IDS:
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
    own |= {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
    with ExitStack() as stack:
        receiver, provider = (
            stack.enter_context(receiving(tmp_path / "receiver")),
            stack.enter_context(oidc_server()),
        )
        own |= {"OIDC_ISSUER": provider.issuer, "OIDC_CLIENT_ID": CLIENT_ID, "OIDC_ROLES": "*=viewer"}
        own |= {"OIDC_CLIENT_SECRET": CLIENT_SECRET, "OIDC_REDIRECT_URL": REDIRECT_URL}
        site = stack.enter_context(installation(settings, tmp_path, **own))
        secrets = plant(site, settings, database, receiver, provider)
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
    assert b"it is " in told["stream 3"][1]
    places = {f"viewer {path}": said for path, (_, said) in told.items()}
    places |= {f"admin {path}": said for path, (_, said) in by_admin.items()}
    places |= {f"log of {name}": said for name, said in logs.items()}
    places |= {f"table {name}": said for name, said in kept.items()} | {"Redis": noted}
    assert all(len(each) >= 16 for each in secrets.values.values()), "none is there by chance"
    assert secrets.found_in(b"x" + METRICS_TOKEN.encode()) == ["the metrics token"]
    leaks = {place: found for place, said in places.items() if (found := secrets.found_in(said))}
    assert leaks == {}
