"""What open connections to hosts cost a worker, by each transport that could carry its calls: `true` when each connection is
made, once more over all of them, and the memory they hold.

CONNECTIONS sets how many there are. `bench/connecting.py` is the process that is measured.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import connecting, fleet_tools, world
from bench.fleet import names, record_keys
from tests.sshd import SSHD, serving

CONNECTIONS = int(os.environ.get("CONNECTIONS", "1000"))
LONGEST_SECONDS = 300
"""After which a way is given up: paramiko needs more for each connection the more there are."""


def measure() -> list[tuple[str, str, str]]:
    """Each way in a process and on an sshd of its own, one after the other."""
    if not SSHD or not shutil.which("ssh"):
        raise RuntimeError("this needs an sshd and ssh: install openssh-server and openssh-client")
    fleet_tools.install()
    what = f"`true` over {CONNECTIONS} connections, {connecting.PARALLEL} at a time"
    rows = []
    for way in connecting.WAYS:
        try:
            said = _said(_measured(way))
        except subprocess.TimeoutExpired:
            said = f"not through after {LONGEST_SECONDS} s"
        rows.append((f"{way}: {what}", said, ""))
        world.say("connections: " + " ".join(rows[-1]))
    return rows


def _said(found: dict[str, float]) -> str:
    return (
        f"first {found['first_ms']:.1f} ms of CPU each ({found['first_s']:.0f} s in all), again"
        f" {found['again_ms']:.1f} ms ({found['again_s']:.1f} s), {found['kib']:.0f} KiB a connection"
    )


def _measured(way: str) -> dict[str, float]:
    hosts = list(itertools.islice(names(), CONNECTIONS + 1))
    with (
        tempfile.TemporaryDirectory(prefix="release-manager-bench-") as folder,
        serving(Path(folder, "sshd")) as server,
    ):
        record_keys(server, hosts)
        python = fleet_tools.python() if way == connecting.PARAMIKO else sys.executable
        words = [python, "-m", "bench.connecting", way, str(server.folder), str(server.port), server.user]
        done = subprocess.run(
            words,
            input="\n".join(hosts),
            text=True,
            check=True,
            cwd=world.ROOT,
            stdout=subprocess.PIPE,
            timeout=LONGEST_SECONDS,
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found
