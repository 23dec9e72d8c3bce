"""A thousand followers of one log in one stream process: how late each line comes, and how /health fares meanwhile."""

import asyncio
import http.client
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import urlsplit

from bench import cpu, witness, world
from bench.lines import spread
from bench.world import World

FOLLOWERS = 1000
LINES = 400
LINE_EVERY_SECONDS = 0.05
PROBE_SECONDS = LINES * LINE_EVERY_SECONDS


def measure() -> list[tuple[str, str, str]]:
    """The table's rows. Raises AssertionError where a follower missed a line or got one twice."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * FOLLOWERS), hard))
    with world.world("web", "stream", "worker1", "beat") as ours, tempfile.TemporaryDirectory() as folder:
        go = Path(folder) / "go"
        Path(folder).chmod(0o755)
        lines = f"i=0; while [ $i -lt {LINES} ]; do date +%s%N; sleep {LINE_EVERY_SECONDS}; i=$((i+1)); done"
        ours.application("log", "command", f"while [ ! -e {go} ]; do sleep 0.1; done; {lines}")
        deployment_id = ours.client.request_deployment("log", "1", environment="lab")["id"]
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as other:
            alone = other.submit(health_ms, ours.stack.url, PROBE_SECONDS / 2).result()
            return asyncio.run(_follow(ours, deployment_id, go, other, alone))


async def _follow(
    ours: World, deployment_id: int, go: Path, other: ProcessPoolExecutor, alone: list[float]
) -> list[tuple[str, str, str]]:
    tokens = ours.tokens.load()
    assert tokens is not None
    followers = [Follower() for _ in range(FOLLOWERS)]
    begun = time.monotonic()
    url = ours.stack.env["STREAM_URL"]
    await asyncio.gather(*(each.connect(url, deployment_id, tokens.access) for each in followers))
    await asyncio.gather(*(each.begun.wait() for each in followers))
    joined = time.monotonic() - begun
    world.say(f"streams: {FOLLOWERS} follow")
    stream = ours.pids("stream")
    before, started = cpu.seconds(stream), time.monotonic()
    looks = go.with_name("looks")
    seen = other.submit(witness.watch, ours.stack.env["DATABASE_URL"], deployment_id, LINES, looks)
    witness.wait_for(looks)
    go.touch()
    meanwhile = await asyncio.get_running_loop().run_in_executor(
        other, health_ms, ours.stack.url, PROBE_SECONDS
    )
    share = (cpu.seconds(stream) - before) / (time.monotonic() - started)
    await asyncio.gather(*(each.ended.wait() for each in followers))
    assert {len(each.seen) for each in followers} == {LINES}
    assert all(each.seen == sorted(set(each.seen)) for each in followers)
    when = seen.result()
    arrivals = [
        (lag, *when[line]) for each in followers for line, lag in zip(each.seen, each.lags, strict=True)
    ]
    return [
        (f"{FOLLOWERS} followers of one log: all of them joined", f"{joined:.1f} s", ""),
        ("a line written to its delivery, p50 and p99", spread(lag for lag, _, _ in arrivals), ""),
        ("of that to its INSERT in Postgres", spread(stored for _, stored, _ in arrivals), ""),
        ("from there until anybody could read it", spread(there - at for _, at, there in arrivals), ""),
        ("from there to its delivery", spread(lag - there for lag, _, there in arrivals), ""),
        ("/health of web meanwhile, p50 and p99", spread(meanwhile), "(goal: p99 under 100 ms)"),
        ("the same without followers", spread(alone), ""),
        ("the stream process's share of one core", f"{share:.0%}", ""),
    ]


class Follower(asyncio.Protocol):
    """One connection: notes when each line came. Reads no more of HTTP than it must."""

    def __init__(self) -> None:
        self.begun, self.ended = asyncio.Event(), asyncio.Event()
        self.seen: list[int] = []
        self.lags: list[float] = []
        self._rest = b""

    async def connect(self, url: str, deployment_id: int, token: str) -> None:
        place = urlsplit(url)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: self, place.hostname, place.port)
        request = f"GET /api/v1/deployments/{deployment_id}/stream HTTP/1.1\r\nHost: {place.netloc}\r\n"
        transport.write(f"{request}Authorization: Bearer {token}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        now = time.time_ns()
        if b"event: status" in data:
            self.begun.set()
        whole, _, self._rest = (self._rest + data).rpartition(b"\n")
        for found in witness.INSTANT.findall(whole):
            self.seen.append(int(found))
            self.lags.append((now - int(found)) / 1e6)
        if b"event: end" in whole:
            self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        assert self.ended.is_set(), f"the stream broke off: {exc}"


def health_ms(url: str, seconds: float) -> list[float]:
    """How long each answer took, in order of length."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    took = []
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        begun = time.monotonic()
        connection.request("GET", "/health")
        connection.getresponse().read()
        took.append((time.monotonic() - begun) * 1000)
        time.sleep(0.02)
    return sorted(took)
