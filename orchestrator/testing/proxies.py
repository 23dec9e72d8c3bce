# ruff: noqa: S101  # these are tests
"""Contract tests for kinds of proxies: subclass, say the class, give the fixture `site`, and pytest runs them."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.traffic.base import Proxy, ProxyError, at_any_time

PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Site:
    """A real proxy before two servers that answer with their names, `old` (weight 100) and `new` (weight 0)."""

    settings: Mapping[str, Any]
    names: Mapping[str, str]
    """What the proxy calls `old` and `new`."""
    ask: Callable[[int], Mapping[str, int]]
    """Who answers how many of so many requests."""
    nobody: Mapping[str, Any]
    """Settings of a proxy that is away."""


class _NotOursError(Exception):
    pass


def _not_ours() -> None:
    raise _NotOursError


class ProxyContract:
    """What every kind of proxy must keep."""

    proxy: type[Proxy]

    @pytest.fixture
    def site(self) -> Site:
        """Return a real proxy."""
        raise NotImplementedError("the test class must give the fixture `site`")

    def made(self, site: Site) -> Proxy:
        """Return it as a plugin."""
        return self.proxy.from_settings(site.settings)

    def test_it_says_what_the_proxy_does(self, site: Site) -> None:
        found = self.made(site).servers(5)
        assert {name: found[name].weight for name in site.names.values()} == {
            site.names["old"]: 100,
            site.names["new"]: 0,
        }
        assert found[site.names["old"]].takes
        assert not found[site.names["new"]].takes
        assert site.ask(20) == {"old": 20}

    def test_a_weight_that_is_set_is_what_the_traffic_follows(self, site: Site) -> None:
        proxy, new, old = self.made(site), site.names["new"], site.names["old"]
        proxy.set_weight(new, 25, timeout_seconds=5, before_writing=at_any_time)
        assert proxy.servers(5)[new].weight == 25
        assert site.ask(250)["new"] in range(48, 53)  # two times round, for who goes round in blocks
        proxy.set_weight(new, 100, timeout_seconds=5, before_writing=at_any_time)
        proxy.set_weight(old, 0, timeout_seconds=5, before_writing=at_any_time)
        assert site.ask(20) == {"new": 20}

    def test_setting_it_twice_is_setting_it_once(self, site: Site) -> None:
        proxy, new = self.made(site), site.names["new"]
        for _ in range(2):
            proxy.set_weight(new, 7, timeout_seconds=5, before_writing=at_any_time)
        found = proxy.servers(5)
        assert (found[new].weight, found[site.names["old"]].weight) == (7, 100)

    def test_who_must_not_write_writes_nothing(self, site: Site) -> None:
        proxy, new = self.made(site), site.names["new"]
        with pytest.raises(_NotOursError):
            proxy.set_weight(new, 50, timeout_seconds=5, before_writing=_not_ours)
        assert proxy.servers(5)[new].weight == 0

    def test_many_who_set_different_servers_do_not_undo_each_other(self, site: Site) -> None:
        proxy, names = self.made(site), list(site.names.values())

        def settle(number: int) -> None:
            name = names[number % 2]
            proxy.set_weight(name, 40 + number % 2, timeout_seconds=5, before_writing=at_any_time)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(settle, range(8)))
        found = proxy.servers(5)
        assert [found[name].weight for name in names] == [40, 41]

    def test_a_server_that_is_not_there_is_an_error(self, site: Site) -> None:
        with pytest.raises(ProxyError):
            self.made(site).set_weight("nobody", 1, timeout_seconds=5, before_writing=at_any_time)

    def test_a_proxy_that_is_away_is_an_error_and_says_so(self, site: Site) -> None:
        proxy, begun = self.proxy.from_settings(site.nobody), time.monotonic()
        with pytest.raises(ProxyError) as caught:
            proxy.servers(2)
        assert str(caught.value)
        assert time.monotonic() - begun < PATIENCE_SECONDS

    def test_an_unknown_setting_is_refused_and_named(self, site: Site) -> None:
        with pytest.raises(SettingsRefusedError) as refused:
            self.proxy.from_settings({**site.settings, "no_such_setting": 1})
        assert refused.value.field == "no_such_setting"

    def test_without_its_settings_it_is_refused(self, site: Site) -> None:
        for missing in site.settings:
            with pytest.raises(SettingsRefusedError) as refused:
                self.proxy.from_settings({k: v for k, v in site.settings.items() if k != missing})
            assert refused.value.field == missing
