"""What every strategy promises, whoever wrote it: the installed ones are found through their entry points."""

from functools import cache
from importlib.metadata import entry_points
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from orchestrator.strategies.base import Candidate, InvalidStrategyError

INSTALLED = {entry.name: entry.load() for entry in entry_points(group="orchestrator.strategies")}

_percent = st.integers(1, 100).map(lambda number: f"{number}%")
_size = st.one_of(st.integers(1, 60), st.integers(1, 60).map(str), _percent)
SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "batch": st.one_of(_size, st.lists(_size, min_size=1, max_size=5)),
    "rounding": st.sampled_from(["up", "down"]),
    "max_failures": st.one_of(st.integers(0, 60), st.integers(0, 100).map(lambda number: f"{number}%")),
    "max_parallel": st.integers(1, 10_000),
    "max_batch_failures": st.integers(0, 60),
    "order_by": st.sampled_from(["rank", "zone", "absent"]),
    "settle": st.integers(1, 86_400).map(lambda seconds: f"{seconds}s"),
    "zone": st.sampled_from(["zone", "rank", "absent"]),
    "bake": st.integers(1, 86_400).map(lambda seconds: f"{seconds}s"),
}
labels = st.fixed_dictionaries(
    {}, optional={"zone": st.sampled_from("nsew"), "rank": st.text("0129ab\u0663\u00b2", max_size=4)}
)
targets = st.lists(labels, max_size=120).map(
    lambda found: [Candidate(f"web-{index}", each) for index, each in enumerate(found)]
)


def made(kind: str, data: st.DataObject) -> Any:
    """A strategy of the kind with some of the settings it knows; those that do not go together are drawn anew."""
    some = data.draw(st.fixed_dictionaries({}, optional=SETTINGS))
    known = {key: value for key, value in some.items() if _knows(kind, key)}
    try:
        return INSTALLED[kind].from_settings(known)
    except InvalidStrategyError:
        reject()


@cache
def _knows(kind: str, key: str) -> bool:
    try:
        INSTALLED[kind].from_settings({key: object()})
    except InvalidStrategyError as error:
        return "no such setting" not in error.message
    return True


def test_the_built_in_strategies_are_installed() -> None:
    assert {"all-at-once", "rolling"} <= INSTALLED.keys()


@pytest.mark.parametrize("kind", sorted(INSTALLED))
class TestStrategy:
    @given(data=st.data(), given_=targets, going_back=st.booleans())
    def test_each_target_is_in_exactly_one_batch_and_nothing_waits_after_the_last(
        self, kind: str, data: st.DataObject, given_: list[Candidate], going_back: bool
    ) -> None:
        batches = made(kind, data).batches(given_, going_back=going_back)
        found = [name for batch in batches for name in batch.targets]
        assert sorted(found) == sorted(target.name for target in given_)
        assert all(batch.targets and batch.wait_seconds >= 0 for batch in batches)
        assert not batches or batches[-1].wait_seconds == 0

    @given(data=st.data(), count=st.integers(0, 120), going_back=st.booleans())
    def test_the_order_is_kept_where_no_label_says_another(
        self, kind: str, data: st.DataObject, count: int, going_back: bool
    ) -> None:
        names = [f"web-{index}" for index in range(count)]
        batches = made(kind, data).batches([Candidate(name) for name in names], going_back=going_back)
        assert [name for batch in batches for name in batch.targets] == names

    @given(data=st.data(), given_=targets)
    def test_the_settings_make_an_equal_strategy(
        self, kind: str, data: st.DataObject, given_: list[Candidate]
    ) -> None:
        strategy = made(kind, data)
        again = INSTALLED[kind].from_settings(strategy.settings())
        assert again.settings() == strategy.settings()
        assert again.batches(given_) == strategy.batches(given_)
        assert again.max_failures(len(given_)) == strategy.max_failures(len(given_))
        assert (again.max_parallel, again.max_batch_failures) == (
            strategy.max_parallel,
            strategy.max_batch_failures,
        )

    @given(data=st.data(), count=st.integers(1, 500))
    def test_limits_are_usable(self, kind: str, data: st.DataObject, count: int) -> None:
        strategy = made(kind, data)
        assert strategy.max_parallel >= 1
        assert strategy.max_failures(count) >= 0
        assert strategy.max_batch_failures is None or strategy.max_batch_failures >= 0

    def test_an_unknown_setting_is_refused_and_named(self, kind: str) -> None:
        with pytest.raises(InvalidStrategyError) as caught:
            INSTALLED[kind].from_settings({"no_such_setting": 1})
        assert caught.value.field == "no_such_setting"

    @pytest.mark.parametrize("value", [0, -1, True, 1.5, "many", None, []])
    def test_a_useless_max_parallel_is_refused(self, kind: str, value: object) -> None:
        with pytest.raises(InvalidStrategyError) as caught:
            INSTALLED[kind].from_settings({"max_parallel": value})
        assert caught.value.field == "max_parallel"
