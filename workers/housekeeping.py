"""Forgetting: old rows, by one worker of all at a time, and old runs, by each node its own."""

from collections.abc import Collection

from orchestrator.repositories import attempts, heartbeats
from orchestrator.services import housekeeping
from orchestrator.targets import command
from orchestrator.targets.runs import forget_unused
from workers.context import WorkerContext

SWEEP_SECONDS = 60.0
PRUNE_SECONDS = 3600.0
SWEEP = "sweep"


def sweep(ours: WorkerContext) -> None:
    """Remove what is too old from the tables, if it is this worker's turn, until nothing is left to remove."""
    with ours.database.transaction() as session:
        mine = heartbeats.take_turn(session, SWEEP, every_seconds=SWEEP_SECONDS / 2)
    while mine and not ours.leases.stopping:
        with ours.database.transaction() as session:
            mine = housekeeping.sweep(session, ours.settings) > 0


def prune_runs(ours: WorkerContext) -> None:
    """Remove folders of runs that ended long ago and that nobody will ask for again, and artifacts nobody has used lately."""

    def still_wanted(names: list[str]) -> Collection[str]:
        with ours.database.reading() as session:
            return attempts.still_open(session, names)

    older = ours.settings.run_retention_hours * 3600.0
    forget_unused(ours.settings.artifacts_dir)
    command.prune(str(ours.settings.runs_dir), older_than_seconds=older, still_wanted=still_wanted)
