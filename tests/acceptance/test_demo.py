"""`releasectl demo` as somebody would run it: it tells the truth, leaves nothing, and disturbs nobody."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.fleet import eventually
from tests.servers import passable_path

__all__ = ["passable_path"]

PATIENCE_SECONDS = 180
"""There are three whole installations at once: for what takes half a minute by itself."""
PLACES = [("staging", "web-a"), ("production", "web-a"), ("production", "web-b"), ("production", "web-c")]
STORY_ENDS = {
    ("staging", "web-a"): "1.2.0",
    ("production", "web-a"): "1.1.0",
    ("production", "web-b"): "1.1.0",
    ("production", "web-c"): "1.1.0",
}


class Running:
    """A `releasectl` of its own session, with what it said in a file."""

    def __init__(self, home: Path, name: str, *words: str) -> None:
        self.said = home / f"{name}.out"
        self.complained = home / f"{name}.err"
        (home / "tmp").mkdir(exist_ok=True)
        (home / "tmp").chmod(0o711)
        with self.said.open("wb") as out, self.complained.open("wb") as err:
            self.popen = subprocess.Popen(
                [sys.executable, "-c", "from orchestrator.cli import main; main()", *words],
                cwd=home,
                env={"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home / "tmp")},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def lines(self, kind: str) -> list[dict[str, object]]:
        """What it told so far, of one type."""
        whole = self.said.read_text().rpartition("\n")[0].splitlines()
        return [each for each in map(json.loads, whole) if each["type"] == kind]

    def says(self, text: str) -> str | None:
        """The rest of the first progress line that begins with this; fails when it has ended without one."""
        found = [str(each["text"]) for each in self.lines("progress")]
        line = next((each.removeprefix(text) for each in found if each.startswith(text)), None)
        assert line is not None or self.popen.poll() is None, self.complained.read_text()[-3000:]
        return line

    def interrupt(self) -> int:
        self.popen.send_signal(signal.SIGINT)
        return self.popen.wait(PATIENCE_SECONDS)


@contextmanager
def releasectl(home: Path, name: str, *words: str) -> Iterator[Running]:
    running = Running(home, name, *words)
    try:
        yield running
    finally:
        if running.popen.poll() is None:
            running.popen.kill()  # its guardian ends the rest
            running.popen.wait()


def of_folder(folder: Path) -> list[str]:
    """Every process that was started for this folder: by its environment, its command line or where it stands."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            traces = (command, (entry / "environ").read_bytes(), os.fsencode((entry / "cwd").readlink()))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if any(os.fsencode(folder) in trace for trace in traces):
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


def version_at(url: str) -> str:
    with urllib.request.urlopen(f"{url}/version", timeout=10) as answer:
        return str(answer.read().decode().strip())


def table(told: list[dict[str, object]]) -> dict[tuple[str, str], tuple[str, str]]:
    """What the demo said runs where: (version, answered) of each target."""
    (shown,) = told
    rows = shown["items"]
    assert isinstance(rows, list)
    return {(row["environment"], row["target"]): (row["version"], row["answered"]) for row in rows}


@pytest.mark.timeout(600)
def test_the_demo_tells_the_truth_leaves_nothing_and_disturbs_nobody(passable_path: Path) -> None:
    home = passable_path
    up, kept = home / "up", home / "kept"
    words = ("demo", "--json", "--keep", "--data-dir", str(kept))
    with (
        releasectl(home, "up", "up", "--no-flower", "--data-dir", str(up)) as other,
        releasectl(home, "first", *words) as first,
        releasectl(home, "beside", "demo", "--json") as beside,
    ):
        within = PATIENCE_SECONDS
        shop = eventually(lambda: first.says("Shop "), "the demo is told to its end", within_seconds=within)
        answered = dict(zip(PLACES, (version_at(url.strip()) for url in str(shop).split(", ")), strict=True))
        assert answered == STORY_ENDS
        assert table(first.lines("installations")) == {at: (v, v) for at, v in answered.items()}
        assert first.interrupt() == 0, first.complained.read_text()
        assert of_folder(kept) == []

        with releasectl(home, "second", *words) as second:
            left = "what a first demo left is no hindrance"
            eventually(lambda: second.lines("end"), left, within_seconds=within)
            second.interrupt()
        assert of_folder(kept) == []

        assert beside.popen.wait(within) == 0, beside.complained.read_text()
        assert table(beside.lines("installations")) == {at: (v, v) for at, v in STORY_ENDS.items()}
        assert of_folder(home / "tmp" / "releasectl-demo-") == []
        assert list((home / "tmp").iterdir()) == []
        note = json.loads((up / "up.json").read_text())
        with urllib.request.urlopen(f"{note['url']}/health/ready", timeout=10) as answer:
            assert answer.status == 200
        assert other.interrupt() == 0
    assert of_folder(home) == []
