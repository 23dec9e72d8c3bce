"""What the kind `command` refuses before anything is started."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.targets.base import Absent, Command, Run, TargetError
from orchestrator.targets.command import CommandTarget


@pytest.fixture
def target(tmp_path: Path) -> CommandTarget:
    return CommandTarget.from_settings({}, runs_dir=str(tmp_path / "runs"))


@pytest.mark.parametrize(
    ("settings", "field", "hint"),
    [
        ({"directroy": "/srv"}, "directroy", "'directory'"),
        ({"vars": {}}, "vars", "'variables'"),
        ({"directory": "srv"}, "directory", "absolute"),
        ({"directory": 5}, "directory", "absolute"),
        ({"variables": ["A=1"]}, "variables", "mapping"),
        ({"variables": {"A-B": "1"}}, "variables", "A-B"),
        ({"variables": {"PORT": 80}}, "variables", "quotes"),
        ({"variables": {"A": "\0"}}, "variables", "A must be a text"),
    ],
)
def test_setting_that_cannot_work_is_refused(settings: dict[str, Any], field: str, hint: str) -> None:
    with pytest.raises(SettingsRefusedError) as refused:
        CommandTarget.from_settings(settings, runs_dir="/nowhere")
    assert refused.value.field == field
    assert hint in refused.value.message


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "a b", "x" * 201])
def test_name_that_cannot_be_a_files_is_refused(target: CommandTarget, name: str) -> None:
    with pytest.raises(TargetError, match="cannot name a run"):
        target.start(Run(name, "f", 1), Command("true", {}))


def test_variable_that_cannot_be_is_refused_by_name(target: CommandTarget) -> None:
    for env in ({"A B": "1"}, {"A": "x\0y"}):
        run = Run("1-1-1", "f", 1)
        with pytest.raises(TargetError, match="A"):
            target.start(run, Command("true", env))
        assert target.poll(run, 0) == Absent()
