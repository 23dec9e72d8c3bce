"""What every strategy promises, whoever wrote it: the installed ones are found through their entry points."""

from importlib.metadata import entry_points
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.strategies.base import InvalidStrategyError

INSTALLED = {entry.name: entry.load() for entry in entry_points(group="orchestrator.strategies")}

_percent = st.integers(1, 100).map(lambda number: f"{number}%")
_size = st.one_of(st.integers(1, 60), st.integers(1, 60).map(str), _percent)
SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "batch": st.one_of(_size, st.lists(_size, min_size=1, max_size=5)),
    "rounding": st.sampled_from(["up", "down"]),
    "max_failures": st.one_of(st.integers(0, 60), st.integers(0, 100).map(lambda number: f"{number}%")),
    "max_parallel": st.integers(1, 10_000),
}
targets = st.integers(0, 120).map(lambda count: [f"web-{index}" for index in range(count)])


def accepted_keys(kind: str) -> list[str]:
    return sorted(INSTALLED[kind].from_settings({}).settings())


def made(kind: str, data: st.DataObject) -> Any:
    known = {key: SETTINGS[key] for key in accepted_keys(kind) if key in SETTINGS}
    settings = data.draw(st.fixed_dictionaries({}, optional=known))
    return INSTALLED[kind].from_settings(settings)


def test_the_built_in_strategies_are_installed() -> None:
    assert {"all-at-once", "rolling"} <= INSTALLED.keys()


@pytest.mark.parametrize("kind", sorted(INSTALLED))
class TestStrategy:
    @given(data=st.data(), names=targets)
    def test_each_target_is_in_exactly_one_batch_and_the_order_is_kept(
        self, kind: str, data: st.DataObject, names: list[str]
    ) -> None:
        batches = made(kind, data).batches(names)
        assert [name for batch in batches for name in batch] == names
        assert all(batches)

    @given(data=st.data(), names=targets)
    def test_the_settings_make_an_equal_strategy(
        self, kind: str, data: st.DataObject, names: list[str]
    ) -> None:
        strategy = made(kind, data)
        again = INSTALLED[kind].from_settings(strategy.settings())
        assert again.settings() == strategy.settings()
        assert again.batches(names) == strategy.batches(names)
        assert again.max_failures(len(names)) == strategy.max_failures(len(names))
        assert again.max_parallel == strategy.max_parallel

    @given(data=st.data(), count=st.integers(1, 500))
    def test_limits_are_usable(self, kind: str, data: st.DataObject, count: int) -> None:
        strategy = made(kind, data)
        assert strategy.max_parallel >= 1
        assert strategy.max_failures(count) >= 0

    def test_an_unknown_setting_is_refused_and_named(self, kind: str) -> None:
        with pytest.raises(InvalidStrategyError) as caught:
            INSTALLED[kind].from_settings({"no_such_setting": 1})
        assert caught.value.field == "no_such_setting"

    @pytest.mark.parametrize("value", [0, -1, True, 1.5, "many", None, []])
    def test_a_useless_max_parallel_is_refused(self, kind: str, value: object) -> None:
        with pytest.raises(InvalidStrategyError) as caught:
            INSTALLED[kind].from_settings({"max_parallel": value})
        assert caught.value.field == "max_parallel"
