"""Every task and every queue there is, and the Celery application that knows them."""

from enum import StrEnum

from celery import Celery

TICK_SECONDS = 1.0


class TaskName(StrEnum):
    """Every task there is."""

    ADVANCE = "deployments.advance"
    RUN_STEP = "steps.run"
    ASK_FOR_HEALTH = "health.ask"
    TICK = "recovery.tick"
    TELL = "notifications.tell"


class QueueName(StrEnum):
    """Every queue there is, beside one for each worker node."""

    DEPLOYMENTS = "deployments"
    DEFAULT = "default"


DEFAULT_QUEUE = QueueName.DEFAULT


def node_queue(node: str) -> str:
    """The queue that only the workers of one node take from."""
    return f"node.{node}"


def make_celery() -> Celery:
    """The application that workers and beat run; settings from celeryconfig.py."""
    app = Celery("orchestrator", set_as_current=False)
    app.config_from_object("celeryconfig")
    return app
