"""What is put back when a deployment ends without success: pure, from what was started where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.domain.plan import PlannedAction

CHANGING = ("run", "files")
"""The kinds of action after which a target is another."""


@dataclass(frozen=True, slots=True)
class Started:
    """What was started on one target: actions by their index, in the order of their waves."""

    target_id: int
    actions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UndoWave:
    """One action that puts something back, on the targets in this order."""

    action_index: int
    target_ids: tuple[int, ...]


def undo_waves(
    actions: Sequence[PlannedAction], started: Sequence[Started], *, scripts: bool
) -> tuple[UndoWave, ...]:
    """First traffic goes back to where nothing was changed, then it leaves where something was, then `undo` scripts run.

    Each target gets the undoing of its newest shift only. Scripts come newest first, and only where `scripts` are wanted.
    """
    raising: dict[int, list[int]] = {}
    lowering: dict[int, list[int]] = {}
    for each in started:
        undo = _of_traffic(actions, each)
        if undo is not None:
            weight = int(actions[undo].settings["weight"])
            (raising if weight else lowering).setdefault(undo, []).append(each.target_id)
    waves = [*_as_waves(raising), *_as_waves(lowering)]
    return (*waves, *_of_scripts(actions, started)) if scripts else tuple(waves)


def _of_traffic(actions: Sequence[PlannedAction], started: Started) -> int | None:
    shifts = [index for index in started.actions if actions[index].kind == "traffic"]
    if not shifts:
        return None
    newest = actions[shifts[-1]]
    if newest.only_untouched and any(actions[index].kind in CHANGING for index in started.actions):
        return None
    return newest.undo


def _of_scripts(actions: Sequence[PlannedAction], started: Sequence[Started]) -> list[UndoWave]:
    """By actions, the last one first; the targets that came last first."""
    scripts = [index for index, each in enumerate(actions) if each.kind == "run" and each.undo is not None]
    found = {
        undo: [each.target_id for each in reversed(started) if index in each.actions]
        for index in reversed(scripts)
        if (undo := actions[index].undo) is not None
    }
    return _as_waves({undo: targets for undo, targets in found.items() if targets})


def _as_waves(targets: Mapping[int, Sequence[int]]) -> list[UndoWave]:
    return [UndoWave(index, tuple(each)) for index, each in targets.items()]
