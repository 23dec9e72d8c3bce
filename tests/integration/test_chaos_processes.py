"""How the chaos harness knows that a process is up."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.embedded.process import GuardianLink
from orchestrator.embedded.spec import ProcessSpec
from tests.chaos.processes import Member, UnhealthyError


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Member]:
    """A process that is ready when somebody makes a file."""
    script = f"until [ -e {tmp_path}/go ]; do sleep 0.02; done; echo worker ready.; exec sleep 600"
    spec = ProcessSpec(name="worker", argv=("sh", "-c", script), env=dict(os.environ), cwd=str(tmp_path))
    link = GuardianLink()
    made = Member("worker", spec, link=link, logs=tmp_path)
    made.says_ready = " ready."
    try:
        yield made
    finally:
        made.kill()
        link.close()


def test_a_process_is_up_when_it_says_so(member: Member, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    member.start()
    member.wait_healthy(60)


def test_what_its_predecessor_said_does_not_count(member: Member, tmp_path: Path) -> None:
    # Without the line that the harness writes before a process' own: that is how the log is at its very start.
    (tmp_path / "worker.log").write_text("worker ready.\n")
    member.start()
    with pytest.raises(UnhealthyError):
        member.wait_healthy(0.3)
