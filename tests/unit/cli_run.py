"""Runs releasectl in this process against a scripted server, with a home of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import main
from tests.unit.cli_server import ScriptedServer, scripted_server


@dataclass(slots=True)
class Cli:
    """`run` is the command line; `env` may be changed between runs."""

    server: ScriptedServer
    home: Path
    env: dict[str, str | None] = field(default_factory=dict)

    def run(self, *args: str, input: str | None = None) -> Result:
        return CliRunner().invoke(main, args, input=input, env=self.env, prog_name="releasectl")

    def on(self, method: str, path: str, *answers: object) -> "Cli":
        """Script a path under /api/v1."""
        self.server.on(method, f"/api/v1{path}", *answers)
        return self


@contextmanager
def cli_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """Nothing of the real environment reaches it, and it waits for nothing."""
    monkeypatch.chdir(home)
    monkeypatch.setattr("orchestrator.cli.watching.pause", lambda _: None)
    unset: dict[str, str | None] = dict.fromkeys(("RELEASECTL_TOKEN", "RELEASECTL_PASSWORD", "NO_COLOR"))
    with scripted_server() as server:
        yield Cli(server, home, {**unset, "XDG_CONFIG_HOME": str(home), "RELEASECTL_URL": server.url})
