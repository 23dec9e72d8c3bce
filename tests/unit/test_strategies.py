"""The built-in strategies against vectors worked out by hand."""

import pytest

from orchestrator.domain.errors import RuleViolationError
from orchestrator.domain.moves import Shift
from orchestrator.strategies.all_at_once import AllAtOnce
from orchestrator.strategies.base import Batch, Candidate, InvalidStrategyError, Surroundings
from orchestrator.strategies.canary import Canary, weights_for
from orchestrator.strategies.rolling import Rolling


def targets(count: int) -> list[Candidate]:
    return [Candidate(f"web-{index}") for index in range(count)]


def sizes(count: int, **settings: object) -> list[int]:
    return [len(batch.targets) for batch in Rolling.from_settings(settings).batches(targets(count))]


def labelled(label: str, **values: str) -> list[Candidate]:
    """Targets named as the keys; one whose value is empty has no such label."""
    return [Candidate(name, {label: value} if value else {}) for name, value in values.items()]


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
    assert AllAtOnce.from_settings({}).batches(targets(3)) == (Batch(("web-0", "web-1", "web-2")),)


def test_the_label_says_who_comes_first_and_numbers_in_it_are_numbers() -> None:
    given = labelled("rank", a="r10", b="", c="r9", d="r10", e="q11", f="9")
    (batch,) = Rolling.from_settings({"batch": "100%", "order_by": "rank"}).batches(given)
    # What is no number comes before what is one, then the order in which they were written; without the label: last.
    assert batch.targets == ("e", "c", "a", "d", "f", "b")


def test_one_zone_is_done_before_the_next_and_sizes_go_on_over_zones() -> None:
    given = labelled("zone", a="north", b="south", c="north", d="", e="north", f="south", g="south")
    batches = Rolling.from_settings({"batch": [1, 2], "zone": "zone"}).batches(given)
    assert [batch.targets for batch in batches] == [("a",), ("c", "e"), ("b", "f"), ("g",), ("d",)]


def test_a_batch_settles_a_zone_bakes_and_nothing_waits_after_the_last() -> None:
    given = labelled("zone", a="north", b="north", c="south", d="south")
    settings = {"zone": "zone", "settle": "30s", "bake": "10m"}
    assert Rolling.from_settings(settings).batches(given) == (
        Batch(("a",), 30),
        Batch(("b",), 600),
        Batch(("c",), 30),
        Batch(("d",), 0),
    )
    longer = {"zone": "zone", "settle": "20m", "bake": "10m", "batch": 2}
    assert Rolling.from_settings(longer).batches(given) == (Batch(("a", "b"), 1200), Batch(("c", "d"), 0))


def test_going_back_keeps_the_order_that_is_given_and_does_not_bake() -> None:
    given = [Candidate(name, {"rank": rank, "zone": zone}) for name, rank, zone in ["d2s", "c1s", "a9n"]]
    strategy = Rolling.from_settings({"order_by": "rank", "zone": "zone", "settle": "5s", "bake": "1h"})
    assert strategy.batches(given, going_back=True) == (Batch(("d",), 5), Batch(("c",), 5), Batch(("a",), 0))


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"bake": "10m"}, "bake"),
        ({"settle": "0s"}, "settle"),
        ({"settle": "25h"}, "settle"),
        ({"settle": "1500ms"}, "settle"),
        ({"settle": 30}, "settle"),
        ({"zone": ""}, "zone"),
        ({"order_by": 1}, "order_by"),
        ({"max_batch_failures": "10%"}, "max_batch_failures"),
        ({"max_batch_failures": -1}, "max_batch_failures"),
    ],
)
def test_waits_labels_and_budgets_that_cannot_be_are_refused(settings: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidStrategyError) as caught:
        Rolling.from_settings(settings)
    assert caught.value.field == field


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


@pytest.mark.parametrize(
    ("share", "canary", "stable", "full", "weights"),
    [
        (5, 1, 1, 100, (5, 100)),  # 5 of 105 are 4.8%
        (10, 1, 9, 100, (100, 100)),
        (50, 1, 2, 100, (100, 50)),
        (50, 1, 1, 256, (256, 256)),
        (99, 1, 1, 100, (100, 1)),
        (1, 1, 1, 100, (1, 100)),
        (40, 1, 1, 10, (7, 10)),  # 7 of 17 are 41%
        (12, 1, 1, 8, (1, 8)),  # 1 of 9 are 11%
    ],
)
def test_a_share_of_the_traffic_as_weights(
    share: int, canary: int, stable: int, full: int, weights: tuple[int, int]
) -> None:
    assert weights_for(share, canary, stable, full=full) == weights


@pytest.mark.parametrize(
    ("share", "canary", "stable", "full", "comes_out"),
    [
        (5, 1, 1, 1, "50%"),
        (5, 1, 1, 10, "9%"),
        (1, 10, 1, 100, "9%"),
        (99, 1, 10, 100, "91%"),
    ],
)
def test_a_share_that_no_weights_come_near_is_refused(
    share: int, canary: int, stable: int, full: int, comes_out: str
) -> None:
    settings = {"canary": canary, "weights": [f"{share}%"]}
    with pytest.raises(RuleViolationError, match=f"{share}% of the requests: .* it would get {comes_out};"):
        Canary.from_settings(settings).moves(targets(canary + stable), Surroundings(full_weight=full))


def test_what_goes_back_has_no_share_and_is_not_refused() -> None:
    around = Surroundings(full_weight=1, going_back=True)
    moves = Canary.from_settings({"weights": ["5%"]}).moves(targets(2), around)
    assert {move.weight for move in moves if isinstance(move, Shift)} == {0, 1}


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"weights": ["5"]}, "weights/0"),
        ({"weights": ["0%"]}, "weights/0"),
        ({"weights": ["100%"]}, "weights/0"),
        ({"weights": ["25%", "5%"]}, "weights"),
        ({"weights": "5%"}, "weights"),
        ({"canary": 0}, "canary"),
        ({"promote": "yes"}, "promote"),
        ({"hold": "2d"}, "hold"),
        ({"batch": 0}, "batch"),
    ],
)
def test_a_canary_with_useless_settings_is_refused(settings: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidStrategyError) as refused:
        Canary.from_settings(settings)
    assert refused.value.field == field


def test_a_canary_that_is_all_targets_is_rolled_through() -> None:
    moves = Canary.from_settings({"weights": ["5%"]}).moves(targets(1), Surroundings(full_weight=100))
    assert [move.weight for move in moves if isinstance(move, Shift)] == [0, 100]


@pytest.mark.parametrize(
    ("count", "down", "settings", "expected"),
    [
        (10, 1, {"batch": "50%", "max_unavailable": "20%"}, [1, 2, 2, 2, 2, 1]),
        (10, 0, {"batch": "50%", "max_unavailable": "20%"}, [2, 2, 2, 2, 2]),
        (10, 0, {"batch": ["1", "25%"], "max_unavailable": "100%"}, [1, 3, 3, 3]),
        (10, 2, {"batch": 5, "max_unavailable": 2}, [1, 1, 2, 2, 2, 2]),
        (10, 4, {"batch": 5, "max_unavailable": 2}, [1, 1, 1, 1, 2, 2, 2]),
        (3, 0, {"batch": 3, "max_unavailable": "10%"}, [1, 1, 1]),
    ],
)
def test_no_batch_takes_more_out_of_service_than_may_be_with_those_that_are_down(
    count: int, down: int, settings: dict[str, object], expected: list[int]
) -> None:
    """The last `down` targets are down; by hand: a batch has at most what may be, less those down that were not changed yet."""
    given = [Candidate(f"web-{index}", down=index >= count - down) for index in range(count)]
    batches = Rolling.from_settings(settings).batches(given)
    assert [len(batch.targets) for batch in batches] == expected
    assert [name for batch in batches for name in batch.targets][:down] == [
        each.name for each in given if each.down
    ]


def test_where_too_many_are_down_in_another_zone_no_other_is_taken_out() -> None:
    given = [Candidate("web-a", {"zone": "n"}), Candidate("web-b", {"zone": "s"}, down=True)]
    with pytest.raises(RuleViolationError, match="1 targets are down and at most 1 may be unavailable"):
        Rolling.from_settings({"zone": "zone", "max_unavailable": 1}).batches(given)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ({"batch": 2}, [("b1",), ("b2",), ("a1",), ("a2",), ("c",)]),
        ({"batch": 2, "mode": "sliding"}, [("b1", "b2"), ("a1", "a2"), ("c",)]),
    ],
)
def test_who_goes_back_is_not_refused_for_what_is_down_and_begins_there(
    mode: dict[str, object], expected: list[tuple[str, ...]]
) -> None:
    zones = {"c": ["c"], "b": ["b2", "b1"], "a": ["a1", "a2"]}
    given = [
        Candidate(name, {"zone": zone}, down=name in {"b1", "a1", "a2"})
        for zone, names in zones.items()
        for name in names
    ]
    rolling = Rolling.from_settings({**mode, "zone": "zone", "max_unavailable": 1})
    with pytest.raises(RuleViolationError, match="3 targets are down"):
        rolling.batches(given)
    assert [batch.targets for batch in rolling.batches(given, going_back=True)] == expected


@pytest.mark.parametrize(
    ("unreachable", "count", "skipped"),
    [
        ("count", 10, 0),
        ({"skip": 2}, 10, 2),
        ({"skip": "2"}, 1, 2),
        ({"skip": "10%"}, 25, 2),
        ({"skip": "10%"}, 9, 0),
        ({"skip": "100%"}, 7, 7),
    ],
)
def test_so_many_targets_that_cannot_be_reached_are_left_out(
    unreachable: object, count: int, skipped: int
) -> None:
    strategy = Rolling.from_settings({"unreachable": unreachable})
    assert strategy.max_skipped(count) == skipped
    assert Rolling.from_settings(strategy.settings()) == strategy


def test_a_person_is_asked_about_them_where_nothing_is_said() -> None:
    assert Rolling.from_settings({}).max_skipped(10) is None
    assert "unreachable" not in Rolling.from_settings({}).settings()


@pytest.mark.parametrize(
    ("unreachable", "field"),
    [
        ("skip", "unreachable"),
        (2, "unreachable"),
        (None, "unreachable"),
        ({}, "unreachable"),
        ({"skip": 1, "count": 1}, "unreachable"),
        ({"skip": 0}, "unreachable/skip"),
        ({"skip": "0%"}, "unreachable/skip"),
        ({"skip": "101%"}, "unreachable/skip"),
        ({"skip": True}, "unreachable/skip"),
    ],
)
def test_what_is_to_become_of_them_is_said_in_one_of_two_ways(unreachable: object, field: str) -> None:
    with pytest.raises(InvalidStrategyError) as caught:
        Rolling.from_settings({"unreachable": unreachable})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("count", "settings", "at_a_time"),
    [
        (10, {"batch": 3}, 3),
        (10, {"batch": "25%"}, 3),
        (10, {"batch": "25%", "rounding": "down"}, 2),
        (3, {"batch": "10%"}, 1),
        (10, {"batch": 5, "max_unavailable": "20%"}, 2),
        (4, {}, 1),
    ],
)
def test_as_many_as_a_batch_has_are_under_way_where_it_slides(
    count: int, settings: dict[str, object], at_a_time: int
) -> None:
    strategy = Rolling.from_settings({**settings, "mode": "sliding"})
    assert strategy.batches(targets(count)) == (
        Batch(tuple(f"web-{index}" for index in range(count)), at_a_time=at_a_time),
    )
    assert Rolling.from_settings(strategy.settings()) == strategy


def test_it_slides_through_one_zone_after_the_other_and_by_fewer_where_some_are_down() -> None:
    given = [
        Candidate("a", {"zone": "n"}),
        Candidate("b", {"zone": "s"}),
        Candidate("c", {"zone": "n"}, down=True),
    ]
    settings = {"mode": "sliding", "batch": 3, "zone": "zone", "bake": "1h"}
    assert Rolling.from_settings(settings).batches(given) == (Batch(("a", "c"), 3600, 3), Batch(("b",), 0, 3))
    assert Rolling.from_settings({**settings, "max_unavailable": 2}).batches(given) == (
        Batch(("c", "a"), 3600, 1),
        Batch(("b",), 0, 1),
    )
    with pytest.raises(RuleViolationError, match="1 targets are down and at most 1 may be unavailable"):
        Rolling.from_settings({**settings, "max_unavailable": 1, "order_by": "zone"}).batches(
            [Candidate("a", {"zone": "n"}), Candidate("c", {"zone": "s"}, down=True)]
        )


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"mode": "floating"}, "mode"),
        ({"mode": "sliding", "batch": [1, 2]}, "batch"),
        ({"mode": "sliding", "settle": "1m"}, "settle"),
        ({"mode": "sliding", "max_batch_failures": 1}, "max_batch_failures"),
    ],
)
def test_what_slides_has_no_batches(settings: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidStrategyError) as caught:
        Rolling.from_settings(settings)
    assert caught.value.field == field


def test_those_that_get_no_requests_come_first_with_their_zone() -> None:
    given = [
        Candidate("a", {"zone": "n"}),
        Candidate("b", {"zone": "s"}),
        Candidate("c", {"zone": "s"}, idle=True),
        Candidate("d", {"zone": "e"}, idle=True),
    ]
    batches = Rolling.from_settings({"zone": "zone"}).batches(given)
    assert [batch.targets for batch in batches] == [("d",), ("c",), ("b",), ("a",)]


@pytest.mark.parametrize(
    ("idle", "first"), [("", "a"), ("c", "a"), ("b", "a"), ("bc", "b"), ("ac", "a"), ("abc", "a")]
)
def test_the_canary_is_another_only_where_nobody_could_take_its_requests(idle: str, first: str) -> None:
    given = [Candidate(name, idle=name in idle) for name in "abc"]
    assert Canary.from_settings({}).batches(given)[0].targets == (first,)
