"""Clients that send slowly, or never: the real web server goes on serving the others."""

import http.client
import json
import os
import socket
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import environment
from tests.integration.api_world import ApiWorld, world
from tests.integration.stream_world import Server, running
from tests.ports import free_port

__all__ = ["world"]

THREADS = 2
PATIENCE_SECONDS = 60
HEAD = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def port(world: ApiWorld, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A web process with two threads, which waits a second for a request."""
    found, folder = free_port(), tmp_path_factory.mktemp("slow")
    words = "gunicorn --no-control-socket -k api.patience.Worker --workers 1 --threads"
    argv = [*words.split(), str(THREADS), "--bind", f"127.0.0.1:{found}", "api.wsgi:app"]
    env = environment(world.settings.database_url, redis_url, folder) | {
        "PATH": os.environ["PATH"],
        "REQUEST_SECONDS": "1",
    }
    with running(Server(argv, env, folder / "web.log", found)):
        yield found


def send(port: int, data: bytes) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
    made.sendall(data)
    return made


def rest_of(connection: socket.socket) -> bytes:
    """All that comes until the server ends the connection."""
    with connection:
        parts = []
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"GET /health/live HT", b""),
        (HEAD, b""),
        (HEAD + b'Content-Length: 50\r\n\r\n{"userna', b"HTTP/1.1 400 "),
        (HEAD + b'Transfer-Encoding: chunked\r\n\r\n20\r\n{"userna', b"HTTP/1.1 400 "),
    ],
    ids=["first line", "headers", "body", "chunks"],
)
def test_slow_clients_are_not_waited_for(port: int, sent: bytes, answer: bytes) -> None:
    """More of them than there are threads; who comes after them is served."""
    slow = [send(port, sent) for _ in range(3 * THREADS)]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=PATIENCE_SECONDS) as found:
        assert found.status == 200
    for each in slow:
        assert rest_of(each).startswith(answer)


def test_one_that_drips_is_slow_too(port: int) -> None:
    """Each byte comes soon after the one before it, and the request never comes to its end."""
    slow = send(port, HEAD + b"Content-Length: 1000000\r\n\r\n")
    said = b""
    slow.settimeout(0.05)
    for _ in range(PATIENCE_SECONDS * 20):
        try:
            slow.sendall(b" ")
            said = slow.recv(100)
            break
        except TimeoutError:
            continue
    assert said.startswith(b"HTTP/1.1 400 ")
    slow.close()


def test_a_connection_is_used_again_with_patience_for_each_request(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    connection.connect()
    first = connection.sock.getsockname()
    for _ in range(3):
        connection.request("GET", "/health/live")
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (200, True)
        assert connection.sock.getsockname() == first
    connection.close()


def test_who_asks_again_and_again_does_not_keep_the_threads_from_others(port: int) -> None:
    """More of them than there are threads, each asking until one has been answered often: the others have been, too."""
    often, done = 100, [0] * (4 * THREADS)

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        while max(done) < often:
            connection.request("GET", "/health/live")
            answer = connection.getresponse()
            assert (answer.status, bool(answer.read())) == (200, True)
            done[number] += 1
        connection.close()

    with ThreadPoolExecutor(len(done)) as clients:
        list(clients.map(ask, range(len(done))))
    assert min(done) >= often / 10, done


def test_who_does_not_hang_up_costs_the_others_nothing(port: int) -> None:
    """A used connection that is used again in time is served, whoever keeps theirs open after its end meanwhile."""
    for rude in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        connection.request("GET", "/health/live")
        connection.getresponse().read()
        kept = [
            send(port, b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") for _ in range(4)
        ]
        for each in kept:
            assert each.recv(65_536).startswith(b"HTTP/1.1 200 ")
        connection.request("GET", "/health/live")
        assert connection.getresponse().status == 200, rude
        connection.close()
        for each in kept:
            each.close()


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"GET /?" + b"x" * 5_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431, "headers_too_large"),
    ],
)
def test_what_is_too_long_to_be_read_is_answered_with_a_problem(
    port: int, sent: bytes, status: int, code: str
) -> None:
    head, _, body = rest_of(send(port, sent)).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nContent-Type: application/problem+json\r\n" in head
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (status, code)
