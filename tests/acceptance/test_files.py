"""The action `files` by real workers: brought over a line that is cut and by workers that die, and gone back by one switch."""

import getpass
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.domain.errors import RuleViolationError
from orchestrator.services import deployments, pipelines, releases, rollbacks
from orchestrator.services.pipeline_files import read_pipeline
from orchestrator.targets.files import PIECE_BYTES
from orchestrator.testing.artifacts import artifact_of, packed
from tests.acceptance.fleet import Fleet, eventually, fleet
from tests.acceptance.test_workers import ended, log_of
from tests.chaos.proxy import Mode, Proxy
from tests.conftest import environment
from tests.integration.engine_world import World
from tests.sshd import Sshd, serving


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def workers(settings: Settings, tmp_path: Path, store: Path) -> Iterator[Fleet]:
    env = environment(settings.database_url, settings.redis_url, settings.data_dir)
    with fleet(env | {"LEASE_SECONDS": "3", "ARTIFACT_SOURCES": store.as_uri()}, tmp_path) as made:
        yield made


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Sshd]:
    with serving(tmp_path / "sshd") as server:
        yield server


def apply(world: World, targets: list[str], directory: Path) -> None:
    listed = "".join(f"      - {target}\n" for target in targets)
    source = (
        f"application: tool\nenvironments:\n  lab:\n    targets:\n{listed}"
        f"deploy:\n  - files: {directory}\n    timeout: 2m\n  - run: ./bin/version\n"
    )
    with world.database.transaction() as session:
        pipelines.apply(session, name="tool", source=source, actor=world.actor)


def release(world: World, store: Path, version: str, **members: bytes) -> Path:
    """Record a release of a real file; the file."""
    script = f"#!/bin/sh\necho this is {version}\n".encode()
    file = packed(store / f"{version}.tar.gz", {"bin/version": script, **members})
    artifact = artifact_of(file, version, store)
    with world.database.transaction() as session:
        releases.create(
            session,
            name="tool",
            version=version,
            artifact=artifact.url,
            artifact_sha256=artifact.sha256,
            changes="",
            actor=world.actor,
        )
    return file


def deploy(world: World, version: str) -> int:
    with world.database.transaction() as session:
        return deployments.request(
            session, application="tool", version=version, environment="lab", reason="", actor=world.actor
        ).id


def roll_back(world: World, deployment: int) -> int:
    with world.database.transaction() as session:
        return rollbacks.request(session, deployment, actor=world.actor, reason="")


def test_a_cut_line_and_a_dead_worker_make_nobody_begin_anew_and_going_back_brings_nothing(
    world: World, workers: Fleet, host: Sshd, settings: Settings, store: Path, tmp_path: Path
) -> None:
    site = tmp_path / "srv"
    with Proxy() as proxy:
        host.record_key(settings.data_dir / "known_hosts", port=proxy.link("host", host.port))
        line = proxy.links["host"]
        reached = f"host: 127.0.0.1, port: {line.port}, user: {getpass.getuser()}, identity: {host.identity}"
        target = (
            f"{{name: web-a, kind: ssh, {reached}, runs: {host.folder}/remote, directory: {site}/current}}"
        )
        apply(world, [target], site)
        first_file = release(world, store, "1.0")
        worker = workers.worker()
        first = deploy(world, "1.0")
        assert ended(world, first) == "succeeded"
        assert log_of(world, first).endswith("this is 1.0\n")
        release(world, store, "1.1", noise=os.urandom(8 * PIECE_BYTES))
        line.delay_seconds = 0.02
        second = deploy(world, "1.1")

        def part() -> Path | None:
            found = [each for each in host.folder.glob("remote/*/artifacts/.*") if len(each.name) == 65]
            return next((each for each in found if each.stat().st_size), None)

        begun = eventually(part, "a piece has arrived")
        inode = begun.stat().st_ino
        proxy.turn("host", Mode.CUT)
        worker.kill()
        workers.worker()
        line.delay_seconds = 0.0
        proxy.turn("host", Mode.OPEN)
        assert ended(world, second) == "succeeded"
        assert log_of(world, second).endswith("this is 1.1\n")
        assert begun.with_name(begun.name.removeprefix(".")).stat().st_ino == inode
        assert world.scalar("SELECT count(*) FROM attempts WHERE deployment_id = :id", id=second) == 2
        first_file.unlink()
        shutil.rmtree(begun.parent)
        shutil.rmtree(settings.artifacts_dir)
        back = roll_back(world, second)
        assert ended(world, back) == "succeeded"
        assert log_of(world, back).endswith("this is 1.0\n")
        assert (site / "current").readlink() == Path("releases/1.0")


def test_targets_of_the_worker_that_share_a_folder_get_it_once(
    world: World, workers: Fleet, store: Path, tmp_path: Path
) -> None:
    site = tmp_path / "srv"
    apply(world, [f"{{name: t{n}, kind: command, directory: {site}/current}}" for n in range(5)], site)
    release(world, store, "1.0")
    workers.worker()
    deployment = deploy(world, "1.0")
    assert ended(world, deployment) == "succeeded"
    log = log_of(world, deployment)
    assert (log.count("unpacked 1.0"), log.count("current is 1.0 already"), log.count("this is 1.0")) == (
        1,
        4,
        5,
    )


def test_an_artifact_that_is_not_what_the_release_says_fails_the_step_and_says_so(
    world: World, workers: Fleet, store: Path, tmp_path: Path
) -> None:
    apply(world, ["{name: one, kind: command}"], tmp_path / "srv")
    release(world, store, "1.0").write_bytes(b"something else")
    workers.worker()
    deployment = deploy(world, "1.0")
    assert ended(world, deployment) == "failed"
    failure = world.scalar(
        "SELECT failure FROM steps WHERE deployment_id = :id AND failure IS NOT NULL", id=deployment
    )
    assert "has the SHA-256" in failure
    assert not (tmp_path / "srv").exists()


def test_a_release_without_a_checksum_is_refused_when_it_is_requested(world: World, tmp_path: Path) -> None:
    apply(world, ["{name: one, kind: command}"], tmp_path / "srv")
    with world.database.transaction() as session:
        releases.create(session, name="tool", version="1", artifact="x", changes="", actor=world.actor)
    with pytest.raises(RuleViolationError, match="has no artifact with a checksum"):
        deploy(world, "1")


def test_a_checksum_of_what_is_no_file_is_refused(world: World) -> None:
    with (
        pytest.raises(RuleViolationError, match="must begin with https://"),
        world.database.transaction() as session,
    ):
        releases.create(
            session,
            name="shop",
            version="1",
            artifact="shop:1",
            artifact_sha256="0" * 64,
            changes="",
            actor=world.actor,
        )


def test_the_example_is_a_pipeline() -> None:
    source = Path("examples/hosts/hosts.yaml").read_text()
    assert read_pipeline(source, plugins=pipelines.known_plugins()).application == "site"
