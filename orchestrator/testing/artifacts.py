# ruff: noqa: S101  # these are tests
"""Contract tests for kinds of targets that take artifacts: subclass, give the fixture `target`, and pytest runs them."""

import hashlib
import io
import os
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.artifacts import Artifact
from orchestrator.targets import files
from orchestrator.targets.base import Exited, Run, SupportsArtifacts, Target, TargetError
from orchestrator.testing import follow, new_run


def packed(file: Path, members: Mapping[str, bytes]) -> Path:
    """Make a tar.gz of files."""
    with tarfile.open(file, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    return file


def artifact_of(file: Path, version: str, directory: Path) -> Artifact:
    """Name a file as the artifact of a version."""
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    return Artifact(file.as_uri(), found, version, str(directory))


class ArtifactContract:
    """What every kind of target that takes artifacts must keep."""

    @pytest.fixture
    def target(self) -> Target:
        """Return the target to test."""
        raise NotImplementedError("the test class must give the fixture `target`")

    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        """Return the folder on the target; the test can look into it."""
        return tmp_path / "srv"

    def bring(self, target: Target, run: Run, artifact: Artifact, file: Path) -> int:
        """Bring what is missing; the number of pieces that took."""
        assert isinstance(target, SupportsArtifacts)
        missing, pieces = target.missing(run, artifact), 0
        while missing is not None:
            missing = target.bring(run, artifact, file, missing)
            pieces += 1
        return pieces

    def switch(self, target: Target, run: Run, artifact: Artifact, *, keep: int = 5) -> tuple[bytes, object]:
        """Start the action and follow it to its end."""
        target.start(run, files.command(artifact, keep=keep))
        return follow(target, run)

    def release(
        self, target: Target, tmp_path: Path, directory: Path, version: str, *, keep: int = 5
    ) -> Artifact:
        """Release a version whose one file says so."""
        file = packed(tmp_path / f"{version}.tar.gz", {"bin/version": version.encode()})
        artifact, run = artifact_of(file, version, directory), new_run()
        self.bring(target, run, artifact, file)
        output, answer = self.switch(target, run, artifact, keep=keep)
        assert isinstance(answer, Exited), output
        assert answer.code == 0, output
        return artifact

    def test_what_is_in_the_artifact_is_where_current_leads(
        self, target: Target, tmp_path: Path, directory: Path
    ) -> None:
        self.release(target, tmp_path, directory, "1.0")
        assert (directory / "current").readlink() == Path("releases/1.0")
        assert (directory / "current/bin/version").read_bytes() == b"1.0"
        assert os.access(directory / "current/bin/version", os.X_OK)

    def test_going_back_brings_nothing_and_switches(
        self, target: Target, tmp_path: Path, directory: Path
    ) -> None:
        first = self.release(target, tmp_path, directory, "1.0")
        self.release(target, tmp_path, directory, "1.1")
        assert (directory / "current/bin/version").read_bytes() == b"1.1"
        run = new_run()
        assert isinstance(target, SupportsArtifacts)
        assert target.missing(run, first) is None
        output, _ = self.switch(target, run, first)
        assert output == b"current is 1.0, and was 1.1\n"
        assert (directory / "current/bin/version").read_bytes() == b"1.0"

    def test_those_that_were_current_last_are_kept(
        self, target: Target, tmp_path: Path, directory: Path
    ) -> None:
        for version in ("1.0", "1.1", "1.2"):
            self.release(target, tmp_path, directory, version)
            for age, marker in enumerate(sorted((directory / "releases").glob(".*.sha256"), reverse=True)):
                os.utime(marker, (10_000 - age, 10_000 - age))
        self.release(target, tmp_path, directory, "2.0", keep=2)
        left = sorted(each.name for each in (directory / "releases").glob("[!.]*"))
        assert left == ["1.2", "2.0"]

    def test_a_release_that_is_called_as_what_is_being_unpacked_stays_known(
        self, target: Target, tmp_path: Path, directory: Path
    ) -> None:
        made = [self.release(target, tmp_path, directory, version) for version in ("new.1", "old.1", "1.0")]
        for artifact in made:
            output, answer = self.switch(target, new_run(), artifact)
            assert isinstance(answer, Exited)
            assert answer.code == 0, output

    def test_an_artifact_of_many_pieces_goes_on_where_it_was_cut_off(
        self, target: Target, tmp_path: Path, directory: Path
    ) -> None:
        assert isinstance(target, SupportsArtifacts)
        content = os.urandom(3 * files.PIECE_BYTES)
        file = packed(tmp_path / "big.tar.gz", {"noise": content})
        artifact, run = artifact_of(file, "1.0", directory), new_run()
        after_one = target.bring(run, artifact, file, 0)
        rest = self.bring(target, run, artifact, file)
        pieces = -(-file.stat().st_size // files.PIECE_BYTES)
        assert (after_one, rest) in {(files.PIECE_BYTES, pieces - 1), (None, 0)}
        self.switch(target, run, artifact)
        assert (directory / "current/noise").read_bytes() == content

    def test_a_piece_that_comes_twice_counts_once(
        self, target: Target, tmp_path: Path, directory: Path
    ) -> None:
        assert isinstance(target, SupportsArtifacts)
        content = os.urandom(2 * files.PIECE_BYTES)
        file = packed(tmp_path / "big.tar.gz", {"noise": content})
        artifact, run = artifact_of(file, "1.0", directory), new_run()
        assert target.bring(run, artifact, file, 0) == target.bring(run, artifact, file, 0)
        self.bring(target, run, artifact, file)
        self.switch(target, run, artifact)
        assert (directory / "current/noise").read_bytes() == content

    def test_a_folder_that_somebody_else_made_is_left_alone(
        self, target: Target, tmp_path: Path, directory: Path
    ) -> None:
        (directory / "releases/1.0").mkdir(parents=True)
        file = packed(tmp_path / "1.0.tar.gz", {"x": b"x"})
        artifact, run = artifact_of(file, "1.0", directory), new_run()
        self.bring(target, run, artifact, file)
        output, answer = self.switch(target, run, artifact)
        assert isinstance(answer, Exited)
        assert answer.code == 1
        assert b"was not unpacked from the artifact of this release: move it away" in output
        assert not (directory / "current").exists()

    def test_a_current_that_is_no_link_is_left_alone(
        self, target: Target, tmp_path: Path, directory: Path
    ) -> None:
        (directory / "current").mkdir(parents=True)
        file = packed(tmp_path / "1.0.tar.gz", {"x": b"x"})
        artifact, run = artifact_of(file, "1.0", directory), new_run()
        self.bring(target, run, artifact, file)
        output, answer = self.switch(target, run, artifact)
        assert isinstance(answer, Exited)
        assert answer.code == 1
        assert b"is there and no link" in output

    def test_a_file_that_is_no_archive_leaves_the_release_that_is_there(
        self, target: Target, tmp_path: Path, directory: Path
    ) -> None:
        self.release(target, tmp_path, directory, "1.0")
        file = tmp_path / "text"
        file.write_bytes(b"no archive\n" * 100)
        artifact, run = artifact_of(file, "1.1", directory), new_run()
        self.bring(target, run, artifact, file)
        output, answer = self.switch(target, run, artifact)
        assert isinstance(answer, Exited)
        assert answer.code == 1
        assert b"the artifact cannot be unpacked" in output
        assert (directory / "current/bin/version").read_bytes() == b"1.0"
        assert not (directory / "releases/1.1").exists()

    def test_what_was_changed_on_the_way_is_never_unpacked(
        self, target: Target, tmp_path: Path, directory: Path
    ) -> None:
        file = packed(tmp_path / "1.0.tar.gz", {"x": b"x"})
        artifact, run = replace(artifact_of(file, "1.0", directory), sha256="0" * 64), new_run()
        assert isinstance(target, SupportsArtifacts)
        try:
            target.bring(run, artifact, file, 0)
        except TargetError as error:
            assert error.retryable
        output, answer = self.switch(target, run, artifact)
        assert isinstance(answer, Exited)
        assert answer.code == 1, output
        assert not (directory / "current").exists()
