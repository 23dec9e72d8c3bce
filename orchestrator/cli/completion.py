"""completion: the script a shell needs; and what it offers for names that only the server knows."""

from collections.abc import Callable

import click
from click.shell_completion import get_completion_class

from orchestrator.cli.options import json_option
from orchestrator.cli.output import emit_json
from orchestrator.domain.errors import OrchestratorError

VARIABLE = "_RELEASECTL_COMPLETE"
Complete = Callable[[click.Context, click.Parameter, str], list[str]]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
def completion(shell: str, as_json: bool) -> None:
    """Print the completion script of SHELL.

    For bash, in ~/.bashrc: eval "$(releasectl completion bash)"
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no shell {shell}.")
    script = kind(click.get_current_context().find_root().command, {}, "releasectl", VARIABLE).source()
    if as_json:
        emit_json({"shell": shell, "script": script})
    else:
        click.echo(script)


def _names_at(path: str) -> Complete:
    """Names in a list of the server; none if it cannot be asked: a Tab key shows no errors."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        from orchestrator.cli.context import connect  # noqa: PLC0415 - only when Tab is pressed

        try:
            names = [str(each["name"]) for each in connect().items(path, limit=200)]
        except OrchestratorError:
            return []
        return [name for name in names if name.startswith(incomplete)]

    return complete


complete_application = _names_at("/applications")
complete_environment = _names_at("/environments")
