"""What the kinds `docker` and `docker-local` refuse before any daemon is called."""

from typing import Any

import pytest

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.targets.docker import DockerTarget, LocalDockerTarget

DIGEST = "sha256:" + "0" * 64
REMOTE = {
    "host": "tcp://docker.example:2376",
    "ca": "/tls/ca.pem",
    "certificate": "/tls/cert.pem",
    "key": "/tls/key.pem",
    "image": f"registry.example/shop@{DIGEST}",
}


@pytest.mark.parametrize(
    ("changed", "field", "hint"),
    [
        ({"host": None}, "host", "tcp://name:port"),
        ({"host": "docker.example:2376"}, "host", "tcp://name:port"),
        ({"host": "unix:///var/run/docker.sock"}, "host", "tcp://name:port"),
        ({"ca": None}, "ca", "path of a file"),
        ({"key": None}, "key", "path of a file"),
        ({"certificate": "cert.pem"}, "certificate", "absolute path"),
        ({"image": None}, "image", "with its digest"),
        ({"image": "registry.example/shop:1.2"}, "image", "must have its digest"),
        ({"image": f"registry.example/shop@{DIGEST[:-1]}"}, "image", "must have its digest"),
        ({"image": "registry.example/shop@$"}, "image", "names no variable"),
        ({"network": "a b"}, "network", "name of a network"),
        ({"volumes": "/srv:/srv"}, "volumes", "list"),
        ({"volumes": ["/srv"]}, "volumes", "source:/path"),
        ({"volumes": ["/srv:srv"]}, "volumes", "source:/path"),
        ({"directory": "srv"}, "directory", "absolute path"),
        ({"images": "x"}, "images", "did you mean 'image'"),
        ({"socket": "/var/run/docker.sock"}, "socket", "did you mean"),
    ],
)
def test_setting_that_cannot_work_is_refused(changed: dict[str, Any], field: str, hint: str) -> None:
    with pytest.raises(SettingsRefusedError) as refused:
        DockerTarget.from_settings({**REMOTE, **changed}, runs_dir="/nowhere")
    assert refused.value.field == field
    assert hint in refused.value.message


def test_an_image_may_be_named_by_a_variable() -> None:
    settings = {**REMOTE, "image": "$RELEASE_ARTIFACT", "volumes": ["/srv:/srv", "data:/data:ro"]}
    assert DockerTarget.from_settings(settings, runs_dir="").image == "$RELEASE_ARTIFACT"


def test_the_daemon_of_the_node_is_asked_at_its_usual_socket() -> None:
    target = LocalDockerTarget.from_settings({"image": REMOTE["image"]}, runs_dir="")
    assert target.engine.host == "unix:///var/run/docker.sock"


def test_the_daemon_of_the_node_has_no_address() -> None:
    with pytest.raises(SettingsRefusedError) as refused:
        LocalDockerTarget.from_settings(REMOTE, runs_dir="")
    assert refused.value.field == "host"
