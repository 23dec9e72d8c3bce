"""The task that asks how releases are that soak."""

from orchestrator.tasks import TaskName
from workers.app import app
from workers.tasks.shell import guarded


@app.task(name=TaskName.ASK_FOR_HEALTH)
def ask(deployment_id: int) -> None:
    """Ask the environment of a deployment that succeeded for its health."""
    guarded(TaskName.ASK_FOR_HEALTH, deployment_id, lambda follower: follower.ask_for_health(deployment_id))
