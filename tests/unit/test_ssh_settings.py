"""What the kind `ssh` refuses before anybody is called."""

from typing import Any

import pytest

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.targets.ssh import SshTarget


@pytest.mark.parametrize(
    ("settings", "field", "hint"),
    [
        ({"host": "web-a", "keyfile": "/id"}, "keyfile", "did you mean"),
        ({}, "host", "must be a host's name"),
        ({"host": "-oProxyCommand=true"}, "host", "must be a host's name"),
        ({"host": "web a"}, "host", "must be a host's name"),
        ({"host": "web-a", "user": "-l"}, "user", "name of a user"),
        ({"host": "web-a", "user": "a b"}, "user", "name of a user"),
        ({"host": "web-a", "port": "22"}, "port", "from 1 to 65535"),
        ({"host": "web-a", "port": 65536}, "port", "from 1 to 65535"),
        ({"host": "web-a", "port": True}, "port", "from 1 to 65535"),
        ({"host": "web-a", "identity": "id"}, "identity", "absolute"),
        ({"host": "web-a", "runs": "~/runs"}, "runs", "absolute"),
        ({"host": "web-a", "directory": "srv"}, "directory", "absolute"),
        ({"host": "web-a", "jump": "a,b"}, "jump", "one host"),
        ({"host": "web-a", "jump": "bastion:0"}, "jump", "from 1 to 65535"),
        ({"host": "web-a", "jump": "-x@bastion"}, "jump", "one host"),
        ({"host": "web-a", "variables": {"PORT": 80}}, "variables", "quotes"),
        ({"host": "web-a", "post_quantum": "yes"}, "post_quantum", "true or false"),
    ],
)
def test_setting_that_cannot_work_is_refused(settings: dict[str, Any], field: str, hint: str) -> None:
    with pytest.raises(SettingsRefusedError) as refused:
        SshTarget.from_settings(settings, runs_dir="/nowhere/runs")
    assert refused.value.field == field
    assert hint in refused.value.message


@pytest.mark.parametrize(
    ("jump", "written"),
    [
        ("bastion", "bastion"),
        ("ops@bastion:2222", "ops@bastion:2222"),
        ("ops@[2001:db8::1]:2222", "ops@[2001:db8::1]:2222"),
        ("10.0.0.1:22", "10.0.0.1"),
    ],
)
def test_a_jump_is_read_as_it_is_written(jump: str, written: str) -> None:
    target = SshTarget.from_settings({"host": "web-a", "jump": jump}, runs_dir="/nowhere/runs")
    assert str(target.way.jump) == written
