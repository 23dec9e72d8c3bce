"""`python -m bench.bare_ssh FOLDER PORT PARALLEL`: `true` on the hosts that stdin lists, by the target alone."""

import getpass
import sys
from concurrent.futures import ThreadPoolExecutor

from orchestrator.targets.base import Command, Exited, Run, TargetUnreachableError
from orchestrator.targets.ssh import SshTarget


def main(folder: str, port: str, parallel: str) -> int:
    """Start and look until it has ended, on each."""
    common = {
        "port": int(port),
        "user": getpass.getuser(),
        "identity": f"{folder}/id",
        "runs": f"{folder}/remote",
    }

    def run(numbered: tuple[int, str]) -> bool:
        number, host = numbered
        target = SshTarget.from_settings({**common, "host": host}, runs_dir=f"{folder}/runs")
        name = Run(f"bare-{number}-1", f"bare/{number}", 1)
        while True:
            try:
                answer = target.start(name, Command("true", {}))
                while not isinstance(answer, Exited):
                    answer = target.poll(name, 0)
            except TargetUnreachableError:
                continue  # so many at once that this one came to nothing in its time; a second start does nothing
            return answer.code == 0

    with ThreadPoolExecutor(int(parallel)) as threads:
        return 0 if all(threads.map(run, enumerate(sys.stdin.read().split()))) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
