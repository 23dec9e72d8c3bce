"""Three hundred open pages of one stream process: how late each change comes, and how /health of web fares meanwhile."""

import asyncio
import re
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from urllib.parse import urlsplit

from bench import cpu, world
from bench.lines import spread
from bench.streams import health_ms
from bench.world import World
from orchestrator.services import tokens

PAGES = 300
CHANGES = 40
CHANGE_EVERY_SECONDS = 0.5
_INSTANT = re.compile(rb"changed at (\d{19})")


def measure() -> list[tuple[str, str, str]]:
    """The table's rows. Raises AssertionError where a page was not told of a change."""
    with world.world("web", "stream") as ours:
        ours.application("shop", "noop")
        ours.client.request_deployment("shop", "1", environment="lab")
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
            alone = other.submit(health_ms, ours.stack.url, CHANGES * CHANGE_EVERY_SECONDS / 2).result()
            return asyncio.run(_look(ours, other, alone))


async def _look(ours: World, other: ProcessPoolExecutor, alone: list[float]) -> list[tuple[str, str, str]]:
    pages = [Page() for _ in range(PAGES)]
    for number, page in enumerate(pages):
        await page.connect(ours, "view=deployment&what=1" if number % 2 else "view=dashboard&what=")
    await asyncio.gather(*(page.begun.wait() for page in pages))
    world.say(f"pages: {PAGES} are open")
    stream = ours.pids("stream")
    before, started = cpu.seconds(stream), time.monotonic()
    loop = asyncio.get_running_loop()
    meanwhile = loop.run_in_executor(other, health_ms, ours.stack.url, CHANGES * CHANGE_EVERY_SECONDS)
    for _ in range(CHANGES):
        await loop.run_in_executor(None, _change, ours)
        await asyncio.sleep(CHANGE_EVERY_SECONDS)
    health = await meanwhile
    share = (cpu.seconds(stream) - before) / (time.monotonic() - started)
    assert {len(page.seen) for page in pages} == {CHANGES}
    lags = [lag for page in pages for lag in page.seen.values()]
    return [
        (
            f"{PAGES} open pages: a change sent to the API to its being on all of them, p50 and p99",
            spread(lags),
            "(goal: p99 under 500 ms)",
        ),
        ("/health of web meanwhile, p50 and p99", spread(health), "(goal: p99 under 100 ms)"),
        ("the same without open pages", spread(alone), ""),
        ("the stream process's share of one core", f"{share:.0%}", ""),
    ]


def _change(ours: World) -> None:
    """Freeze, and thaw the freeze before: both pages say so."""
    for freeze in ours.client.items("/freezes/"):
        ours.client.call("DELETE", f"/freezes/{freeze['id']}")
    dated = {"from": "2020-01-01T00:00", "to": "2090-01-01T00:00"}
    named = {"environment": "lab", "zone": "UTC", "name": f"changed at {time.time_ns()}"}
    ours.client.create("/freezes/", {**named, "dated": dated})


class Page(asyncio.Protocol):
    """One connection: notes when it heard first of each change."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.seen: dict[int, float] = {}
        self._rest = b""

    async def connect(self, ours: World, query: str) -> None:
        """Come with a ticket, as web writes them."""
        place = urlsplit(ours.stack.env["STREAM_URL"])
        ((sign_in_id, user_id),) = ours.query("SELECT id, user_id FROM sign_ins ORDER BY created_at LIMIT 1")
        ticket = tokens.write_ticket(
            ours.stack.env["SECRET_KEY"],
            user_id=int(str(user_id)),
            sign_in_id=str(sign_in_id),
            now=datetime.now(UTC),
        )
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: self, place.hostname, place.port)
        transport.write(
            f"GET /live?{query}&ticket={ticket} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        now = time.time_ns()
        if b"event: view" in data:
            self.begun.set()
        text = self._rest + data
        for found in _INSTANT.findall(text):
            self.seen.setdefault(int(found), (now - int(found)) / 1e6)
        self._rest = text[-40:]
