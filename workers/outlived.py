"""Runs of this node that outlived their attempts: the node was away, and somebody decided meanwhile. They are ended."""

from pathlib import Path

from orchestrator import log
from orchestrator.db import Database
from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.repositories import attempts
from orchestrator.services import work
from orchestrator.targets import command
from orchestrator.targets.base import Run, TargetError
from workers.driving import make_target

GRACE_SECONDS = 10.0

_logger = log.get(__name__)


def end_outlived(database: Database, runs_dir: Path) -> int:
    """End every living run whose attempt has ended without it; how many. What cannot be ended now is left to the next call."""
    living = command.living(str(runs_dir))
    if not living:
        return 0
    with database.reading() as session:
        found = attempts.outlived(session, living)
    ended = 0
    for row in found:
        fence = work.fence(row.application, row.environment, row.target_name)
        try:
            target = make_target(row.target["kind"], row.target["settings"], runs_dir=runs_dir)
            target.abort(Run(row.name, fence, row.token), grace_seconds=GRACE_SECONDS)
        except (TargetError, SettingsRefusedError) as error:
            _logger.warning("run_outlives_its_attempt", run=row.name, error=str(error))
            continue
        _logger.warning("run_ended_that_outlived_its_attempt", run=row.name)
        ended += 1
    return ended
