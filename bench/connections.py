"""What open connections to hosts cost a worker: `true` when each is made, once more over all of them, and the memory they hold.

CONNECTIONS sets how many there are. `python -m bench.connections FOLDER PORT` is the process that is measured.
"""

import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import world
from bench.fleet import names, record_keys
from orchestrator.targets import ssh_transport
from orchestrator.targets.ssh_hosts import Hop, Way
from tests.sshd import serving

CONNECTIONS = int(os.environ.get("CONNECTIONS", "1000"))
PARALLEL = 50


def measure() -> list[tuple[str, str, str]]:
    """One process with all the connections, which stay open."""
    hosts = list(itertools.islice(names(), CONNECTIONS))
    with (
        tempfile.TemporaryDirectory(prefix="release-manager-bench-") as folder,
        serving(Path(folder, "sshd")) as server,
    ):
        record_keys(server, hosts)
        words = [sys.executable, "-m", "bench.connections", str(server.folder), str(server.port)]
        done = subprocess.run(
            words, input="\n".join(hosts), text=True, check=True, cwd=world.ROOT, stdout=subprocess.PIPE
        )
    found = json.loads(done.stdout)
    what = f"`true` over {CONNECTIONS} connections, {PARALLEL} side by side"
    return [
        (
            f"{what}, when each is made",
            f"{found['first_ms']:.1f} ms of CPU each, {found['first_s']:.0f} s",
            "",
        ),
        (
            "the same again, all of them open",
            f"{found['again_ms']:.1f} ms of CPU each, {found['again_s']:.1f} s",
            "",
        ),
        ("memory of the process a connection", f"{found['kib']:.0f} KiB", ""),
    ]


def main(folder: str, port: str) -> int:
    """Call the hosts that stdin lists."""
    known, identity = Path(folder, "known_hosts"), f"{folder}/id"
    ways = [Way(Hop(host, port=int(port)), None, identity, known) for host in sys.stdin.read().split()]

    def call(way: Way) -> int:
        return ssh_transport.call(way, "true", b"", seconds=60).code

    call(ways.pop())  # what is imported and read only once
    before = _kib()
    with ThreadPoolExecutor(PARALLEL) as threads:
        taken = []
        for _ in range(2):
            begun, spent = time.monotonic(), _spent()
            if any(threads.map(call, ways)):
                raise RuntimeError("`true` failed")
            taken.append(((_spent() - spent) * 1000 / len(ways), time.monotonic() - begun))
    (first_ms, first_s), (again_ms, again_s) = taken
    figures = {"first_ms": first_ms, "first_s": first_s, "again_ms": again_ms, "again_s": again_s}
    print(json.dumps({**figures, "kib": (_kib() - before) / len(ways)}))
    return 0


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _kib() -> int:
    """The memory of this process, what it shares counted in part (proc(5))."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
