"""How long after it was written a line can be read through the API: by one who polls, and by one who follows."""

import http.client
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from bench import witness, world

LINES = 1000
LINE_EVERY_SECONDS = 0.03
POLL_EVERY_SECONDS = 0.02


def measure() -> list[tuple[str, str, str]]:
    """One command writes lines; three who read, each in a process of its own, note when each line came."""
    with world.world("web", "stream", "worker1", "beat") as ours, tempfile.TemporaryDirectory() as folder:
        go = Path(folder) / "go"
        Path(folder).chmod(0o755)
        lines = f"i=0; while [ $i -lt {LINES} ]; do date +%s%N; sleep {LINE_EVERY_SECONDS}; i=$((i+1)); done"
        ours.application("steady", "command", f"echo; while [ ! -e {go} ]; do sleep 0.1; done; {lines}")
        deployment = ours.client.request_deployment("steady", "1", environment="lab")["id"]
        tokens = ours.tokens.load()
        assert tokens is not None
        there = [Path(folder) / name for name in ("polls", "follows", "watches")]
        with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as hands:
            polled = hands.submit(poll, ours.stack.url, deployment, tokens.access, there[0])
            followed = hands.submit(follow, ours.stack.env["STREAM_URL"], deployment, tokens.access, there[1])
            seen = hands.submit(witness.watch, ours.stack.env["DATABASE_URL"], deployment, LINES, there[2])
            witness.wait_for(*there)
            go.touch()
            lags = {"polling": polled.result(), "following": followed.result()}
            when = seen.result()
    for each in lags.values():
        assert list(each) == sorted(when), "each line comes once, in order"
    return [
        ("a line written to its INSERT in Postgres, p50 and p99", spread(at for at, _ in when.values()), ""),
        ("the same until anybody could read it there", spread(there for _, there in when.values()), ""),
        *(
            (f"the same to its answer by {how}", spread(each.values()), "(goal: p99 under 500 ms)")
            for how, each in lags.items()
        ),
    ]


def poll(url: str, deployment_id: int, token: str, there: Path) -> dict[int, float]:
    """Ask for what is new, again and again, until the log is complete. `there` is made with the first answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    lags: dict[int, float] = {}
    cursor, complete = "", False
    while not complete:
        query = f"?cursor={cursor}" if cursor else ""
        path = f"/api/v1/deployments/{deployment_id}/logs{query}"
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        page = orjson.loads(connection.getresponse().read())
        there.touch()
        _note(lags, "".join(item["text"] for item in page["items"]).encode())
        cursor, complete = page["next_cursor"], page["complete"]
        time.sleep(POLL_EVERY_SECONDS)
    return lags


def follow(url: str, deployment_id: int, token: str, there: Path) -> dict[int, float]:
    """Read the stream to its end. `there` is made with the first piece of it."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    path = f"/api/v1/deployments/{deployment_id}/stream"
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    lags: dict[int, float] = {}
    rest = b""
    while piece := answer.read1(65_536):
        there.touch()
        whole, _, rest = (rest + piece).rpartition(b"\n")
        _note(lags, whole)
    return lags


def _note(lags: dict[int, float], text: bytes) -> None:
    now = time.time_ns()
    for line in map(int, witness.INSTANT.findall(text)):
        lags[line] = (now - line) / 1e6


def spread(milliseconds: Iterable[float]) -> str:
    """The median and the 99th percentile."""
    ordered = sorted(milliseconds)
    return f"{ordered[len(ordered) // 2]:.0f} ms, {ordered[int(len(ordered) * 0.99)]:.0f} ms"
