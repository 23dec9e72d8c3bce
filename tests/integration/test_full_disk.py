"""A disk that is full where runs live: what had room keeps its end, what has none fails and says why."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.services import pipelines
from orchestrator.targets import runs as files
from orchestrator.targets.base import ABORTED_CODE, Absent, Command, Exited, Run, Running, TargetError
from orchestrator.targets.command import CommandTarget
from orchestrator.targets.ssh import SshTarget
from orchestrator.testing import follow, until_written
from orchestrator.testing.artifacts import artifact_of, packed
from tests.integration.engine_world import PIPELINE, World, worker
from tests.sshd import serving
from workers.context import WorkerContext
from workers.follower import Follower
from workers.leases import LeaseKeeper

ENV = {"PATH": "/usr/bin:/bin"}
NO_ROOM = r"cannot be written down in \S+: No space left on device"
FILL = "head -c 1000000 /dev/zero 2>/dev/null"


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A disk of 128 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"filling a disk needs the right to mount a small one: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        for run in (folder / "runs").glob("[!.]*"):
            if left := files.processes(run):
                left.kill()
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def target(tiny: Path) -> CommandTarget:
    return CommandTarget.from_settings({}, runs_dir=str(tiny))


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


def test_a_host_without_room_says_so_and_no_connection_is_said_to_be_lost(tiny: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "sshd") as host:
        settings = host.settings(runs=str(tiny / "runs"))
        full = SshTarget.from_settings(settings, runs_dir=str(host.folder / "runs"))
        run = Run("1-1-1", "shop/staging/a", 1)
        with pytest.raises(TargetError, match=NO_ROOM) as none:
            full.start(run, Command("x" * 200_000, ENV))
        assert not none.value.retryable
        assert full.poll(run, 0) == Absent()
        file = packed(tmp_path / "big.tar.gz", {"noise": os.urandom(200_000)})
        artifact = artifact_of(file, "1.0", tmp_path / "srv")
        with pytest.raises(TargetError, match=NO_ROOM) as none:
            full.bring(run, artifact, file, 0)
        assert not none.value.retryable
        full.start(run, Command("echo there is room again", ENV))
        assert follow(full, run)[0] == b"there is room again\n"


def test_a_deployment_whose_node_is_full_fails_and_says_why(
    database: Database, settings: Settings, tiny: Path
) -> None:
    world = World(database)
    world.release("1.0.0")
    with database.transaction() as session:
        source = PIPELINE.replace("kind: noop", "kind: command")
        pipelines.apply(session, name="shop", source=source, actor=world.actor)
    deployment = world.request("1.0.0")
    with (tiny / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space left"):
        while True:
            filler.write(b"x" * 4096)
    leases = LeaseKeeper(database, lease_seconds=30)
    ours = WorkerContext(replace(settings, data_dir=tiny), database, leases, worker())
    Follower(ours).advance(deployment)
    failure = world.scalar("SELECT failure FROM attempts WHERE deployment_id = :id", id=deployment)
    assert "No space left on device" in str(failure)
    assert world.status(deployment) == "failed"
    assert world.column(
        "SELECT DISTINCT status FROM steps WHERE deployment_id = :id ORDER BY 1", id=deployment
    ) == [
        "failed",
        "skipped",
    ]
