"""Asking a target by a script of its own: a short run beside those of deployments, which holds nobody up."""

import time

from orchestrator import clock
from orchestrator.checks.base import Probe
from orchestrator.domain.drift import Drift, heard
from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.services.drift import Script
from orchestrator.targets.base import Exited, Run, Running, Target, TargetError
from workers.context import WorkerContext
from workers.driving import make_target

MOST_OUTPUT_BYTES = 64 * 1024
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 0.5


class ScriptCheck:
    """Asks by a script. Who cannot be reached, or is not done in time, has said nothing."""

    def __init__(self, script: Script, ours: WorkerContext) -> None:
        self._script = script
        self._ours = ours

    def probe(self, timeout_seconds: float) -> Probe:
        """Run it once."""
        script, settings = self._script, self._ours.settings
        try:
            target = make_target(
                script.target_kind,
                script.target_settings,
                runs_dir=settings.runs_dir,
                allowed=settings.allowed_networks,
            )
            run = Run(
                script.run_name,
                script.fence,
                script.token,
                start_by=clock.monotonic() + timeout_seconds,
                origin="" if target.node_bound else self._ours.origin,
            )
            return self._ask(target, run, clock.monotonic() + timeout_seconds)
        except (SettingsRefusedError, TargetError) as error:
            return Probe(False, f"it cannot be asked: {error}", silent=True)

    def _ask(self, target: Target, run: Run, deadline: float) -> Probe:
        target.start(run, self._script.command)
        output, offset, pause = b"", 0, FIRST_PAUSE_SECONDS
        while clock.monotonic() < deadline:
            found = target.poll(run, offset)
            if not isinstance(found, Running | Exited):
                return Probe(False, "its answer was lost", silent=True)
            output, offset = (output + found.output)[:MOST_OUTPUT_BYTES], found.offset
            if isinstance(found, Exited):
                state, detail = heard(found.code, output.decode(errors="replace"), self._script.expect)
                return Probe(state is Drift.SAME, detail, silent=state is Drift.UNKNOWN)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        target.abort(run, grace_seconds=0)
        return Probe(False, "it was not done in time, and was ended", silent=True)
