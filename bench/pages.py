"""Three hundred open pages of one stream process: how late each change comes, and how /health of web fares meanwhile."""

import asyncio
import http.client
import math
import re
import secrets
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from urllib.parse import urlencode, urlsplit

from bench import cpu, world
from bench.lines import spread
from bench.streams import health_ms
from bench.world import World
from orchestrator.client import Client, MemoryTokens
from orchestrator.services import tokens

PAGES = 300
ASKING = 30
"""How many of them are the page of locks, which asks web for its part when it is told that something has happened."""
MOST_SECONDS, REMEMBERED = 5.0, 5
"""How long a page waits at most for its turn, and of how many answers it knows what they cost web, as in `renewing.js`."""
CHANGES = 40
CHANGE_EVERY_SECONDS = 0.5
_INSTANT = re.compile(rb"changed at (\d{19})")
_NEWS = re.compile(rb'event: news\ndata: \{"turn":(\d+),"of":(\d+)\}\n\n')
_TOOK = re.compile(rb'Server-Timing: part;dur=([\d.]+)|data-took="([\d.]+)"')
_TAG = re.compile(rb"ETag: ([^\r]+)")


def measure() -> list[tuple[str, str, str]]:
    """The table's rows. Raises AssertionError where a page was not told of a change."""
    with world.world("web", "stream") as ours:
        ours.application("shop", "noop")
        ours.client.request_deployment("shop", "1", environment="lab")
        locking = _somebody(ours)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
            alone = other.submit(health_ms, ours.stack.url, CHANGES * CHANGE_EVERY_SECONDS / 2).result()
            return asyncio.run(_look(ours, locking, other, alone))


async def _look(
    ours: World, locking: Client, other: ProcessPoolExecutor, alone: list[float]
) -> list[tuple[str, str, str]]:
    sent = [Page() for _ in range(PAGES - ASKING)]
    for number, page in enumerate(sent):
        await page.connect(ours, "view=deployment&what=1" if number % 2 else "view=dashboard&what=")
    cookie = _log_in(ours)
    asking = [Asking(ours.stack.url, cookie) for _ in range(ASKING)]
    for each in asking:
        await each.open()
        await each.connect(ours, "view=news&what=", news=["lock.*"])
    pages = [*sent, *asking]
    await asyncio.gather(*(page.begun.wait() for page in pages))
    world.say(f"pages: {PAGES} are open")
    stream = ours.pids("stream")
    before, started = cpu.seconds(stream), time.monotonic()
    loop = asyncio.get_running_loop()
    meanwhile = loop.run_in_executor(other, health_ms, ours.stack.url, CHANGES * CHANGE_EVERY_SECONDS)
    for _ in range(CHANGES):
        await loop.run_in_executor(None, _change, locking)
        await asyncio.sleep(CHANGE_EVERY_SECONDS)
    health = await meanwhile
    await asyncio.gather(*(each.rest() for each in asking))
    share = (cpu.seconds(stream) - before) / (time.monotonic() - started)
    assert {len(page.seen) for page in pages} == {CHANGES}
    return [
        (
            f"{PAGES} open pages: a change sent to the API to its being on the {len(sent)} that are sent it, p50 and p99",
            spread(lag for page in sent for lag in page.seen.values()),
            "(goal: p99 under 500 ms)",
        ),
        (
            f"the same, on the {ASKING} that ask web for it",
            spread(lag for page in asking for lag in page.seen.values()),
            "(goal: p99 under 500 ms)",
        ),
        ("/health of web meanwhile, p50 and p99", spread(health), "(goal: p99 under 100 ms)"),
        ("the same without open pages", spread(alone), ""),
        ("the stream process's share of one core", f"{share:.0%}", ""),
    ]


def _somebody(ours: World) -> Client:
    """An operator who requested nothing: deployments do not wait for locks of who requested them."""
    person = {"username": "locker", "email": "locker@example.com", "password": secrets.token_urlsafe(16)}
    ours.client.create("/users/", {**person, "role": "operator"})
    client = Client(ours.stack.url, MemoryTokens())
    client.login(person["username"], person["password"])
    return client


def _change(client: Client) -> None:
    """Lock, and release the lock before: all pages say so."""
    for lock in client.items("/locks/"):
        client.call("DELETE", f"/locks/{lock['id']}")
    client.create("/locks/", {"application": "shop", "reason": f"changed at {time.time_ns()}"})


def _log_in(ours: World) -> str:
    """The cookie of a session, as a browser gets it."""
    assert ours.stack.admin is not None
    form = urlencode({"username": ours.stack.admin.username, "password": ours.stack.admin.password})
    connection = http.client.HTTPConnection(urlsplit(ours.stack.url).netloc, timeout=30)
    headers = {"Origin": ours.stack.url, "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/login", form, headers)
    return connection.getresponse().headers["Set-Cookie"].partition(";")[0]


class Page(asyncio.Protocol):
    """One connection: notes when it heard first of each change."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.seen: dict[int, float] = {}
        self._rest = b""

    async def connect(self, ours: World, query: str, *, news: Sequence[str] = ()) -> None:
        """Come with a ticket, as web writes them."""
        place = urlsplit(ours.stack.env["STREAM_URL"])
        ((sign_in_id, user_id),) = ours.query("SELECT id, user_id FROM sign_ins ORDER BY created_at LIMIT 1")
        ticket = tokens.write_ticket(
            ours.stack.env["SECRET_KEY"],
            user_id=int(str(user_id)),
            sign_in_id=str(sign_in_id),
            now=datetime.now(UTC),
            news=news,
        )
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: self, place.hostname, place.port)
        transport.write(
            f"GET /live?{query}&ticket={ticket} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if b"event: view" in data:
            self.begun.set()
        text = self._rest + data
        self.note(text)
        self._rest = text[-40:]

    def note(self, text: bytes) -> None:
        """Each change of which it hears for the first time."""
        now = time.time_ns()
        for found in _INSTANT.findall(text):
            self.seen.setdefault(int(found), (now - int(found)) / 1e6)


class Asking(Page):
    """The page of locks: asks web in its turn when it is told, one question at a time."""

    def __init__(self, url: str, cookie: str) -> None:
        super().__init__()
        self._place = urlsplit(url)
        self._request = (
            f"GET /locks?all=true HTTP/1.1\r\nHost: {self._place.netloc}\r\n"
            f"Cookie: {cookie}\r\nConnection: close\r\n"
        )
        self._tag = ""
        self._took: deque[float] = deque(maxlen=REMEMBERED)
        self._turn, self._of = 0, 1
        self._wanted, self._rests_until = math.inf, 0.0
        self._asks: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Load it."""
        await self._fetch("")

    def data_received(self, data: bytes) -> None:
        text = self._rest + data
        for turn, of in _NEWS.findall(text):
            self.begun.set()
            self._turn, self._of = int(turn), int(of)
            self._look()
        self._rest = text.rpartition(b"\n\n")[2]

    async def rest(self) -> None:
        """Wait until it has asked for all that it was told of."""
        if self._asks is not None:
            await self._asks

    def _look(self) -> None:
        self._wanted = min(self._wanted, time.monotonic() + self._seconds(self._turn))
        if self._asks is None or self._asks.done():
            self._asks = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        while self._wanted < math.inf:
            await asyncio.sleep(max(self._wanted, self._rests_until) - time.monotonic())
            self._wanted = math.inf
            self.note(await self._fetch(f"HX-Request: true\r\nIf-None-Match: {self._tag}\r\n"))
            self._rests_until = time.monotonic() + self._seconds(self._of)

    def _seconds(self, parts: int) -> float:
        return min(parts * min(self._took) / 1000, MOST_SECONDS)

    async def _fetch(self, headers: str) -> bytes:
        reader, writer = await asyncio.open_connection(self._place.hostname, self._place.port)
        writer.write(f"{self._request}{headers}\r\n".encode())
        answer = await reader.read()
        writer.close()
        for found in _TOOK.findall(answer):
            self._took.append(float(b"".join(found)))
        for tag in _TAG.findall(answer):
            self._tag = tag.decode()
        return answer
