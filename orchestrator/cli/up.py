"""`releasectl up`: everything on this machine, in the foreground. Imported only when it is used."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from orchestrator.embedded.output import Output
from orchestrator.embedded.spec import StoppedError
from orchestrator.embedded.stack import Stack, StackOptions

_KILLED_EXIT_CODE = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command(name="up")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="DATA_DIR",
    default=Path(".data"),
    show_default=True,
    help="Where the stores and secrets live; survives restarts.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    default=8000,
    show_default=True,
    help="Of the web server, or the next free.",
)
@click.option(
    "--stream-port",
    type=click.IntRange(1, 65_535),
    default=8001,
    show_default=True,
    help="Of the stream process, or the next free.",
)
@click.option(
    "--flower-port",
    type=click.IntRange(1, 65_535),
    default=5555,
    show_default=True,
    help="Of Flower, or the next free.",
)
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="How many worker processes."
)
@click.option("--no-flower", is_flag=True, help="Do not start Flower.")
def up(
    *, data_dir: Path, port: int, stream_port: int, flower_port: int, workers: int, no_flower: bool
) -> None:
    """Start everything on this machine: stores, web, stream, workers, beat and Flower.

    Ctrl-C lets running work hand over and stops; a second one kills.
    Set DATABASE_URL or REDIS_URL to use stores you have.
    """
    options = StackOptions(
        data_dir=data_dir,
        env=os.environ,
        port=port,
        stream_port=stream_port,
        flower_port=None if no_flower else flower_port,
        workers=workers,
    )
    output = Output(sys.stderr, colour=sys.stderr.isatty() and not os.environ.get("NO_COLOR"))
    try:
        stack = Stack(options, output=output, progress=lambda line: output.write("up", line))
        killed = _run(stack)
    except StoppedError:
        return
    if killed:
        sys.exit(_KILLED_EXIT_CODE)


def _run(stack: Stack) -> bool:
    """Run until a signal; hand back whether a second one made it kill."""
    signals = _Signals(stack)
    with signals.heard():
        try:
            stack.start()
            _announce(stack)
            signals.first.wait()
            click.echo("Stopping; once more to kill.", err=True)
        finally:
            _tell_admin(stack)
            stack.stop()
    return signals.second.is_set()


command = up


class _Signals:
    """The first signal asks for a stop, the second for a kill.

    The handlers only write to a pipe that a thread reads: an Event set in a handler could wait for itself.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.first = threading.Event()
        self.second = threading.Event()

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Hear the signals until the end of the block."""
        reading, writing = os.pipe()
        threading.Thread(target=self._listen, args=(reading,), name="signals", daemon=True).start()
        heard = [
            number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN
        ]  # as under nohup
        before = {
            number: signal.signal(number, lambda *_: os.write(writing, b"!") and None) for number in heard
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(writing)

    def _listen(self, reading: int) -> None:
        while os.read(reading, 1):
            if self.first.is_set():
                self.second.set()
                self._stack.hurry()
            self.first.set()
            self._stack.interrupt()
        os.close(reading)


def _announce(stack: Stack) -> None:
    lines = ["", f"  Web     {stack.url}", f"  API     {stack.url}/docs"]
    if stack.flower_url:
        lines.append(f"  Flower  {stack.flower_url}  ({stack.flower_login})")
    lines += [f"  Data    {stack.data_dir}", ""]
    click.echo("\n".join(lines))
    _tell_admin(stack)


def _tell_admin(stack: Stack) -> None:
    """Print the first admin's password once, also if the start fails later: nobody could learn it then."""
    if stack.admin:
        click.echo(
            f"  Log in as {stack.admin.username} with the password {stack.admin.password}  (shown only now)\n"
        )
        stack.admin = None
