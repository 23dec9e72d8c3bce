"""demo: a stack of its own, a real web service, and a bad release that takes itself back."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from orchestrator import clock
from orchestrator.cli import demo_shop
from orchestrator.cli.demo_shop import Shop
from orchestrator.cli.demo_show import Show, chosen_show
from orchestrator.cli.exits import ExitCode, WaitTimedOutError
from orchestrator.cli.options import json_option
from orchestrator.cli.output import ago
from orchestrator.cli.watching import Timing, watch_to_end
from orchestrator.client import Client, Record
from orchestrator.config import Settings
from orchestrator.domain.errors import OrchestratorError
from orchestrator.embedded.output import Output
from orchestrator.embedded.stack import FirstAdmin, Stack, StackOptions

KEPT_DIR = Path(".data") / "demo"
LOG = "demo.log"
ACT_SECONDS = 120.0
RELEASES = {
    "1.0.0": "The first one.",
    "1.1.0": "Cups are sold.",
    "1.2.0": "Cards are accepted.",
}
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoFailedError(OrchestratorError):
    """The demo did not go as it should."""

    code = "demo_failed"


@dataclass(frozen=True, slots=True)
class Act:
    """One deployment of the story, and how it must end."""

    version: str
    environment: str
    why: str
    ends: ExitCode = ExitCode.OK


ACTS = (
    Act("1.0.0", "staging", "The first release goes to staging: one target, one real web server."),
    Act(
        "1.0.0",
        "production",
        "Staging was good, so production may have it: three targets, one at a time. Each is asked over HTTP "
        "which version it serves before the next one begins.",
    ),
    Act("1.1.0", "staging", "The next release takes the same way."),
    Act("1.1.0", "production", "Each server is replaced while the other two go on serving."),
    Act(
        "1.2.0",
        "staging",
        "This one is broken, but only where PAYMENT_TIMEOUT is set: in production. Staging cannot know.",
    ),
    Act(
        "1.2.0",
        "production",
        "The first target will not answer properly. After the 15 s that the pipeline gives it the deployment "
        "stops, the other two are never touched, and 1.1.0 is put back by itself.",
        ends=ExitCode.ROLLED_BACK,
    ),
)
EXPECTED = {"staging": "1.2.0", "production": "1.1.0"}


@click.command()
@click.option("--keep", is_flag=True, help="Leave it up at the end, until Ctrl-C.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"Where its data goes, and stays.  [default: a temporary folder; with --keep {KEPT_DIR}]",
)
@json_option
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), hidden=True)
def demo(*, keep: bool, data_dir: Path | None, as_json: bool, picture: Path | None) -> None:
    """Watch an application be released, fail and be rolled back.

    Everything it needs it starts itself, on free ports and beside whatever runs here; at the end nothing of
    it is left. It takes about a minute.
    """
    signals = _Signals()
    with (
        signals.heard(),
        chosen_show(as_json=as_json, picture=picture) as show,
        _folder(data_dir, keep=keep) as folder,
        Shop.of(folder) as shop,
    ):
        _perform(_Demo(show=show, shop=shop, folder=folder, keep=keep), signals)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Demo:
    show: Show
    shop: Shop
    folder: Path
    keep: bool

    def tell(self, text: str) -> None:
        """A step; whether anybody still listens must not matter to what is being stopped."""
        with suppress(OSError):
            self.show.progress(text)


class _Signals:
    """The first signal ends the demo like Ctrl-C; while things are being stopped no other one gets in."""

    def __init__(self) -> None:
        self._deaf = False

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        if not self._deaf:
            self._deaf = True
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """From now on."""
        self._deaf = True

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Until the end of the block."""
        before = {number: signal.signal(number, self._hear) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _folder(given: Path | None, *, keep: bool) -> Iterator[Path]:
    """Its data folder, absolute and empty; a temporary one goes at the end, and on failure leaves its log."""
    stays = given is not None or keep
    folder = (given or KEPT_DIR).absolute() if stays else Path(tempfile.mkdtemp(prefix="releasectl-demo-"))
    if not stays and os.geteuid() == 0:
        folder.chmod(0o711)  # the stores of root run as another user, who must pass
    try:
        demo_shop.prepare(folder)
        yield folder
    except Exception:
        log = folder / LOG
        if log.exists():
            kept = log if stays else Path(shutil.move(log, folder.with_suffix(".log")))
            click.echo(f"What its processes wrote: {kept}", err=True)
        raise
    finally:
        if not stays:
            demo_shop.remove(folder)


def _perform(demo: _Demo, signals: _Signals) -> None:
    """Bring the stack up, tell the story, and leave nothing of it."""
    with (demo.folder / LOG).open("w", encoding="utf-8") as log:
        options = StackOptions(
            data_dir=demo.folder,
            env=_own_environment(os.environ),
            flower_port=5555 if demo.keep else None,
            durable=demo.keep,
        )
        stack = Stack(options, output=Output(log), progress=demo.tell)
        try:
            try:
                _play(demo, stack)
            finally:
                signals.ignore()
                demo.tell("stopping everything")
        finally:
            try:
                stack.stop()
            finally:
                demo_shop.end_runs(demo.folder)
    demo.tell("nothing of it runs any more" + (f"; its data is in {demo.folder}" if demo.keep else ""))


def _own_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Without our settings: the demo uses nobody's database but its own."""
    ours = {name.upper() for name in Settings.__dataclass_fields__} | {"FLOWER_BASIC_AUTH"}
    return {name: value for name, value in env.items() if name not in ours}


def _play(demo: _Demo, stack: Stack) -> None:
    demo.show.say(
        "A release manager of its own comes up: Postgres, Valkey, the web server, a worker and the clock."
    )
    stack.start()
    if stack.admin is None:
        raise DemoFailedError("the new installation has an admin already")
    demo.show.progress(f"{stack.url} answers")
    client = Client(stack.url)
    client.login(stack.admin.username, stack.admin.password)
    client.apply_pipeline(demo_shop.NAME, demo.shop.pipeline.encode())
    for version, changes in RELEASES.items():
        release = {"name": demo_shop.NAME, "version": version, "changes": changes}
        client.create("/releases/", {**release, "artifact": demo_shop.artifact(version)})
    demo.show.progress(
        "the pipeline is stored (examples/shop/shop.yaml), and three releases: " + ", ".join(RELEASES)
    )
    for number, act in enumerate(ACTS, start=1):
        demo.show.say(f"{number}. {act.version} to {act.environment}. {act.why}")
        _carry_out(act, client, show=demo.show)
    _prove(demo, client)
    if demo.keep:
        _stay(demo, stack, stack.admin)


def _carry_out(act: Act, client: Client, *, show: Show) -> None:
    made = client.request_deployment(demo_shop.NAME, act.version, environment=act.environment, reason=act.why)
    try:
        with show.watching() as view:
            ended = watch_to_end(client, made["id"], view=view, timing=Timing(timeout_seconds=ACT_SECONDS))
    except WaitTimedOutError as error:
        raise DemoFailedError(f"deployment {made['id']} did not end within {ACT_SECONDS:g} s") from error
    if ended is not act.ends:
        raise DemoFailedError(
            f"deployment {made['id']} ended as {ended.name.lower()}; it should have been {act.ends.name.lower()}"
        )


def _prove(demo: _Demo, client: Client) -> None:
    """Ask every server what it is. Raises DemoFailedError where that is not what the orchestrator says."""
    demo.show.say(
        "What runs where: `version` is what the release manager says, `answered` what each server says itself."
    )
    rows = [_row(each, demo.shop) for each in client.items("/installations", application=demo_shop.NAME)]
    demo.show.table(rows)
    found = {(row["environment"], row["target"]): row["version"] for row in rows}
    wrong = [
        f"{row['environment']} {row['target']} should be {row['version']} but answered {row['answered']!r}"
        for row in rows
        if row["answered"] != row["version"]
    ]
    wrong += [
        f"{environment} {target} should have {EXPECTED[environment]} but has {found.get((environment, target))}"
        for environment, target in demo.shop.ports
        if found.get((environment, target)) != EXPECTED[environment]
    ]
    if wrong:
        raise DemoFailedError("; ".join(wrong))
    demo.show.say(f"All {len(rows)} servers run what the release manager says they run.")


def _row(installation: Record, shop: Shop) -> Record:
    place = (installation["environment"], installation["target"])
    named = {key: installation[key] for key in ("application", "environment", "target", "version")}
    return {**named, "since": ago(installation["since"], clock.now()), "answered": shop.answer(place)}


def _stay(demo: _Demo, stack: Stack, admin: FirstAdmin) -> None:
    """Until a signal."""
    demo.show.say("It stays up until Ctrl-C:")
    for line in (
        f"Web     {stack.url}",
        f"Flower  {stack.flower_url}  ({stack.flower_login})",
        f"Login   {admin.username} with the password {admin.password}",
        f"Shop    {', '.join(f'http://127.0.0.1:{port}' for port in demo.shop.ports.values())}",
        f"Data    {demo.folder}",
    ):
        demo.show.progress(line)
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):
        signal.pause()
