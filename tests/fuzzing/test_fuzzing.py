"""No request that fits /openapi.json, or nearly does, is answered otherwise than it says. FUZZ_CASES asks for more of them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.client import Client, MemoryTokens
from orchestrator.config import Settings
from tests.acceptance.fleet import ROOT
from tests.acceptance.installation import PASSWORD
from tests.conftest import environment
from tests.integration.api_world import pipeline_of
from tests.integration.stream_world import Server, running
from tests.oidc_server import CLIENT_ID, CLIENT_SECRET, REDIRECT_URL, Oidc, oidc_server
from tests.ports import free_port

SEED = int(os.environ.get("FUZZ_SEED", "1"))
CASES = int(os.environ.get("FUZZ_CASES", "0"))
FEW = "--phases fuzzing --max-examples 2 --workers 1"
ALL = "--max-examples 10 --workers 1"
WEB = (
    "gunicorn --no-control-socket -c python:api.serving -k api.patience.Worker --workers 1 --threads 8 --bind"
)
LEAST = 80
"""There are more operations than that."""


@pytest.fixture
def site(settings: Settings, tmp_path: Path) -> Iterator[str]:
    """The URL of a web server with an admin, a provider, two applications and their deployments, which no worker takes."""
    port = free_port()
    env = environment(settings.database_url, settings.redis_url, tmp_path) | {"LOG_LEVEL": "ERROR"}
    argv = [*WEB.split(), f"127.0.0.1:{port}", "api.wsgi:app"]
    with (
        oidc_server() as provider,
        running(Server(argv, env | at(provider), tmp_path / "web.log", port)) as server,
    ):
        client = Client(server.url, MemoryTokens())
        client.create("/users/", {"email": "ada@example.com", "username": "ada", "password": PASSWORD})
        client.login("ada", PASSWORD)
        for name in ("shop", "api"):
            client.apply_pipeline(name, pipeline_of(name).encode())
            client.create("/releases/", {"name": name, "version": "1"})
            client.request_deployment(name, "1", environment="staging")
        yield server.url


def at(provider: Oidc) -> dict[str, str]:
    """The settings with which people can log in there."""
    return {
        "OIDC_ISSUER": provider.issuer,
        "OIDC_CLIENT_ID": CLIENT_ID,
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "OIDC_REDIRECT_URL": REDIRECT_URL,
    }


def fuzz(url: str, report: Path, seed: int, options: str) -> dict[str, Any]:
    """Let schemathesis make its cases and judge the answers; what it reports."""
    words = f"--config-file {ROOT}/tests/fuzzing/schemathesis.toml run {url}/openapi.json --checks all --no-color --report json"
    more = f"--suppress-health-check all --generation-database none --seed {seed} --report-json-path {report}"
    done = subprocess.run(
        [Path(sys.executable).with_name("schemathesis"), *words.split(), *more.split(), *options.split()],
        cwd=ROOT,
        env={**os.environ, "FUZZ_URL": url, "FUZZ_USER": "ada", "FUZZ_PASSWORD": PASSWORD},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def test_what_the_description_says_is_so(site: str, tmp_path: Path) -> None:
    cases, seed = 0, SEED
    while cases < max(CASES, LEAST):
        found = fuzz(site, tmp_path / "report.json", seed, ALL if CASES else FEW)
        assert found["operations"]["tested"] == found["operations"]["total"] - 1 >= LEAST
        cases += found["test_cases"]["generated"]
        sys.stdout.write(f"seed {seed}: {cases:,} cases so far, and none failed\n")
        seed += 1
