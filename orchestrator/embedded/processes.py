"""Which processes an installation consists of, and how each is known to be healthy."""

import hashlib
import http.client
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from celery import Celery
from kombu.exceptions import OperationalError

from orchestrator.embedded.spec import ProcessSpec

METRICS_PORT = "METRICS_PORT"
QUEUES = ("deployments", "default")
_BEAT_SCHEDULE = "celerybeat-schedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the processes of one installation on this machine share. A port that is None: without that process."""

    data_dir: Path
    redis_url: str = field(repr=False)
    port: int
    flower_port: int | None
    workers: int
    stream_port: int | None = None
    env: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Processes:
    """What runs once before everything, and what runs until the end, in the order of its start."""

    migrate: ProcessSpec
    first_admin: ProcessSpec
    services: tuple[ProcessSpec, ...]


def of(site: Site) -> Processes:
    """The processes of an installation."""
    workers = tuple(_worker(site, number) for number in range(1, site.workers + 1))
    stream = () if site.stream_port is None else (_stream(site, site.stream_port),)
    flower = () if site.flower_port is None else (_flower(site, site.flower_port),)
    return Processes(
        migrate=_python(site, "migrate", "orchestrator.bootstrap", "migrate"),
        first_admin=_python(site, "first-admin", "orchestrator.bootstrap", "first-admin"),
        services=(_web(site), *_watched(site, (*stream, *workers, _beat(site))), *flower),
    )


def _watched(site: Site, specs: tuple[ProcessSpec, ...]) -> tuple[ProcessSpec, ...]:
    """On one machine each needs a port for its metrics of its own: METRICS_PORT, and those after it."""
    first = site.env.get(METRICS_PORT, "").strip()
    if not first.isdecimal():
        return specs
    return tuple(
        replace(spec, env={**spec.env, METRICS_PORT: str(int(first) + number)})
        for number, spec in enumerate(specs)
    )


def _web(site: Site) -> ProcessSpec:
    argv: tuple[str, ...] = (
        "gunicorn",
        "-c",
        "python:api.serving",
        "--no-control-socket",
        "-k",
        "api.patience.Worker",
        "--workers",
        "2",
        "--threads",
        "8",
    )
    argv += ("--bind", f"127.0.0.1:{site.port}", "api.wsgi:app")
    spec = _python(site, "web", *argv, healthy=lambda: _answers_ok(site.port, "/health/live"))
    return replace(spec, env={**site.env, "PROMETHEUS_MULTIPROC_DIR": str(site.data_dir / "metrics")})


def _stream(site: Site, port: int) -> ProcessSpec:
    argv = ("stream", "--host", "127.0.0.1", "--port", str(port))
    return _python(site, "stream", *argv, healthy=lambda: _answers_ok(port, "/health/live"))


def _worker(site: Site, number: int) -> ProcessSpec:
    # Two installations of one machine may share a Redis, but node names must differ.
    mark = hashlib.sha256(os.fsencode(site.data_dir)).hexdigest()[:6]
    name = f"worker{number}-{mark}"
    argv: tuple[str, ...] = ("workers", "worker", "--pool", "threads", "--concurrency", "200", "-E")
    argv += ("-Q", ",".join(QUEUES), "--without-gossip", "--without-mingle", "-n", f"{name}@%h")
    node = f"{name}@{socket.gethostname()}"
    return _python(
        site, f"worker{number}", *argv, queues=QUEUES, healthy=lambda: _node_answers(site.redis_url, node)
    )


def _beat(site: Site) -> ProcessSpec:
    def forget_schedule() -> (
        None
    ):  # it only holds when each entry was due last, and ours are due every second
        for path in site.data_dir.glob(f"{_BEAT_SCHEDULE}*"):
            path.unlink()

    argv = ("workers", "beat", "--schedule", str(site.data_dir / _BEAT_SCHEDULE))
    return _python(
        site,
        "beat",
        *argv,
        prepare=forget_schedule,
        healthy=lambda: any(site.data_dir.glob(f"{_BEAT_SCHEDULE}*")),
    )


def _flower(site: Site, port: int) -> ProcessSpec:
    argv = (
        "celery",
        "-A",
        "workers.app",
        "flower",
        "--address=127.0.0.1",
        f"--port={port}",
        "--max_tasks=5000",
    )
    # It keeps nothing, and its own way to end waits for answers of workers that are ending too.
    end = signal.SIGKILL
    return _python(site, "flower", *argv, healthy=lambda: _answers_ok(port, "/healthcheck"), stop_signal=end)


def _python(
    site: Site,
    name: str,
    *argv: str,
    queues: tuple[str, ...] = (),
    prepare: Callable[[], None] | None = None,
    healthy: Callable[[], bool] | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> ProcessSpec:
    """A process of our own Python, in the data folder: no package where the caller stands may shadow ours."""
    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-m", *argv),
        env=site.env,
        cwd=str(site.data_dir),
        queues=queues,
        prepare=prepare,
        healthy=healthy,
        stop_signal=stop_signal,
    )


def _answers_ok(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _node_answers(redis_url: str, node: str) -> bool:
    with Celery("probe", broker=redis_url, set_as_current=False) as app:
        app.conf.broker_transport_options = {"socket_timeout": 5, "socket_connect_timeout": 5}
        try:
            return bool(app.control.inspect(destination=[node], timeout=1.0).ping())
        except OperationalError:
            return False
