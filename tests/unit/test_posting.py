"""Calling where others say: real servers on loopback that redirect, drip, flood and hang up."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from orchestrator import posting
from orchestrator.domain.networks import read_networks
from orchestrator.notifications.base import Verdict
from orchestrator.notifications.receipts import receipt
from tests.ports import free_port
from tests.unit.cli_server import DROPPED, ScriptedServer, scripted_server

LOOPBACK = read_networks("127.0.0.0/8, ::1/128")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as found:
        yield found


def post(url: str, **options: Any) -> posting.Answer:
    given: dict[str, Any] = {"headers": {"X-Mine": "1"}, "body": b"{}", "allowed": LOOPBACK}
    return posting.call("POST", url, **(given | options))


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Calls `serve` with the one connection it takes."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def run() -> None:
            connection, _ = door.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}/"
        thread.join(30)
        assert not thread.is_alive()


def test_it_is_sent_as_it_is(server: ScriptedServer) -> None:
    server.on("POST", "/a", (201, {"ok": True}))
    answer = post(server.url + "/a?b=c")
    (sent,) = server.requests
    assert (sent.body, sent.headers["x-mine"], sent.query) == (b"{}", "1", {"b": "c"})
    assert sent.headers["host"] == server.url.removeprefix("http://")
    assert answer.shown == 'status 201: {"ok": true}'
    assert receipt(answer).verdict is Verdict.DELIVERED


def test_the_name_is_looked_up_once_and_what_was_checked_is_called(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers first with a good address and then with ours must not get through (DNS rebinding)."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def lookup(host: str, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1" if len(asked) > 1 else "198.51.100.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    url = server.url.replace("127.0.0.1", "rebinding.example") + "/a"
    with pytest.raises(posting.CallFailedError, match=r"is not called: 198\.51\.100\.1 is private"):
        post(url, allowed=())
    assert (asked, server.requests) == (["rebinding.example"], [])


@pytest.mark.parametrize(
    "host", ["localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[::1]"]
)
def test_every_way_to_write_this_machine_is_refused(server: ScriptedServer, host: str) -> None:
    port = server.url.rpartition(":")[2]
    with pytest.raises(posting.CallFailedError):
        post(f"http://{host}:{port}/a", allowed=())
    assert server.requests == []


def test_redirects_are_not_followed(server: ScriptedServer) -> None:
    server.on("POST", "/a", (307, "", {"Location": f"{server.url}/b"}))
    answer = post(server.url + "/a")
    assert (answer.status, len(server.requests)) == (307, 1)
    assert receipt(answer).verdict is Verdict.FAILED


def test_of_an_endless_answer_only_the_beginning_is_read() -> None:
    sent = []

    def flood(connection: socket.socket) -> None:
        connection.recv(65_536)
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(100_000):
                connection.sendall(b"x" * 65_536)
                sent.append(65_536)
        except OSError:
            return

    with raw_server(flood) as url:
        answer = post(url)
    assert len(answer.body) == posting.MAX_ANSWER_BYTES
    assert len(answer.shown) < 300
    assert len(sent) < 100_000


def test_an_answer_that_drips_is_cut_off() -> None:
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.recv(65_536)
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not over.wait(0.05):
                connection.sendall(b"x")
        except OSError:
            over.set()

    with raw_server(drip) as url:
        with pytest.raises(posting.CallFailedError, match=r"no answer within 0\.5 s"):
            post(url, timeout_seconds=0.5)
        assert over.wait(30)


def test_an_answer_may_take_longer_than_a_connection(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "CONNECT_SECONDS", 0.1)
    taken = threading.Event()

    def think(_: object) -> tuple[int, str]:
        taken.wait(0.5)
        return 200, "at last"

    server.on("POST", "/a", think)
    assert post(server.url + "/a").status == 200


def test_whoever_says_nothing_is_no_answer(server: ScriptedServer) -> None:
    server.on("POST", "/a", DROPPED)
    with pytest.raises(posting.CallFailedError, match="no answer"):
        post(server.url + "/a")
    port = free_port()
    with pytest.raises(posting.CallFailedError, match="no answer"):
        post(f"http://127.0.0.1:{port}/secret-path")


def test_what_went_wrong_never_names_the_url(server: ScriptedServer) -> None:
    server.on("POST", "/secret-path", DROPPED)
    with pytest.raises(posting.CallFailedError) as failed:
        post(server.url + "/secret-path")
    assert "secret-path" not in str(failed.value)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, "delivered"),
        (204, "delivered"),
        (301, "failed"),
        (404, "failed"),
        (410, "gone"),
        (500, "failed"),
    ],
)
def test_what_a_status_means(status: int, verdict: str) -> None:
    assert receipt(posting.Answer(status, b"", None)).verdict == verdict
