"""The Celery application of the workers: `celery -A workers.app worker`."""

from functools import partial
from typing import Any

from celery.signals import (
    celeryd_after_setup,
    setup_logging,
    worker_ready,
    worker_shutting_down,
)

from orchestrator import log, metrics_port
from orchestrator.config import Settings
from orchestrator.tasks import make_celery, node_queue
from workers import chores, context, metrics
from workers.drift import LOOK_SECONDS, is_due
from workers.follower import Follower
from workers.housekeeping import PRUNE_SECONDS, SWEEP_SECONDS, prune_runs, sweep
from workers.outlived import end_outlived
from workers.poller import Poller
from workers.tasks.shell import at_the_edge, guarded

POLL_SECONDS = 2.0
OUTLIVED_SECONDS = 15.0
STILL_SECONDS = 30.0
"""How long a transaction may go on: each of ours is over in a moment, and no lock is waited for longer than 10 s."""

app = make_celery()
app.autodiscover_tasks(["workers.tasks"], related_name="deployments", force=True)
app.autodiscover_tasks(["workers.tasks"], related_name="steps", force=True)
app.autodiscover_tasks(["workers.tasks"], related_name="health", force=True)
app.autodiscover_tasks(["workers.tasks"], related_name="recovery", force=True)
app.autodiscover_tasks(["workers.tasks"], related_name="notifications", force=True)


@setup_logging.connect
def _configure_logging(**_kw: Any) -> None:
    log.configure(Settings.from_env().log_level)


@celeryd_after_setup.connect
def _take_from_the_nodes_queue(instance: Any = None, **_kw: Any) -> None:
    instance.app.amqp.queues.select_add(node_queue(context.current().worker.node))


@worker_ready.connect
def _begin(**_kw: Any) -> None:
    ours = context.current()
    ours.leases.start(at_the_edge)
    metrics.LEASES.set_function(ours.leases.count)
    poller = Poller(ours)
    metrics_port.serve(ours.settings, lives=poller.lives)
    chores.start(ours, "poller", poller.poll, every_seconds=POLL_SECONDS)
    outlived = partial(end_outlived, ours.database, ours.settings.runs_dir)
    chores.start(ours, "drift", partial(_check_drift, ours), every_seconds=LOOK_SECONDS)
    chores.start(ours, "sweep", partial(sweep, ours), every_seconds=SWEEP_SECONDS)
    chores.start(ours, "prune", partial(prune_runs, ours), every_seconds=PRUNE_SECONDS)
    chores.start(ours, "outlived", outlived, every_seconds=OUTLIVED_SECONDS)
    chores.start(ours, "still", partial(ours.cut_still, STILL_SECONDS), every_seconds=STILL_SECONDS / 10)


def _check_drift(ours: context.WorkerContext) -> None:
    if is_due(ours):
        guarded("drift check", 0, Follower.check_drift)


@worker_shutting_down.connect
def _end_slices(**_kw: Any) -> None:
    context.current().leases.end_slices()
