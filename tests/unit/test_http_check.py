"""The check `http`, against a real server on the loopback."""

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.checks.http import HttpCheck
from orchestrator.domain.errors import SettingsRefusedError
from tests.ports import free_port

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return what serves a raw answer (pieces, with an endless pause after the last if `hang`) and gives the URL."""
    listeners: list[socket.socket] = []
    release = threading.Event()

    def start(*pieces: bytes, hang: bool = False, drip_seconds: float = 0.0) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def answer() -> None:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.recv(65536)
                try:
                    for piece in pieces:
                        client.sendall(piece)
                        release.wait(drip_seconds)
                except OSError:
                    return
                if hang:
                    release.wait()

        threading.Thread(target=answer, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/health?deep=1"

    yield start
    release.set()
    for listener in listeners:
        listener.close()


def answer(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def check(url: str, **settings: Any) -> HttpCheck:
    return HttpCheck.from_settings({"http": url, **settings})


def test_expected_text_with_the_status_is_ok(serve: Serve) -> None:
    probe = check(serve(answer(b'{"version":"1.2.0"}')), expect="1.2.0").probe(10)
    assert probe.ok
    assert "1.2.0" in probe.detail


def test_status_alone_is_enough_when_no_text_is_expected(serve: Serve) -> None:
    assert check(serve(answer(b"", "204 No Content")), status=204).probe(10).ok


def test_text_beyond_ascii_is_found(serve: Serve) -> None:
    assert check(serve(answer("läuft".encode())), expect="läuft").probe(10).ok


def test_other_status_is_no(serve: Serve) -> None:
    probe = check(serve(answer(b"1.2.0", "503 Service Unavailable")), expect="1.2.0").probe(10)
    assert not probe.ok
    assert "503" in probe.detail


def test_missing_text_is_no_and_shows_what_was_there(serve: Serve) -> None:
    probe = check(serve(answer(b"version 1.1.0")), expect="1.2.0").probe(10)
    assert not probe.ok
    assert "version 1.1.0" in probe.detail


def test_redirect_is_not_followed(serve: Serve) -> None:
    elsewhere = serve(answer(b"ok"))
    url = serve(answer(b"", "302 Found", f"Location: {elsewhere}\r\n"))
    probe = check(url).probe(10)
    assert not probe.ok
    assert "302" in probe.detail


def test_text_after_the_first_64_kib_is_not_looked_for(serve: Serve) -> None:
    body = b"x" * 65536 + b"1.2.0"
    probe = check(serve(answer(body)), expect="1.2.0").probe(10)
    assert not probe.ok
    assert "first 64 KiB" in probe.detail
    assert check(serve(answer(b"x" * 65531 + b"1.2.0y")), expect="1.2.0").probe(10).ok


def test_nobody_there_is_no() -> None:
    port = free_port()
    probe = check(f"http://127.0.0.1:{port}/").probe(10)
    assert not probe.ok
    assert "no answer" in probe.detail


@pytest.mark.parametrize(
    "pieces", [(), (b"HTTP/1.1 200 OK\r\n",), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1.2",)]
)
def test_silence_is_no_wherever_it_begins(serve: Serve, pieces: tuple[bytes, ...]) -> None:
    probe = check(serve(*pieces, hang=True), expect="1.2.0").probe(0.3)
    assert not probe.ok
    assert "no answer within 0.3 s" in probe.detail or "timed out" in probe.detail


def test_answer_that_drips_is_cut_off(serve: Serve) -> None:
    """Each byte comes well within the socket's timeout, the whole would take minutes."""
    drops = [bytes([byte]) for byte in answer(b"x" * 2000 + b"1.2.0")]
    probe = check(serve(*drops, drip_seconds=0.1), expect="1.2.0").probe(0.5)
    assert not probe.ok
    assert "no answer within 0.5 s" in probe.detail


@pytest.mark.parametrize(
    "nonsense", [b"", b"\x00\x01\x02\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n"]
)
def test_answer_that_is_not_http_is_no(serve: Serve, nonsense: bytes) -> None:
    assert not check(serve(nonsense)).probe(10).ok


def test_certificate_that_nobody_vouches_for_is_no(tmp_path: Path) -> None:
    import ssl

    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve_tls() -> None:
            client, _ = listener.accept()
            try:
                with context.wrap_socket(client, server_side=True) as secure:
                    secure.sendall(answer(b"ok"))
            except OSError:
                client.close()

        thread = threading.Thread(target=serve_tls)
        thread.start()
        probe = check(f"https://localhost:{listener.getsockname()[1]}/").probe(10)
        thread.join()
    assert not probe.ok
    assert "certificate" in probe.detail.lower()


def test_answer_that_comes_late_is_no_although_it_is_right(serve: Serve) -> None:
    pieces = (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"1.2.0")
    probe = check(serve(*pieces, drip_seconds=0.2), expect="1.2.0", latency="100ms").probe(10)
    assert not probe.ok
    assert "0.1 s are allowed" in probe.detail


def test_answer_that_comes_in_time_is_ok(serve: Serve) -> None:
    assert check(serve(answer(b"1.2.0")), expect="1.2.0", latency="5s").probe(10).ok


@pytest.fixture
def serve_in_turn() -> Iterator[Callable[[str], str]]:
    """Return what serves one status after the other ("200 503"), each once, and gives the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        threads = []

        def start(statuses: str) -> str:
            def serve_all() -> None:
                for status in statuses.split():
                    with listener.accept()[0] as client:
                        client.recv(65536)
                        client.sendall(answer(b"", f"{status} Something"))

            threads.append(threading.Thread(target=serve_all))
            threads[0].start()
            return f"http://127.0.0.1:{listener.getsockname()[1]}/"

        yield start
        threads[0].join()


@pytest.mark.parametrize(
    ("statuses", "repeat", "ok", "says"),
    [
        ("200 200 200", "3 of 3", True, "3 of 3 right"),
        ("200 200 503", "3 of 3", False, "503, not 200; 2 of 3 right"),
        ("503", "3 of 3", False, "503, not 200; 0 of 1 right"),
        ("200 503 200 200", "3 of 5", True, "3 of 4 right"),
        ("200 503 200 503 200", "3 of 5", True, "3 of 5 right"),
        ("200 503 503 503", "3 of 5", False, "1 of 4 right"),
    ],
)
def test_so_many_of_so_many_must_be_right_and_no_more_are_asked_than_it_takes(
    serve_in_turn: Callable[[str], str], statuses: str, repeat: str, ok: bool, says: str
) -> None:
    """The server answers as often as is written here and the fixture waits until it has: one time more or less hangs."""
    probe = check(serve_in_turn(statuses), repeat=repeat).probe(10)
    assert (probe.ok, says in probe.detail) == (ok, True), probe.detail


def test_answers_that_do_not_come_in_time_are_no_however_many_were_right(serve: Serve) -> None:
    probe = check(serve(b"HTTP/1.1 200 OK\r\n", hang=True), repeat="1 of 2").probe(0.3)
    assert not probe.ok
    assert "0 of 1 right" in probe.detail


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({}, "http"),
        ({"http": 5}, "http"),
        ({"http": "ftp://host/x"}, "http"),
        ({"http": "file:///etc/passwd"}, "http"),
        ({"http": "localhost:8080"}, "http"),
        ({"http": "http://"}, "http"),
        ({"http": "http://user:secret@host/"}, "http"),
        ({"http": "http://host/", "expect": 5}, "expect"),
        ({"http": "http://host/", "status": "200"}, "status"),
        ({"http": "http://host/", "status": True}, "status"),
        ({"http": "http://host/", "status": 99}, "status"),
        ({"http": "http://host/", "expects": "x"}, "expects"),
        ({"http": "http://host/", "latency": "0s"}, "latency"),
        ({"http": "http://host/", "latency": "6s"}, "latency"),
        ({"http": "http://host/", "latency": 1}, "latency"),
        ({"http": "http://host/", "latency": "soon"}, "latency"),
        ({"http": "http://host/", "repeat": "0 of 3"}, "repeat"),
        ({"http": "http://host/", "repeat": "4 of 3"}, "repeat"),
        ({"http": "http://host/", "repeat": "3 of 21"}, "repeat"),
        ({"http": "http://host/", "repeat": 3}, "repeat"),
    ],
)
def test_setting_that_cannot_work_is_refused(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(SettingsRefusedError) as refused:
        HttpCheck.from_settings(settings)
    assert refused.value.field == field
    assert "secret" not in str(refused.value)


def test_misspelt_setting_is_answered_with_the_right_one() -> None:
    with pytest.raises(SettingsRefusedError, match="'expect'"):
        HttpCheck.from_settings({"http": "http://host/", "expct": "x"})


def test_settings_of_the_engine_are_passed_over() -> None:
    made = HttpCheck.from_settings({"http": "http://host/", "within": "20s", "interval": "1s"})
    assert made == HttpCheck("http://host/")
