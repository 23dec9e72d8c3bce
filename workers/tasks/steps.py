"""Steps' tasks."""

from orchestrator import log
from orchestrator.tasks import TaskName
from workers.app import app
from workers.tasks.shell import guarded


@app.task(name=TaskName.RUN_STEP)
def run_step(attempt_id: int) -> None:
    """Follow one attempt for one slice."""
    with log.about(attempt=attempt_id):
        guarded(TaskName.RUN_STEP, attempt_id, lambda follower: follower.run_step(attempt_id))
