"""Deployments' tasks."""

from orchestrator import log
from orchestrator.tasks import TaskName
from workers.app import app
from workers.tasks.shell import guarded


@app.task(name=TaskName.ADVANCE)
def advance(deployment_id: int) -> None:
    """Let a deployment make its next moves."""
    with log.about(deployment=deployment_id):
        guarded(TaskName.ADVANCE, deployment_id, lambda follower: follower.advance(deployment_id))
