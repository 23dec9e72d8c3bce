"""What others notice of a deployment to very many targets in the same worker: how late their output can be read."""

import os

from bench import world
from bench.world import World

TARGETS = int(os.environ.get("TARGETS", "2000"))
LINES, EVERY_SECONDS = 400, 0.05


def measure() -> list[tuple[str, str, str]]:
    """A command that says what time it is, beside targets that have nothing to do and so end all together."""
    with world.world("web", "worker1", "beat") as ours:
        targets = "".join(f"      - {{name: t{n}, kind: noop}}\n" for n in range(TARGETS))
        _application(ours, "wide", targets, "true")
        script = f"for i in $(seq {LINES}); do date +%s.%N; sleep {EVERY_SECONDS}; done"
        _application(ours, "says", "      - {name: t, kind: command}\n", script)
        alone = _lags(ours, beside=False)
        beside = _lags(ours, beside=True)
    return [
        ("a line written until it is in Postgres, nothing beside it, p50 and p99", _shown(alone), ""),
        (
            f"the same beside a deployment to {TARGETS} `noop` targets, 100 side by side",
            _shown(beside),
            f"{_at(beside, 0.99) / _at(alone, 0.99):.1f}",
        ),
    ]


def _application(ours: World, name: str, targets: str, script: str) -> None:
    source = (
        f"application: {name}\nenvironments:\n  lab:\n    targets:\n{targets}deploy:\n  - run: '{script}'\n"
    )
    ours.client.apply_pipeline(name, source.encode())
    ours.client.create("/releases/", {"name": name, "version": "1"})


def _lags(ours: World, *, beside: bool) -> list[float]:
    if beside:
        ours.client.request_deployment("wide", "1", environment="lab")
    made = ours.client.request_deployment("says", "1", environment="lab")["id"]
    ours.wait_until_none_goes_on()
    pieces = ours.query(
        "SELECT data, extract(epoch FROM at)::float FROM log_chunks WHERE deployment_id = %s", made
    )
    return sorted(float(at) - float(line) for data, at in pieces for line in bytes(data).split())


def _at(lags: list[float], part: float) -> float:
    return lags[int(len(lags) * part)]


def _shown(lags: list[float]) -> str:
    return f"{_at(lags, 0.5) * 1000:.0f} ms, {_at(lags, 0.99) * 1000:.0f} ms"
