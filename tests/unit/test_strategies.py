"""The built-in strategies against vectors worked out by hand."""

import pytest

from orchestrator.strategies.all_at_once import AllAtOnce
from orchestrator.strategies.base import InvalidStrategyError
from orchestrator.strategies.rolling import Rolling


def names(count: int) -> list[str]:
    return [f"web-{index}" for index in range(count)]


def sizes(count: int, **settings: object) -> list[int]:
    return [len(batch) for batch in Rolling.from_settings(settings).batches(names(count))]


@pytest.mark.parametrize(
    ("count", "batch", "rounding", "expected"),
    [
        (10, ["1", "25%"], "up", [1, 3, 3, 3]),
        (10, ["1", "25%"], "down", [1, 2, 2, 2, 2, 1]),
        (3, "10%", "up", [1, 1, 1]),
        (3, "10%", "down", [1, 1, 1]),
        (5, 2, "up", [2, 2, 1]),
        (5, "100%", "up", [5]),
        (2, 50, "up", [2]),
        (7, [1, 2, 3], "up", [1, 2, 3, 1]),
        (10, "30%", "up", [3, 3, 3, 1]),
    ],
)
def test_rolling_batches(count: int, batch: object, rounding: str, expected: list[int]) -> None:
    assert sizes(count, batch=batch, rounding=rounding) == expected


def test_rolling_goes_one_by_one_unless_told() -> None:
    assert sizes(3) == [1, 1, 1]


def test_percentages_are_exact_where_floats_are_not() -> None:
    # 29% of 100 is 29; 0.29 * 100 in binary floating point is 28.999999999999996, and 0.07 * 100 is above 7.
    assert sizes(100, batch="29%", rounding="down")[0] == 29
    assert sizes(100, batch="7%", rounding="up")[0] == 7


def test_all_at_once_is_one_batch() -> None:
    assert AllAtOnce.from_settings({}).batches(names(3)) == (("web-0", "web-1", "web-2"),)


@pytest.mark.parametrize("strategy", [AllAtOnce, Rolling])
@pytest.mark.parametrize(
    ("setting", "count", "tolerated"),
    [(0, 10, 0), (2, 10, 2), ("2", 10, 2), ("25%", 10, 2), ("10%", 3, 0), ("0%", 10, 0), ("100%", 3, 3)],
)
def test_the_failure_budget(
    strategy: type[AllAtOnce] | type[Rolling], setting: object, count: int, tolerated: int
) -> None:
    assert strategy.from_settings({"max_failures": setting}).max_failures(count) == tolerated


def test_a_hundred_steps_run_side_by_side_unless_told() -> None:
    assert Rolling.from_settings({}).max_parallel == 100
    assert AllAtOnce.from_settings({"max_parallel": 3}).max_parallel == 3


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"batch": 0}, "batch"),
        ({"batch": "0%"}, "batch"),
        ({"batch": "101%"}, "batch"),
        ({"batch": "2.5%"}, "batch"),
        ({"batch": True}, "batch"),
        ({"batch": 1.0}, "batch"),
        ({"batch": "one"}, "batch"),
        ({"batch": "²"}, "batch"),
        ({"batch": []}, "batch"),
        ({"batch": [1] * 101}, "batch"),
        ({"batch": [1, 0]}, "batch/1"),
        ({"batch": [[1]]}, "batch/0"),
        ({"rounding": "nearest"}, "rounding"),
        ({"rounding": ["up"]}, "rounding"),
        ({"max_failures": -1}, "max_failures"),
        ({"max_failures": "120%"}, "max_failures"),
        ({"max_parallel": 10_001}, "max_parallel"),
    ],
)
def test_useless_settings_are_refused_at_their_place(settings: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidStrategyError) as caught:
        Rolling.from_settings(settings)
    assert caught.value.field == field


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(InvalidStrategyError, match="did you mean `batch`"):
        Rolling.from_settings({"bach": 1})
