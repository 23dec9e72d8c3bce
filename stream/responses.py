"""Answers that go on, and what every answer has in its headers and in the log."""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator import clock, log

STUCK_SECONDS = 60.0
"""How long a connection may take nothing at all before it is given up."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
FROM_ANYWHERE = "*"
"""A ticket is all that lets in, and no cookie is looked at: which page comes with it does not matter."""
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}

_access = log.get("stream.access")


class EventStream(Response):
    """Sends what `run` sends, until it returns or nobody is there any more; `on_end` is called in any case."""

    def __init__(
        self,
        run: Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[None]],
        *,
        on_disconnect: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._run = run
        self._on_disconnect = on_disconnect
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""

        async def send_chunk(chunk: bytes) -> None:
            async with asyncio.timeout(STUCK_SECONDS):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})

        watch = asyncio.create_task(self._watch(receive))
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            await self._run(send_chunk)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            _access.warning("connection_stuck", path=scope["path"])
        finally:
            watch.cancel()
            self._on_end()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._on_disconnect()


class Observed:
    """Gives each request an id, each answer its headers, and the log one line for both."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get("X-Request-ID", "")
        scope["request_id"] = sent if _REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
        log.bind(request_id=scope["request_id"])
        begun, status = clock.monotonic(), 0

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = scope["request_id"]
                if b"ticket=" in scope["query_string"]:
                    headers["Access-Control-Allow-Origin"] = FROM_ANYWHERE
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        finally:
            seconds = round(clock.monotonic() - begun, 1)
            _access.info(
                "request", method=scope["method"], path=scope["path"], status=status, seconds=seconds
            )


def request_id_of(scope: Scope) -> str | None:
    """The id that Observed gave the request."""
    found: str | None = scope.get("request_id")
    return found
