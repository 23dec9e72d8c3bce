"""Requests a second beside a bare Flask endpoint under the same gunicorn."""

import json
import os
import statistics
import time
import urllib.error
import urllib.request

from bench import world
from bench.load import Request, rate

SLICES = 5
SECONDS = 3.0
CONNECTIONS = 8
SLOTS = 50


def measure() -> list[tuple[str, str, str]]:
    """Interleaved slices: bare INSERT, POST /deployments/, bare cached JSON, GET /releases/{id}."""
    with world.world("web", env={"DB_POOL_SIZE": "20"}) as ours:
        for n in range(SLOTS):
            ours.application(f"noop-{n}", "noop")
        tokens = ours.tokens.load()
        assert tokens is not None
        port = world.free_port()
        words = f"gunicorn --no-control-socket -k gthread --workers 2 --threads 8 --bind 127.0.0.1:{port} bench.bare_flask:app"
        with world.process(*words.split(), env={**os.environ, **ours.stack.env}):
            bare = f"http://127.0.0.1:{port}"
            answers(f"{bare}/bare")
            return _rows(ours.stack.url, bare, tokens.access)


def _rows(url: str, bare: str, token: str) -> list[tuple[str, str, str]]:
    auth = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def body(n: int) -> bytes:
        return json.dumps({"application": f"noop-{n % SLOTS}", "version": "1", "environment": "lab"}).encode()

    requests = {
        "bare INSERT + commit": Request(bare, "POST", "/bare", {}, status=202),
        "POST /deployments/": Request(url, "POST", "/api/v1/deployments/", auth, body, status=202),
        "bare cached JSON": Request(bare, "GET", "/bare", {}),
        "GET /releases/{id}": Request(url, "GET", "/api/v1/releases/1", auth),
    }
    rates: dict[str, list[float]] = {name: [] for name in requests}
    for number in range(SLICES):
        world.say(f"web: slice {number + 1} of {SLICES}")
        for name, request in requests.items():
            rates[name].append(rate(request, seconds=SECONDS, connections=CONNECTIONS))
    middle = {name: statistics.median(each) for name, each in rates.items()}
    post = middle["POST /deployments/"] / middle["bare INSERT + commit"]
    get = middle["GET /releases/{id}"] / middle["bare cached JSON"]
    ratios = {"POST /deployments/": f"{post:.2f} (goal 0.4)", "GET /releases/{id}": f"{get:.2f} (goal 0.6)"}
    return [(f"{name}, requests a second", f"{middle[name]:.0f}", ratios.get(name, "1")) for name in requests]


def answers(url: str) -> None:
    """Wait until somebody listens there."""
    for _ in range(100):
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"{url} does not answer")
