"""The registry of plugins, over entry points of real distributions."""

import sys
from pathlib import Path

import pytest

from orchestrator import plugins
from orchestrator.checks.http import HttpCheck
from orchestrator.targets.command import CommandTarget
from orchestrator.targets.noop import NoopTarget

GROUP = "orchestrator.tests"


def install(site: Path, distribution: str, entries: str) -> None:
    """Put a distribution with entry points into a folder of sys.path, as pip would."""
    info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def test_built_in_target_kinds_come_through_the_entry_points() -> None:
    kinds = plugins.target_kinds()
    assert kinds["command"] is CommandTarget
    assert kinds["noop"] is NoopTarget
    assert plugins.target_kind("noop") is NoopTarget


def test_built_in_checks_and_strategies_are_known() -> None:
    assert plugins.check_kind("http") is HttpCheck
    assert {"prometheus", "tcp"} <= set(plugins.check_kinds())
    assert {"all-at-once", "rolling"} <= set(plugins.strategies())


def test_unknown_name_is_answered_with_the_nearest_and_all_known() -> None:
    with pytest.raises(plugins.UnknownPluginError) as unknown:
        plugins.target_kind("comand")
    assert "did you mean 'command'?" in unknown.value.message
    assert "known: command, docker, docker-local, http, noop, ssh" in unknown.value.message
    with pytest.raises(plugins.UnknownPluginError) as far:
        plugins.strategy("xyzzy")
    assert "did you mean" not in far.value.message


def test_plugin_of_a_third_party_is_loaded_when_it_is_asked_for(site: Path) -> None:
    install(
        site,
        "acme-targets",
        "pager = acme_pager:Pager\nbroken = acme_missing:Thing\nempty = acme_pager:Nothing",
    )
    (site / "acme_pager.py").write_text("class Pager: pass\n")
    registry = plugins.Registry(GROUP, "kind of test")
    assert list(registry) == ["broken", "empty", "pager"]
    assert "acme_pager" not in sys.modules
    pager = registry.named("pager")
    assert pager.__name__ == "Pager"
    assert registry["pager"] is pager
    del sys.modules["acme_pager"]


@pytest.mark.parametrize("name", ["broken", "empty"])
def test_plugin_that_cannot_be_loaded_names_its_owner(site: Path, name: str) -> None:
    install(site, "acme-targets", "broken = acme_missing:Thing\nempty = json:Nothing")
    with pytest.raises(plugins.PluginUnusableError, match=f"{name}.*acme-targets"):
        plugins.Registry(GROUP, "kind of test").named(name)


def test_two_plugins_of_one_name_are_refused_naming_both_owners(site: Path) -> None:
    install(site, "acme-one", "same = json:JSONEncoder")
    install(site, "acme-two", "same = json:JSONDecoder")
    with pytest.raises(plugins.PluginConflictError) as conflict:
        plugins.Registry(GROUP, "kind of test")
    assert "acme-one" in conflict.value.message
    assert "acme-two" in conflict.value.message
    assert "'same'" in conflict.value.message
