"""Traces that nobody asked for cost nothing, and the extra may be missing."""

import subprocess
import sys

from orchestrator import tracing

WITHOUT = """
import sys
sys.modules["opentelemetry"] = None  # as where the extra is not installed
from orchestrator import tracing
from orchestrator.config import Settings
env = {
    "DATABASE_URL": "postgresql://127.0.0.1/none", "REDIS_URL": "redis://127.0.0.1/0",
    "SECRET_KEY": "8f1f0c6a5e9b47d2a3c4e5f60718293a4b5c6d7e8f90a1b2",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
}
tracing.start(Settings.from_env(env), "web")
with tracing.span("anything", deployment=1):
    tracing.note(status=200)
    print(tracing.is_on(), tracing.current(), dict(tracing.variables()))
"""


def test_without_being_asked_there_is_no_trace() -> None:
    with tracing.span("anything", parent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"):
        assert tracing.current() is None
        assert tracing.variables() == {}
    assert not tracing.is_on()


def test_without_the_extra_everything_goes_on_and_that_is_said() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False None {}"
    assert "traces_not_sent" in done.stdout
