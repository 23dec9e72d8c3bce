"""What every proxy promises, asked of the real ones."""

import contextlib
import http.client
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from orchestrator.checks.base import Probe
from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.domain.moves import ANY_OTHER
from orchestrator.testing.proxies import ProxyContract, Site
from orchestrator.traffic.base import ProxyError, Server, at_any_time
from orchestrator.traffic.caddy import CaddyProxy
from orchestrator.traffic.haproxy import HaproxyProxy
from orchestrator.traffic.shift import Shift
from tests.acceptance.fleet import eventually
from tests.ports import free_port
from tests.proxies import CADDY, Backend, caddy, haproxy, needs_haproxy


@contextlib.contextmanager
def _two() -> Iterator[dict[str, tuple[int, int]]]:
    with Backend("old").serving() as old, Backend("new").serving() as new:
        yield {"old": (old.port, 100), "new": (new.port, 0)}


def test_the_built_in_proxies_are_installed() -> None:
    assert {"haproxy", "caddy"} <= {entry.name for entry in entry_points(group="orchestrator.traffic")}


@needs_haproxy
class TestHaproxy(ProxyContract):
    proxy = HaproxyProxy

    @pytest.fixture
    def site(self, tmp_path: Path) -> Iterator[Site]:
        with _two() as servers, haproxy(tmp_path, servers) as running:
            nobody = {"haproxy": f"127.0.0.1:{free_port()}", "backend": "shop"}
            yield Site(running.settings, {"old": "old", "new": "new"}, running.asks, nobody)

    def test_a_server_that_is_down_gets_nothing_and_is_waited_for(self, tmp_path: Path) -> None:
        new = Backend("new", port=free_port())
        with (
            Backend("old").serving() as old,
            haproxy(tmp_path, {"old": (old.port, 100), "new": (new.port, 0)}) as running,
        ):
            proxy = HaproxyProxy.from_settings(running.settings)
            eventually(lambda: not proxy.servers(5)["new"].usable, "HAProxy has seen that new is down")
            shift = Shift(proxy=proxy, server="new", weight=100)
            refused = shift.probe(5, elapsed_seconds=0, before_writing=at_any_time)
            assert not refused.ok
            assert "DOWN" in refused.detail
            forced = Shift(proxy=proxy, server="new", weight=100, forced=True)
            assert forced.probe(5, elapsed_seconds=0, before_writing=at_any_time).ok
            with new.serving():
                eventually(
                    lambda: shift.probe(5, elapsed_seconds=0, before_writing=at_any_time).ok, "new is up"
                )
                assert running.asks(20) == {"old": 10, "new": 10}

    def test_requests_that_are_under_way_are_waited_for(self, tmp_path: Path) -> None:
        with (
            Backend("old").serving() as old,
            Backend("new").serving() as new,
            haproxy(tmp_path, {"old": (old.port, 100), "new": (new.port, 0)}) as running,
        ):
            proxy = HaproxyProxy.from_settings(running.settings)
            shift = Shift(proxy=proxy, server="old", weight=0, drain_seconds=30)
            slow = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
            slow.request("GET", "/slow")
            eventually(lambda: proxy.servers(5)["old"].requests == 1, "the slow request is under way")
            waiting = shift.probe(5, elapsed_seconds=0, before_writing=at_any_time)
            assert (waiting.ok, proxy.servers(5)["old"].weight) == (False, 0)
            assert shift.probe(5, elapsed_seconds=30, before_writing=at_any_time).ok
            old.hold.set()
            assert slow.getresponse().read() == b"old"
            eventually(lambda: shift.probe(5, elapsed_seconds=0, before_writing=at_any_time).ok, "drained")
            slow.close()

    @pytest.mark.parametrize(("beside", "others"), [("new", "new"), (ANY_OTHER, "any other")])
    def test_the_last_that_gets_traffic_is_not_taken_out(self, site: Site, beside: str, others: str) -> None:
        proxy = HaproxyProxy.from_settings(site.settings)
        shift = Shift(proxy=proxy, server="old", weight=0, beside=(beside,))
        refused = shift.probe(5, elapsed_seconds=0, before_writing=at_any_time)
        assert not refused.ok
        assert f"nothing goes to {others}" in refused.detail
        assert proxy.servers(5)["old"] == Server(100, True, 0, "UP")
        proxy.set_weight("new", 1, timeout_seconds=5, before_writing=at_any_time)
        assert shift.probe(5, elapsed_seconds=0, before_writing=at_any_time).ok

    def test_of_two_that_are_taken_out_in_one_moment_one_keeps_its_requests(self, site: Site) -> None:
        proxy = HaproxyProxy.from_settings(site.settings)
        proxy.set_weight("new", 100, timeout_seconds=5, before_writing=at_any_time)
        old, new = (Shift(proxy=proxy, server=each, weight=0, beside=(ANY_OTHER,)) for each in ("old", "new"))
        done: list[Probe] = []

        def meanwhile() -> None:
            if not done:  # it has seen that the other one gets requests, and is about to write
                done.append(new.probe(5, elapsed_seconds=0, before_writing=at_any_time))

        kept = old.probe(5, elapsed_seconds=0, before_writing=meanwhile)
        assert (done[0].ok, kept.ok) == (True, False)
        assert "keeps its weight 100: nothing goes to any other" in kept.detail
        assert [proxy.servers(5)[each].weight for each in ("old", "new")] == [100, 0]

    @pytest.mark.parametrize("backend", ["shop;shutdown sessions server shop/old", "a b", "", "shop\n"])
    def test_a_name_that_is_more_than_a_name_is_refused(self, site: Site, backend: str) -> None:
        with pytest.raises(SettingsRefusedError) as refused:
            HaproxyProxy.from_settings({**site.settings, "backend": backend})
        assert refused.value.field == "backend"

    def test_a_backend_that_is_not_there_is_said(self, site: Site) -> None:
        with pytest.raises(ProxyError, match="No such proxy"):
            HaproxyProxy.from_settings({**site.settings, "backend": "nobody"}).servers(5)


class TestCaddy(ProxyContract):
    proxy = CaddyProxy

    @pytest.fixture
    def site(self, tmp_path: Path) -> Iterator[Site]:
        assert CADDY, "caddy comes with `make install`"
        with _two() as servers, caddy(tmp_path, servers) as running:
            names = {name: f"127.0.0.1:{port}" for name, (port, _) in servers.items()}
            nobody = {"caddy": f"http://127.0.0.1:{free_port()}", "id": "shop"}
            yield Site(running.settings, names, running.asks, nobody)

    def test_a_handler_without_weights_is_said(self, site: Site) -> None:
        with pytest.raises(ProxyError, match="unknown object ID"):
            CaddyProxy.from_settings({**site.settings, "id": "nobody"}).servers(5)
