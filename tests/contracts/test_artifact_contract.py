"""Every kind of target that takes artifacts keeps the public contract."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from orchestrator import plugins
from orchestrator.domain.artifacts import Artifact
from orchestrator.targets.base import Run, SupportsArtifacts, Target, TargetBusyError
from orchestrator.targets.command import CommandTarget
from orchestrator.targets.files import PIECE_BYTES
from orchestrator.targets.ssh import SshTarget
from orchestrator.testing import new_run
from orchestrator.testing.artifacts import ArtifactContract, artifact_of, packed
from tests.contracts.test_target_contract import programs_of_busybox
from tests.sshd import Sshd, serving

TESTED = {"command", "ssh"}


def test_every_kind_that_takes_artifacts_has_its_contract_test() -> None:
    taking = {name for name, kind in plugins.target_kinds().items() if issubclass(kind, SupportsArtifacts)}
    assert taking == TESTED


class Begun(NamedTuple):
    """What was begun to be brought."""

    target: SshTarget
    run: Run
    artifact: Artifact
    file: Path


class TestCommandTarget(ArtifactContract):
    @pytest.fixture
    def target(self, tmp_path: Path) -> Target:
        return CommandTarget.from_settings({}, runs_dir=str(tmp_path / "runs"))


class TestSshTarget(ArtifactContract):
    """Against a server over SSH; `sh` is what the host has."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
        with serving(tmp_path_factory.mktemp("sshd")) as server:
            yield server

    @pytest.fixture
    def target(self, server: Sshd, directory: Path) -> Target:
        # A `directory` that is only there after the first release must not be in the way of it.
        settings = server.settings(directory=str(directory / "current"))
        return SshTarget.from_settings(settings, runs_dir=str(server.folder / "runs"))

    @pytest.fixture
    def begun(self, target: SshTarget, tmp_path: Path, directory: Path) -> Begun:
        """A run that has brought the first half of an artifact."""
        file = packed(tmp_path / "big.tar.gz", {"noise": os.urandom(2 * PIECE_BYTES)})
        made = Begun(target, new_run(), artifact_of(file, "1.0", directory), file)
        assert target.bring(made.run, made.artifact, file, 0) == PIECE_BYTES
        return made

    def test_who_brings_the_same_at_the_same_time_waits(self, begun: Begun) -> None:
        with pytest.raises(TargetBusyError, match=begun.run.name):
            begun.target.missing(new_run(), begun.artifact)
        self.bring(begun.target, begun.run, begun.artifact, begun.file)
        assert begun.target.missing(new_run(), begun.artifact) is None

    def test_who_was_cancelled_while_bringing_keeps_nobody_waiting(self, begun: Begun) -> None:
        begun.target.abort(begun.run, grace_seconds=0)
        assert begun.target.missing(new_run(), begun.artifact) == PIECE_BYTES


@pytest.mark.skipif(not shutil.which("busybox"), reason="busybox is not installed")
class TestSshTargetOnBusybox(TestSshTarget):
    """The host has nothing but busybox, and flock where its busybox has none."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
        with serving(tmp_path_factory.mktemp("sshd"), PATH=str(programs_of_busybox(tmp_path_factory))) as it:
            yield it
