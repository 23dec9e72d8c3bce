"""Tasks that tell others what happened."""

from orchestrator.tasks import TaskName
from workers import context, telling
from workers.app import app
from workers.tasks.shell import guarded


@app.task(name=TaskName.TELL)
def tell(delivery_id: int) -> None:
    """Try one delivery once."""
    guarded(TaskName.TELL, delivery_id, lambda _: telling.tell(context.current(), delivery_id))
