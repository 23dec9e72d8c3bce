"""The action `files` at a target: the command that unpacks and switches, and what is there already."""

from functools import cache
from pathlib import Path

from orchestrator.domain.artifacts import Artifact
from orchestrator.targets.base import Command

PIECE_BYTES = 1024 * 1024
"""What is brought by one call: little enough for a slow line."""


def command(artifact: Artifact, *, keep: int) -> Command:
    """The command that makes a release `current` in its folder; it may be started again at any time."""
    return Command(
        _script(),
        {
            "FILES_DIRECTORY": artifact.directory,
            "FILES_KEEP": str(keep),
            "RELEASE_VERSION": artifact.version,
            "RELEASE_ARTIFACT_SHA256": artifact.sha256,
        },
        apart=True,
    )


def is_unpacked(artifact: Artifact) -> bool:
    """Whether a folder on this node has the release already."""
    releases = Path(artifact.directory, "releases")
    try:
        recorded = (releases / f".{artifact.version}.sha256").read_text()
        return recorded.strip() == artifact.sha256 and (releases / artifact.version).is_dir()
    except FileNotFoundError:
        return False


@cache
def _script() -> str:
    return Path(__file__).with_name("files.sh").read_text()
