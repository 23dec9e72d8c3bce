"""deployments logs: the log alone."""

import click

from orchestrator.cli.attending import detaching
from orchestrator.cli.context import connect
from orchestrator.cli.options import deployment_argument, json_option, timeout_option
from orchestrator.cli.output import emit_array
from orchestrator.cli.reading import LogReader
from orchestrator.cli.views import LogView
from orchestrator.cli.watching import Follower, Timing


@click.command()
@deployment_argument
@click.option("-f", "--follow", is_flag=True, help="Stay until the deployment ends.")
@click.option("--step", type=click.IntRange(1), metavar="STEP", help="Only of the step with this id.")
@click.option(
    "--tail", type=click.IntRange(1, 10_000), metavar="LINES", help="Begin with so many lines at the end."
)
@timeout_option
@json_option
def logs(
    *,
    deployment_id: int,
    follow: bool,
    step: int | None,
    tail: int | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Print the log of a deployment.

    What its steps wrote, each line after its target's name; --tail counts lines of all of them together.
    With --json an array of the pieces as they are stored; with -f too, a piece a line.
    """
    client = connect()
    reader = LogReader(client, deployment_id, step=step, tail=tail)
    if as_json and not follow:
        emit_array(piece for page in reader.pages() for piece in page)
        return
    view = LogView(as_json=as_json)
    if follow:
        with detaching(deployment_id):
            timing = Timing(timeout_seconds=timeout)
            Follower(
                client, deployment_id, view=view, timing=timing, step=step, tail=tail, with_steps=False
            ).run()
    else:
        for page in reader.pages():
            view.log(page)
    view.flush()
