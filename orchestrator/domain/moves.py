"""What a strategy makes of targets: moves, and the waves that they become."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from orchestrator.domain.plan import PlannedAction, PlannedStep, PlannedWave

ANY_OTHER = "*"
"""In `Shift.beside`: any server of the proxy but the one that is shifted."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Targets that go through every action together; the next move begins `wait_seconds` after their end."""

    targets: tuple[str, ...]
    wait_seconds: int = 0
    at_a_time: int | None = None
    """So many of them at a time, each by itself: the next begins when one has been through every action."""
    out_of_traffic: int | None = None
    """Of such a batch: each gets no new requests while it is changed, and this weight after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Targets whose weight at the proxy becomes another."""

    targets: tuple[str, ...]
    weight: int
    undo: int | None = None
    """The weight they get when the deployment ends without success; None: they keep what they have."""
    drains: bool = False
    """They are taken out to be changed: `undo` is for those on which nothing was run yet."""
    beside: tuple[str, ...] = ()
    """Their weight becomes 0 only while one of these targets, or ANY_OTHER, gets traffic."""
    wait_seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Targets that are verified once more; `asks`: a person says after that whether it goes on."""

    targets: tuple[str, ...]
    wait_seconds: int = 0
    asks: bool = False


Move = Batch | Shift | Again

ShiftActions = Callable[[Shift], tuple[PlannedAction, PlannedAction | None]]
"""Makes the action of a shift, and that of its undoing."""


def lay_out_moves(
    moves: Sequence[Move],
    *,
    actions: Sequence[PlannedAction],
    undos: Sequence[PlannedAction],
    verifying: Sequence[int],
    shift_actions: ShiftActions,
) -> tuple[tuple[PlannedAction, ...], tuple[PlannedWave, ...]]:
    """Make the waves of the moves, and all actions: the pipeline's own and, behind them, their `undos` and those of the shifts.

    `verifying`: which of its own are carried out again where a move asks for that.
    What a move that comes to nothing waits or asks for, because there is no action that verifies, is left to the one before it.
    """
    known = [*actions, *undos]
    indexes: dict[tuple[object, ...], int] = {}
    waves: list[PlannedWave] = []
    for batch, move in enumerate(moves):
        if isinstance(move, Batch):
            todo = _through(move, len(actions), known, indexes, shift_actions)
        elif isinstance(move, Shift):
            todo = [_index_of(move, known, indexes, shift_actions)]
        else:
            todo = [*verifying]
        slides = isinstance(move, Batch) and move.at_a_time is not None
        for chain in [todo] if slides else [[action_index] for action_index in todo]:
            each = itertools.product(move.targets, chain)
            steps = tuple(PlannedStep(n, target, action) for n, (target, action) in enumerate(each))
            waves.append(PlannedWave(len(waves), batch, chain[0], steps))
        if waves and (move.wait_seconds or isinstance(move, Again)):
            asks = isinstance(move, Again) and move.asks
            waves[-1] = replace(
                waves[-1],
                wait_seconds=max(waves[-1].wait_seconds, move.wait_seconds),
                asks=waves[-1].asks or asks,
            )
    return tuple(known), tuple(waves)


def _through(
    batch: Batch,
    action_count: int,
    known: list[PlannedAction],
    indexes: dict[tuple[object, ...], int],
    shift_actions: ShiftActions,
) -> list[int]:
    """Every action, by its index; where each target is taken out of the traffic by itself, between the two shifts of that."""
    todo = list(range(action_count))
    if batch.out_of_traffic is None:
        return todo
    out, back = drained(batch.targets, batch.out_of_traffic)
    return [
        _index_of(out, known, indexes, shift_actions),
        *todo,
        _index_of(back, known, indexes, shift_actions),
    ]


def drained(targets: tuple[str, ...], full_weight: int) -> tuple[Shift, Shift]:
    """Take targets out of the traffic, but only if requests go somewhere else, and give it back; one that fails stays out."""
    return (
        Shift(targets=targets, weight=0, undo=full_weight, drains=True, beside=(ANY_OTHER,)),
        Shift(targets=targets, weight=full_weight),
    )


def _index_of(
    shift: Shift,
    known: list[PlannedAction],
    indexes: dict[tuple[object, ...], int],
    shift_actions: ShiftActions,
) -> int:
    """Where the action of a shift stands; shifts to the same weight under the same conditions share one."""
    key = (shift.weight, shift.undo, shift.drains, shift.beside)
    if key not in indexes:
        action, undo = shift_actions(shift)
        if undo is not None:
            known.append(undo)
            action = replace(action, undo=len(known) - 1)
        known.append(action)
        indexes[key] = len(known) - 1
    return indexes[key]
