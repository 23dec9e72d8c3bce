"""A worker that is stopped between its claim and the start, until its node counts as lost and somebody else has gone on."""

import signal
from pathlib import Path

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.services import deployments
from tests.acceptance.fleet import Process, eventually, fleet
from tests.acceptance.test_workers import deploy, ended
from tests.conftest import environment
from tests.integration.engine_world import World

STOPS_BEFORE_ITS_FIRST_START = """
import os, signal, sys

stopped = []

def stop(event, args):
    if event == "os.posix_spawn" and any("supervisor.sh" in str(word) for word in args[1]) and not stopped:
        stopped.append(True)
        os.kill(os.getpid(), signal.SIGSTOP)

sys.addaudithook(stop)
"""


def is_stopped(process: Process) -> bool:
    stat = Path(f"/proc/{process.popen.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def test_nothing_is_started_by_a_worker_that_wakes_after_its_node_was_given_up(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    world, ledger, gate = World(database), tmp_path / "ledger", tmp_path / "gate"
    (tmp_path / "sitecustomize.py").write_text(STOPS_BEFORE_ITS_FIRST_START)
    env = environment(settings.database_url, settings.redis_url, settings.data_dir)
    env |= {"LEASE_SECONDS": "3", "NODE_LOST_SECONDS": "4"}
    with fleet(env, tmp_path) as workers:
        sleeper = workers.worker(DATA_DIR=str(tmp_path / "away"), PYTHONPATH=str(tmp_path))
        deployment = deploy(
            world, f"echo $DEPLOYMENT_RUN >> {ledger}\nwhile [ ! -e {gate} ]; do sleep 0.1; done"
        )
        eventually(lambda: is_stopped(sleeper), "the worker stands still right before the start")
        workers.worker(DATA_DIR=str(tmp_path / "here"))
        eventually(lambda: world.get(deployment).status == "paused", "the node counts as lost")
        with database.transaction() as session:
            deployments.answer(session, deployment, answer="retry", step_id=None, actor=world.actor)
        eventually(ledger.exists, "the second attempt runs on the other node")
        sleeper.signal(signal.SIGCONT)
        eventually(lambda: sleeper.says("lease_lost"), "the sleeper finds out")
        sleeper.signal(signal.SIGTERM)
        assert sleeper.popen.wait(timeout=30) == 0
        assert [run.rpartition("-")[2] for run in ledger.read_text().split()] == ["2"]
        assert list((tmp_path / "away" / "runs" / "runs").glob("[!.]*")) == []
        gate.touch()
        assert ended(world, deployment) == "succeeded"
