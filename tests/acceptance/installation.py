"""A whole installation of real processes, as an operator starts them, and somebody who uses it by HTTP."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.client import Client, MemoryTokens
from orchestrator.config import Settings
from tests.acceptance.fleet import eventually, fleet
from tests.conftest import environment, migrate, settings_for
from tests.integration.stream_world import Server, running
from tests.ports import free_port
from tests.servers import PostgresServer, empty, worker_id

PASSWORD = "correct horse battery"
WEB = "-c python:api.serving --no-control-socket -k api.patience.Worker --workers 2 --threads 4"
METRICS_TOKEN = "only-for-tests-fedcba98765432100123456789"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Installation:
    """Web with two processes, stream, a worker and a beat; the last three with a port for their metrics."""

    web: Server
    stream: Server
    logs: dict[str, Path]
    metrics_ports: dict[str, int]
    client: Client = field(init=False)
    tokens: MemoryTokens = field(default_factory=MemoryTokens)

    def __post_init__(self) -> None:
        self.client = Client(self.web.url, self.tokens)
        admin = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
        self.client.create("/users/", admin)
        self.client.login("ada", PASSWORD)

    def application(self, name: str, script: str) -> None:
        """Record an application of one step, and its release 1."""
        source = (
            f"application: {name}\nenvironments:\n  lab:\n    targets: [{{name: one, kind: command}}]\n"
            f"deploy:\n  - run: |\n      {script}\n"
        )
        self.client.apply_pipeline(name, source.encode())
        self.client.create("/releases/", {"name": name, "version": "1"})

    def deploy(self, application: str, **headers: str) -> int:
        """Request it and wait for its success, and for what the worker counts and says of it then."""
        body = {"application": application, "version": "1", "environment": "lab"}
        answer = self.send("POST", "/api/v1/deployments/", headers, json=body)
        assert answer.status == 202, answer.data
        made = int(json.loads(answer.data)["id"])
        eventually(lambda: self.client.deployment(made)["status"] == "succeeded", "the deployment succeeds")
        eventually(lambda: self.of_attempt(made), "the worker says that the attempt has ended")
        return made

    def of_attempt(self, deployment: int) -> list[dict[str, Any]]:
        """What the worker says of the end of a deployment's attempts."""
        ends = [line for line in self.lines("worker") if line["event"] == "attempt_ended"]
        return [line for line in ends if line["deployment"] == deployment]

    def send(self, method: str, path: str, headers: dict[str, str], **options: Any) -> Any:
        """Any request to web, as the person."""
        tokens = self.tokens.load()
        assert tokens is not None
        known = {"Authorization": f"Bearer {tokens.access}"}
        return urllib3.request(method, self.web.url + path, headers=known | headers, **options)

    def samples(self, process: str) -> Samples:
        """What a process counts, read by Prometheus' own parser."""
        if process == "web":
            answer = self.send("GET", "/metrics", {})
        else:
            known = {"Authorization": f"Bearer {METRICS_TOKEN}"}
            url = f"http://127.0.0.1:{self.metrics_ports[process]}/metrics"
            answer = urllib3.request("GET", url, headers=known)
        assert answer.status == 200
        families = text_string_to_metric_families(answer.data.decode())
        return {(s.name, frozenset(s.labels.items())): s.value for each in families for s in each.samples}

    def lines(self, process: str) -> list[dict[str, Any]]:
        """The lines of a process's log that are whole, and JSON."""
        lines = self.logs[process].read_text(errors="replace").rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@contextmanager
def installation(settings: Settings, folder: Path, **env: str) -> Iterator[Installation]:
    """All of it, gone afterwards."""
    full = environment(settings.database_url, settings.redis_url, folder) | env
    ports = {name: free_port() for name in ("worker", "beat", "stream")}
    own = {name: full | {"METRICS_PORT": str(p), "METRICS_TOKEN": METRICS_TOKEN} for name, p in ports.items()}
    web_port, stream_port = free_port(), free_port()
    argv = ["gunicorn", *WEB.split(), "--bind", f"127.0.0.1:{web_port}", "api.wsgi:app"]
    web = Server(argv, full, folder / "web.log", web_port)
    stream_argv = ["stream", "--port", str(stream_port)]
    stream = Server(stream_argv, own["stream"], folder / "stream.log", stream_port)
    folders = {name: folder / name for name in ("worker", "beat")}
    with ExitStack() as stack:
        stack.enter_context(running(web))
        stack.enter_context(running(stream))
        for each in folders.values():
            each.mkdir()
        worker = stack.enter_context(fleet(own["worker"], folders["worker"])).worker()
        beat = stack.enter_context(fleet(own["beat"], folders["beat"])).beat()
        logs = {"web": web.log, "stream": stream.log, "worker": worker.log, "beat": beat.log}
        for name in ports:
            said = logs[name]
            eventually(lambda said=said: "metrics_served" in said.read_text(), f"{name} serves metrics")  # type: ignore[misc]
        yield Installation(web, stream, logs, ports)


@contextmanager
def on_a_database(
    postgres_server: PostgresServer, redis_url: str, folder: Path, **env: str
) -> Iterator[Installation]:
    """All of it with a database of its own, for the tests of a module."""
    template = postgres_server.template("migrated", lambda url: migrate(url, redis_url, folder))
    name = f"site_{worker_id()}"
    url = postgres_server.create_database(name, template=template)
    empty(redis_url)
    with installation(settings_for(url, redis_url, folder), folder, **env) as made:
        yield made
    postgres_server.drop_database(name)
