"""Redis dies under a running installation: deployments are accepted and carried out all the same, before and after."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from redis import Redis

from orchestrator.bootstrap import first_admin
from orchestrator.client import Client, Patience
from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.embedded import binaries, ports
from orchestrator.embedded.folder import store_account, store_home
from orchestrator.embedded.process import GuardianLink
from orchestrator.embedded.valkey import Valkey
from tests.acceptance.fleet import Fleet, eventually, fleet
from tests.chaos.processes import Member
from tests.conftest import environment
from tests.integration.engine_world import World
from tests.integration.stream_world import Server, running
from tests.ports import free_port

GUNICORN = "gunicorn --no-control-socket -k gthread --workers 1 --threads 8"


@contextmanager
def valkey(folder: Path) -> Iterator[tuple[Valkey, Member]]:
    """A Valkey of this test's own, which keeps nothing when it dies."""
    account = store_account()
    home = store_home(folder, account)
    port = ports.Port.take(ports.for_store(None))
    store = Valkey(
        program=binaries.valkey_server(home, account),
        data=home / "valkey",
        port=port.number,
        password="only-for-this-test",
        account=account,
        durable=False,
    )
    store.make_folder()
    link = GuardianLink()
    member = Member("valkey", store.server(), link=link, logs=folder)
    try:
        member.start()
        member.wait_healthy()
        yield store, member
    finally:
        member.kill()
        link.close()
        port.release()


@dataclass
class Site:
    """An installation of real processes: web, a worker and beat."""

    client: Client
    broker: Redis
    valkey: Member
    workers: Fleet
    world: World

    def application(self, name: str, script: str) -> None:
        source = (
            f"application: {name}\nenvironments:\n  lab:\n    targets: [{{name: t, kind: command}}]\n"
            f"deploy:\n  - run: {json.dumps(script)}\n"
        )
        self.client.apply_pipeline(name, source.encode())
        self.client.create("/releases/", {"name": name, "version": "1"})

    def request(self, application: str) -> int:
        """Ask for a deployment; the answer must be 202, Redis or not."""
        body = json.dumps({"application": application, "version": "1", "environment": "lab"}).encode()
        headers = {"Content-Type": "application/json"}
        answer = self.client.request("POST", "/api/v1/deployments/", body=body, headers=headers)
        assert answer.status == 202, answer.body
        return int(answer.json()["id"])

    def status(self, deployment: int) -> str:
        return str(self.client.deployment(deployment)["status"])

    def succeeds(self, deployment: int) -> None:
        eventually(lambda: self.status(deployment) == "succeeded", f"deployment {deployment} succeeds")

    def redis_status(self) -> str:
        health, _ = self.client.health()
        return str(health["checks"]["redis"]["status"])

    def ticked_after(self, moment: object) -> bool:
        query = "SELECT heard_at > :moment FROM heartbeats WHERE source = 'tick'"
        return bool(self.world.scalar(query, moment=moment))


@pytest.fixture
def site(settings: Settings, database: Database, tmp_path: Path, passable_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        store, member = stack.enter_context(valkey(passable_path))
        env = environment(settings.database_url, store.url(), settings.data_dir)
        workers = stack.enter_context(fleet(env, tmp_path))
        port = free_port()
        argv = [*GUNICORN.split(), "--bind", f"127.0.0.1:{port}", "api.wsgi:app"]
        web = stack.enter_context(running(Server(argv, env, tmp_path / "web.log", port)))
        workers.worker()
        workers.beat()
        admin = first_admin(replace(settings, redis_url=store.url()))
        client = Client(web.url, patience=Patience(tries=1))
        client.login(admin["username"], admin["password"])
        broker = stack.enter_context(Redis.from_url(store.url()))
        yield Site(client, broker, member, workers, World(database))


def test_what_is_requested_while_redis_is_dead_is_accepted_and_ends_by_itself(
    site: Site, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    site.application("gated", f"while [ ! -e {gate} ]; do sleep 0.1; done")
    site.application("quick", "true")
    open_before = site.request("gated")
    eventually(lambda: site.status(open_before) == "running", "the first one runs")
    site.broker.set("planted", "before it died")

    site.valkey.kill()
    assert site.redis_status() == "down"
    waiting = site.request("gated")
    site.succeeds(site.request("quick"))
    assert site.redis_status() == "down"
    assert site.status(waiting) == "pending"

    site.valkey.start()
    site.valkey.wait_healthy()
    back_at = site.world.scalar("SELECT clock_timestamp()")
    assert site.broker.get("planted") is None
    gate.touch()
    site.succeeds(open_before)
    site.succeeds(waiting)
    site.succeeds(site.request("quick"))
    eventually(lambda: site.ticked_after(back_at), "beat sends, and the worker takes, messages again")
    assert [process.popen.poll() for process in site.workers.processes] == [None, None]
