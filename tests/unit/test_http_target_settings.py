"""What the kind `http` refuses before anybody is called."""

from typing import Any

import pytest

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.targets.http import HttpTarget


@pytest.mark.parametrize(
    ("settings", "field", "hint"),
    [
        ({"url": "https://deployer.example/runs"}, "secret", "path of a file"),
        ({"url": "https://deployer.example/runs", "secret": "whsec_abc"}, "secret", "absolute path"),
        ({"secret": "/secret"}, "url", "must be a URL"),
        ({"url": "ftp://deployer.example", "secret": "/secret"}, "url", "http://"),
        ({"url": "https://me:pw@deployer.example", "secret": "/secret"}, "url", "user and a password"),
        ({"url": "https://deployer.example/?a=b", "secret": "/secret"}, "url", "end with its path"),
        ({"url": "https://deployer.example", "secrets": "/secret"}, "secrets", "did you mean 'secret'"),
        (
            {"url": "https://deployer.example", "secret": "/secret", "callback": "yes"},
            "callback",
            "true or false",
        ),
    ],
)
def test_setting_that_cannot_work_is_refused(settings: dict[str, Any], field: str, hint: str) -> None:
    with pytest.raises(SettingsRefusedError) as refused:
        HttpTarget.from_settings(settings, runs_dir="/nowhere")
    assert refused.value.field == field
    assert hint in refused.value.message


def test_a_slash_at_the_end_makes_no_difference() -> None:
    settings = {"url": "https://deployer.example/runs/", "secret": "/secret"}
    assert HttpTarget.from_settings(settings, runs_dir="").url == "https://deployer.example/runs"
