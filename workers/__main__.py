"""`python -m workers worker` and `python -m workers beat`, with Celery's arguments: the same as `celery -A workers.app worker`.

Celery's own command also loads its shell and Flower, whatever it is told to do, and that takes a quarter of a worker's start.
"""

import gc
from importlib import import_module

import click
from celery.bin.base import CLIContext
from celery.bin.beat import beat
from celery.bin.worker import worker

APPS = {"worker": "workers.app", "beat": "workers.beat"}


@click.group(commands={"worker": worker, "beat": beat})
@click.pass_context
def main(context: click.Context) -> None:
    """Start a worker or the clock."""
    gc.disable()  # while modules are read there is none to find, and looking for it takes a tenth of a start
    app = import_module(APPS[str(context.invoked_subcommand)]).app
    gc.freeze()
    gc.enable()
    context.obj = CLIContext(app=app, no_color=False, workdir=None)


if __name__ == "__main__":
    main(prog_name="python -m workers")
