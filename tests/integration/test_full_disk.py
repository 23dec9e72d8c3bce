"""A disk that is full where runs live: what had room keeps its end, what has none fails and says why."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.targets import runs as files
from orchestrator.targets.base import ABORTED_CODE, Command, Exited, Run, Running, TargetError
from orchestrator.targets.command import CommandTarget
from orchestrator.testing import follow, until_written

ENV = {"PATH": "/usr/bin:/bin"}
FILL = "head -c 1000000 /dev/zero 2>/dev/null"


@pytest.fixture
def target(tmp_path: Path) -> Iterator[CommandTarget]:
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"filling a disk needs the right to mount a small one: {mounted.stderr.strip()}")
    try:
        yield CommandTarget.from_settings({}, runs_dir=str(folder))
    finally:
        for run in (folder / "runs").glob("[!.]*"):
            if left := files.processes(run):
                left.kill()
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_run_that_fills_the_disk_ends_with_its_own_exit_code(target: CommandTarget) -> None:
    run = Run("1-1-1", "shop/staging/a", 1)
    target.start(run, Command(f"{FILL} || exit 7", ENV))
    output, ended = follow(target, run)
    assert isinstance(ended, Exited)
    assert ended.code == 7
    assert 0 < len(output) < 131_072


def test_a_run_on_a_full_disk_can_be_aborted(target: CommandTarget) -> None:
    run = Run("1-1-1", "shop/staging/a", 1)
    target.start(run, Command(f"echo full; {FILL}; sleep 600", ENV))
    until_written(target, run, b"\0" * 50_000)
    target.abort(run, grace_seconds=0.1)
    _, ended = follow(target, run)
    assert isinstance(ended, Exited)
    assert ended.code == ABORTED_CODE


def test_a_run_that_finds_no_room_is_refused_with_the_reason(target: CommandTarget) -> None:
    filling = Run("1-1-1", "shop/staging/a", 1)
    target.start(filling, Command(f"echo full; {FILL}; sleep 600", ENV))
    until_written(target, filling, b"\0" * 50_000)
    with pytest.raises(TargetError, match="No space left on device"):
        target.start(Run("1-2-1", "shop/staging/b", 2), Command("x" * 100_000, ENV))
    assert isinstance(target.poll(filling, 10_000_000), Running)
    target.abort(filling, grace_seconds=0.1)
