"""A TCP proxy between each process and each store, whose links can be cut, stalled and made mute."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

_PIECE_BYTES = 64 * 1024
_CALL_SECONDS = 10.0


class Mode(StrEnum):
    """What a link does."""

    OPEN = "open"
    CUT = "cut"
    """Connections are reset, also new ones."""
    STALLED = "stalled"
    """Half-open: connections stay and nothing passes; what was sent arrives when the link heals."""
    MUTE = "mute"
    """What the process sends arrives, the store's answers do not: a COMMIT whose answer is lost."""


@dataclass
class Link:
    """One process's way to one store."""

    name: str
    upstream: int
    port: int = 0
    mode: Mode = Mode.OPEN
    delay_seconds: float = 0.0
    """How late each piece arrives."""
    pieces: int = 0
    """How many pieces the process sent."""
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    forth: asyncio.Event = field(default_factory=asyncio.Event)
    back: asyncio.Event = field(default_factory=asyncio.Event)

    def turn(self, mode: Mode) -> None:
        """Become so at once; connections that were open stay unless it is cut."""
        self.mode = mode
        for gate, opened in (
            (self.forth, mode in {Mode.OPEN, Mode.MUTE}),
            (self.back, mode is Mode.OPEN),
        ):
            if opened:
                gate.set()
            else:
                gate.clear()
        if mode is Mode.CUT:
            self.reset()

    def reset(self) -> None:
        """Reset every connection."""
        for writer in tuple(self.writers):
            writer.transport.abort()

    def forget(self) -> None:
        """Carry nothing more over the connections that are open, and end none: as a firewall does that has forgotten them."""
        for writer in tuple(self.writers):
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's can

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it."""
        self.writers.add(writer)
        there: asyncio.StreamWriter | None = None
        try:
            if self.mode is Mode.CUT:
                return
            answers, there = await asyncio.open_connection("127.0.0.1", self.upstream)
            self.writers.add(there)
            pumps = [
                asyncio.ensure_future(self._pump(reader, there, self.forth)),
                asyncio.ensure_future(self._pump(answers, writer, self.back)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            return  # the store is away, so the process sees its connection end
        finally:
            for each in (writer, there):
                if each is not None:
                    self.writers.discard(each)
                    each.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event
    ) -> None:
        while piece := await reader.read(_PIECE_BYTES):
            self.pieces += gate is self.forth
            await gate.wait()
            if self.delay_seconds and gate is self.back:
                await asyncio.sleep(self.delay_seconds)
            writer.write(piece)
            await writer.drain()
        await gate.wait()


class Proxy:
    """All links, in a thread with an event loop of its own."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def link(self, name: str, upstream: int) -> int:
        """Add a link to a port; the port at which a process reaches it."""
        made = Link(name, upstream)
        made.turn(Mode.OPEN)
        self._run(self._listen(made))
        self.links[name] = made
        return made.port

    def turn(self, name: str, mode: Mode, *, reset: bool = False) -> None:
        """Let a link become so; `reset` ends its connections besides."""
        link = self.links[name]
        self._call(lambda: link.turn(mode))
        if reset:
            self._call(link.reset)

    def forget(self, name: str) -> None:
        """Let what is open there lead nowhere from now on, without a word."""
        self._call(self.links[name].forget)

    def slow(self, name: str, seconds: float) -> None:
        """Let a store's answers come that late from now on."""
        self.links[name].delay_seconds = seconds

    def heal(self) -> None:
        """Open every link, and make it quick."""
        for name in self.links:
            self.slow(name, 0.0)
            self.turn(name, Mode.OPEN)

    async def _listen(self, link: Link) -> None:
        server = await asyncio.start_server(link.serve, "127.0.0.1", 0)
        link.port = int(server.sockets[0].getsockname()[1])
        self._servers.append(server)

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for link in self.links.values():
            link.reset()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _call(self, do: Callable[[], None]) -> None:
        async def call() -> None:
            do()

        self._run(call())

    def _run(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(_CALL_SECONDS)
