"""A real HTTP server whose answers are written down beforehand and advance with each request."""

import json
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

DROPPED = object()
"""As an answer: read the request, then close the connection without a word."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the server got."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class ScriptedServer:
    """`on` writes the answers of a path; the last of them is given ever after."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    answers: dict[tuple[str, str], list[Any]] = field(default_factory=lambda: defaultdict(list))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def on(self, method: str, path: str, *answers: Any) -> "ScriptedServer":
        """An answer: a body (200), (status, body[, headers]), a function of the request, or DROPPED."""
        self.answers[method, path].extend(answers)
        return self

    def answer(self, request: Request) -> Any:
        with self.lock:
            self.requests.append(request)
            script = self.answers.get((request.method, request.path))
            if not script:
                return 404, {"status": 404, "code": "not_found", "title": f"No script for {request.path}"}
            found = script.pop(0) if len(script) > 1 else script[0]
        return found(request) if callable(found) else found

    def got(self, method: str, path: str) -> list[Request]:
        """The requests of one kind, in order."""
        return [each for each in self.requests if (each.method, each.path) == (method, path)]


class Listener(ThreadingHTTPServer):
    """Its threads write nothing about clients that hang up: that would go into what another test reads."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """Listens on a free port of the loopback interface."""
    script = ScriptedServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
            found = script.answer(request)
            if found is DROPPED:
                self.close_connection = True
                return
            status, content, *extra = found if isinstance(found, tuple) else (200, found)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            data = b"" if status == 204 else data
            self.send_response(status)
            given = {"Content-Type": "application/json", **(extra[0] if extra else {})}
            for name, value in {**given, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = Listener(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def problem(status: int, code: str, detail: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """An error as the contract writes it."""
    body = {"type": f"/problems/{code}", "title": code, "status": status, "detail": detail, "code": code}
    return status, {**body, **more}


def listed(*items: Any, cursor: str | None = None) -> dict[str, Any]:
    """A page of a list."""
    return {"items": list(items), "next_cursor": cursor, "total": None}


def deployment(status: str = "running", **changes: Any) -> dict[str, Any]:
    """Deployment 42 as the contract tells it; `progress` fields may be given by their names."""
    counts = ("succeeded", "failed", "running", "skipped", "cancelled", "unknown", "wave")
    progress = {"steps": 2, "waves": 2, **dict.fromkeys(counts, 0)}
    progress.update({name: changes.pop(name) for name in list(changes) if name in progress})
    return {
        "id": 42,
        "application": "shop",
        "version": "1.2.0",
        "release_id": 7,
        "environment": "production",
        "status": status,
        "reason": None,
        "waiting_for": [],
        "strategy": "rolling",
        "requested_by": "ann",
        "requested_at": "2026-11-23T12:00:00Z",
        "started_at": None if status == "pending" else "2026-11-23T12:00:01Z",
        "ended_at": None,
        "deployed_at": None,
        "failure": None,
        "cancel_requested_at": None,
        "rolls_back_id": None,
        "retry_of_id": None,
        "rolled_back_by_id": None,
        "replaced_by_id": None,
        "plan_hash": "00",
        "progress": progress,
        **changes,
    }


def step(number: int, target: str, status: str, **changes: Any) -> dict[str, Any]:
    """A step of deployment 42."""
    return {
        "id": number,
        "wave": 0,
        "position": number,
        "target": target,
        "action": "run",
        "title": "unpack",
        "status": status,
        "attempt": 1,
        "started_at": None,
        "ended_at": None,
        "exit_code": None,
        "failure": None,
        "output_bytes": 0,
        **changes,
    }


def piece(text: str, *, target: str = "web-a", step_id: int = 1, offset: int = 0) -> dict[str, Any]:
    """A piece of the log."""
    place = {"step_id": step_id, "target": target, "wave": 0, "attempt": 1}
    return {**place, "offset": offset, "at": "2026-11-23T12:00:02Z", "text": text}


def log(*pieces: Any, cursor: str, complete: bool = False) -> dict[str, Any]:
    """A page of the log."""
    return {"items": list(pieces), "next_cursor": cursor, "complete": complete}
