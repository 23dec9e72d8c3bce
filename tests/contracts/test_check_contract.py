"""What every check promises, whoever wrote it: the installed ones are found through their entry points."""

import threading
from importlib.metadata import entry_points
from typing import Any

import pytest

from orchestrator.domain.errors import SettingsRefusedError
from tests.ports import free_port

INSTALLED = {entry.name: entry.load() for entry in entry_points(group="orchestrator.checks")}
ENGINE = {"within": "20s", "interval": "1s"}


def settings(kind: str, port: int) -> dict[str, Any]:
    """What a check of the kind needs to ask at a port; a new kind adds itself here."""
    address = f"127.0.0.1:{port}"
    return {
        "http": {"http": f"http://{address}/"},
        "tcp": {"tcp": address},
        "prometheus": {"prometheus": f"http://{address}", "query": "up", "at_least": 0},
    }[kind]


def test_the_built_in_checks_are_installed() -> None:
    assert {"http", "prometheus", "tcp"} <= INSTALLED.keys()


@pytest.mark.parametrize("kind", sorted(INSTALLED))
class TestCheck:
    def test_nobody_there_is_no_and_says_why(self, kind: str) -> None:
        port = free_port()
        probe = INSTALLED[kind].from_settings(settings(kind, port)).probe(5)
        assert not probe.ok
        assert probe.detail

    def test_settings_of_the_engine_change_nothing(self, kind: str) -> None:
        given = settings(kind, 80)
        assert INSTALLED[kind].from_settings({**given, **ENGINE}) == INSTALLED[kind].from_settings(given)

    def test_an_unknown_setting_is_refused_and_named(self, kind: str) -> None:
        with pytest.raises(SettingsRefusedError) as refused:
            INSTALLED[kind].from_settings({**settings(kind, 80), "no_such_setting": 1})
        assert refused.value.field == "no_such_setting"

    def test_without_what_it_asks_it_is_refused(self, kind: str) -> None:
        with pytest.raises(SettingsRefusedError) as refused:
            INSTALLED[kind].from_settings({})
        assert refused.value.field == kind

    def test_it_may_be_asked_by_many_threads_at_once(self, kind: str) -> None:
        port = free_port()
        made, found = INSTALLED[kind].from_settings(settings(kind, port)), []
        threads = [threading.Thread(target=lambda: found.append(made.probe(5))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [probe.ok for probe in found] == [False] * 8
