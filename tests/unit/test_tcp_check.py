"""The check `tcp`, against real sockets on the loopback."""

import socket
from typing import Any

import pytest

from orchestrator.checks.tcp import TcpCheck
from orchestrator.domain.errors import SettingsRefusedError
from tests.ports import free_port


def check(address: str, **settings: Any) -> TcpCheck:
    return TcpCheck.from_settings({"tcp": address, **settings})


def test_somebody_who_listens_is_ok() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        probe = check(f"127.0.0.1:{listener.getsockname()[1]}", latency="5s").probe(10)
    assert probe.ok
    assert "connected" in probe.detail


def test_the_connection_is_closed_again_and_nothing_is_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        assert check(f"127.0.0.1:{listener.getsockname()[1]}").probe(10).ok
        client, _ = listener.accept()
        with client:
            client.settimeout(10)
            assert client.recv(10) == b""


def test_an_address_of_six_in_brackets_is_reached() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("NOT CHECKED: there is no IPv6 here")
    with listener:
        assert check(f"[::1]:{listener.getsockname()[1]}").probe(10).ok


def test_nobody_there_is_no() -> None:
    port = free_port()
    probe = check(f"127.0.0.1:{port}").probe(10)
    assert not probe.ok
    assert "no connection" in probe.detail


@pytest.mark.parametrize(("latency", "named"), [("200ms", "0.2 s"), ("5s", "0.3 s")])
def test_who_does_not_take_the_connection_is_too_late(latency: str, named: str) -> None:
    """A full backlog: the kernel lets further connections wait. The less of `latency` and the time there is counts."""
    waiting = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        try:
            for _ in range(4):
                client = socket.socket()
                waiting.append(client)
                client.setblocking(False)
                client.connect_ex(address)
            probe = check(f"127.0.0.1:{address[1]}", latency=latency).probe(0.3)
        finally:
            for client in waiting:
                client.close()
    assert not probe.ok
    assert probe.detail == f"no connection within {named}"


def test_a_name_that_nobody_can_look_up_is_no() -> None:
    assert not check(f"{'a' * 70}.invalid:80").probe(10).ok


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({}, "tcp"),
        ({"tcp": 5432}, "tcp"),
        ({"tcp": "web"}, "tcp"),
        ({"tcp": ":80"}, "tcp"),
        ({"tcp": "web:"}, "tcp"),
        ({"tcp": "web:0"}, "tcp"),
        ({"tcp": "web:65536"}, "tcp"),
        ({"tcp": "web:http"}, "tcp"),
        ({"tcp": "::1:80"}, "tcp"),
        ({"tcp": "[web]:80"}, "tcp"),
        ({"tcp": "web:80", "latency": "6s"}, "latency"),
        ({"tcp": "web:80", "latency": 1}, "latency"),
        ({"tcp": "web:80", "expect": "x"}, "expect"),
    ],
)
def test_setting_that_cannot_work_is_refused(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(SettingsRefusedError) as refused:
        TcpCheck.from_settings(settings)
    assert refused.value.field == field
