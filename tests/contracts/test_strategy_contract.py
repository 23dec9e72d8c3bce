"""What every strategy promises, whoever wrote it: the installed ones are found through their entry points."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from orchestrator.domain.errors import RuleViolationError
from orchestrator.domain.moves import Again, Batch, Move, Shift, drained, lay_out_moves
from orchestrator.domain.plan import PlannedAction
from orchestrator.domain.undoing import Started, undo_waves
from orchestrator.strategies.base import (
    Candidate,
    InvalidStrategyError,
    LeavesOut,
    MovesTraffic,
    Surroundings,
)

INSTALLED = {entry.name: entry.load() for entry in entry_points(group="orchestrator.strategies")}

_percent = st.integers(1, 100).map(lambda number: f"{number}%")
_size = st.one_of(st.integers(1, 60), st.integers(1, 60).map(str), _percent)
SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "batch": st.one_of(_size, st.lists(_size, min_size=1, max_size=5)),
    "mode": st.sampled_from(["barrier", "sliding"]),
    "rounding": st.sampled_from(["up", "down"]),
    "max_failures": st.one_of(st.integers(0, 60), st.integers(0, 100).map(lambda number: f"{number}%")),
    "max_parallel": st.integers(1, 10_000),
    "max_batch_failures": st.integers(0, 60),
    "order_by": st.sampled_from(["rank", "zone", "absent"]),
    "settle": st.integers(1, 86_400).map(lambda seconds: f"{seconds}s"),
    "zone": st.sampled_from(["zone", "rank", "absent"]),
    "bake": st.integers(1, 86_400).map(lambda seconds: f"{seconds}s"),
    "max_unavailable": st.one_of(st.integers(1, 60), st.integers(1, 100).map(lambda number: f"{number}%")),
    "unreachable": st.one_of(
        st.just("count"),
        st.one_of(st.integers(1, 60), st.integers(1, 100).map(lambda number: f"{number}%")).map(
            lambda most: {"skip": most}
        ),
    ),
    "side": st.sampled_from(["side", "zone"]),
    "keep": st.integers(1, 86_400).map(lambda seconds: f"{seconds}s"),
    "canary": _size,
    "weights": st.sets(st.integers(1, 99), max_size=5).map(
        lambda found: [f"{each}%" for each in sorted(found)]
    ),
    "hold": st.integers(1, 86_400).map(lambda seconds: f"{seconds}s"),
    "promote": st.sampled_from(["auto", "manual"]),
}
labels = st.fixed_dictionaries(
    {},
    optional={
        "side": st.sampled_from(["blue", "green"]),
        "zone": st.sampled_from("nsew"),
        "rank": st.text("0129ab\u0663\u00b2", max_size=4),
    },
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
    assert {"all-at-once", "rolling", "blue-green", "canary"} <= INSTALLED.keys()


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

    @given(data=st.data(), count=st.integers(1, 500))
    def test_whoever_leaves_targets_out_says_how_many_and_says_it_again(
        self, kind: str, data: st.DataObject, count: int
    ) -> None:
        strategy = made(kind, data)
        if not isinstance(strategy, LeavesOut):
            return
        most, fewer = strategy.max_skipped(count), strategy.max_skipped(count - 1)
        assert (most is None) == ("unreachable" not in strategy.settings())
        assert most is None or (fewer is not None and 0 <= fewer <= most)
        assert INSTALLED[kind].from_settings(strategy.settings()).max_skipped(count) == most

    def test_an_unknown_setting_is_refused_and_named(self, kind: str) -> None:
        with pytest.raises(InvalidStrategyError) as caught:
            INSTALLED[kind].from_settings({"no_such_setting": 1})
        assert caught.value.field == "no_such_setting"

    @pytest.mark.parametrize("value", [0, -1, True, 1.5, "many", None, []])
    def test_a_useless_max_parallel_is_refused(self, kind: str, value: object) -> None:
        with pytest.raises(InvalidStrategyError) as caught:
            INSTALLED[kind].from_settings({"max_parallel": value})
        assert caught.value.field == "max_parallel"


MOVING = sorted(name for name, kind in INSTALLED.items() if hasattr(kind, "moves"))
OWN = (
    PlannedAction(kind="run", title="install", settings={"script": "./install"}),
    PlannedAction(kind="verify", title="answers", settings={}, check="http"),
)
around = st.builds(
    Surroundings,
    full_weight=st.integers(1, 256),
    live=st.sampled_from(["", "blue", "green", "elsewhere"]),
    going_back=st.booleans(),
)


def shifting(shift: Shift) -> tuple[PlannedAction, PlannedAction | None]:
    """The actions of a shift as small as can be."""
    made = [
        PlannedAction(
            kind="traffic", title=str(weight), settings={"weight": weight}, only_untouched=shift.drains
        )
        for weight in (shift.weight, shift.undo)
        if weight is not None
    ]
    return made[0], made[1] if len(made) > 1 else None


class Field:
    """What targets have at any moment: which weight, and whether the release was put on them."""

    def __init__(self, moves: tuple[Move, ...], full: int) -> None:
        self.weights = {name: full for move in moves for name in move.targets}
        self.changed: set[str] = set()


@pytest.mark.parametrize("kind", MOVING)
class TestMoves:
    @given(data=st.data(), given_=targets, around=around)
    def test_each_target_is_changed_at_most_once_and_nothing_waits_or_asks_at_the_end(
        self, kind: str, data: st.DataObject, given_: list[Candidate], around: Surroundings
    ) -> None:
        moves = drawn(kind, data, given_, around)
        changed = [name for move in moves if isinstance(move, Batch) for name in move.targets]
        assert len(set(changed)) == len(changed)
        assert all(move.targets and move.wait_seconds >= 0 for move in moves)
        assert not moves or not moves[-1].wait_seconds
        assert not moves or not (isinstance(moves[-1], Again) and moves[-1].asks)
        if not INSTALLED[kind].needs_traffic:
            assert sorted(changed) == sorted(target.name for target in given_)

    @given(data=st.data(), given_=targets, around=around)
    def test_nobody_is_changed_under_traffic(
        self, kind: str, data: st.DataObject, given_: list[Candidate], around: Surroundings
    ) -> None:
        moves = drawn(kind, data, given_, around)
        field = Field(moves, around.full_weight or 0)
        for move in one_by_one(moves):
            if isinstance(move, Batch):
                assert all(field.weights[name] == 0 for name in move.targets)
            elif isinstance(move, Shift):
                field.weights |= dict.fromkeys(move.targets, move.weight)

    @given(data=st.data(), given_=targets, around=around)
    def test_after_a_success_all_that_have_the_release_have_all_their_weight(
        self, kind: str, data: st.DataObject, given_: list[Candidate], around: Surroundings
    ) -> None:
        moves = drawn(kind, data, given_, around)
        field = Field(moves, around.full_weight or 0)
        for move in one_by_one(moves):
            if isinstance(move, Shift):
                field.weights |= dict.fromkeys(move.targets, move.weight)
        changed = {name for move in moves if isinstance(move, Batch) for name in move.targets}
        assert all(field.weights[name] == around.full_weight for name in changed)
        assert all(field.weights[name] == 0 for name in field.weights.keys() - changed)

    @given(data=st.data(), given_=targets, around=around)
    def test_wherever_it_stops_who_was_not_changed_gets_its_traffic_back(
        self, kind: str, data: st.DataObject, given_: list[Candidate], around: Surroundings
    ) -> None:
        moves = drawn(kind, data, given_, around)
        actions, waves = lay_out_moves(moves, actions=OWN, undos=(), verifying=[1], shift_actions=shifting)
        names = list(dict.fromkeys(step.target for wave in waves for step in wave.steps))
        steps = [step for wave in waves for step in wave.steps]
        stop = data.draw(st.integers(0, len(steps)))
        field = Field(moves, around.full_weight or 0)
        began: dict[str, list[int]] = {name: [] for name in names}
        for step in steps[:stop]:
            began[step.target].append(step.action_index)
            if actions[step.action_index].kind == "traffic":
                field.weights[step.target] = actions[step.action_index].settings["weight"]
            elif actions[step.action_index].kind == "run":
                field.changed.add(step.target)
        started = [Started(index, tuple(began[name])) for index, name in enumerate(names) if began[name]]
        back = undo_waves(actions, started, scripts=False)
        idle = {name for move in moves[:1] if INSTALLED[kind].needs_traffic for name in move.targets}
        for undone in back:
            weight = actions[undone.action_index].settings["weight"]
            field.weights |= {names[index]: weight for index in undone.target_ids}
            assert any(field.weights.values())
        if stop < len(steps):
            untouched = field.weights.keys() - field.changed - idle
            assert all(field.weights[name] == around.full_weight for name in untouched)

    @given(data=st.data(), given_=targets, around=around)
    def test_somebody_else_gets_requests_when_the_first_is_taken_out(
        self, kind: str, data: st.DataObject, given_: list[Candidate], around: Surroundings
    ) -> None:
        if INSTALLED[kind].needs_traffic:
            return  # its other side does
        given_ = [replace(each, idle=data.draw(st.booleans())) for each in given_]
        try:
            moves = drawn(kind, data, given_, around)
        except RuleViolationError:
            reject()
        live = {each.name for each in given_ if not each.idle}
        first = set(next(iter(one_by_one(moves)), Batch(())).targets)
        assert not (first & live) or live - first or len(first) == len(given_)

    @given(data=st.data(), given_=targets, around=around)
    def test_the_targets_of_a_wave_stand_together_in_the_plan(
        self, kind: str, data: st.DataObject, given_: list[Candidate], around: Surroundings
    ) -> None:
        moves = drawn(kind, data, given_, around)
        changed = [name for move in moves if isinstance(move, Batch) for name in move.targets]
        order = list(dict.fromkeys([*changed, *(name for move in moves for name in move.targets)]))
        places = {name: index for index, name in enumerate(order)}
        for move in moves:
            first = places[move.targets[0]]
            assert [places[name] for name in move.targets] == list(range(first, first + len(move.targets)))


def one_by_one(moves: Sequence[Move]) -> Iterator[Move]:
    """The moves, where what slides has one target at a time."""
    for move in moves:
        if not isinstance(move, Batch) or move.out_of_traffic is None:
            yield move
            continue
        for name in move.targets:
            out, back = drained((name,), move.out_of_traffic)
            yield from (out, Batch((name,)), back)


def drawn(kind: str, data: st.DataObject, given_: list[Candidate], around: Surroundings) -> tuple[Move, ...]:
    """The moves of a strategy of the kind; one that cannot do without sides gets targets on two.

    Shares that cannot be had are drawn anew.
    """
    strategy = made(kind, data)
    assert isinstance(strategy, MovesTraffic)
    if strategy.needs_traffic:
        sides = data.draw(st.permutations(["blue", "green"])) + ["green"] * len(given_)
        given_ = [Candidate(f"web-{index}", {strategy.side: side}) for index, side in enumerate(sides)]
    try:
        return strategy.moves(given_, around)
    except RuleViolationError:
        if "weights" not in strategy.settings():
            raise
        reject()  # no weights come near such a share
