"""Run the model for long: `make simulate N=100000`."""

import argparse
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path

from orchestrator import log
from tests.conftest import environment, migrate, settings_for
from tests.servers import PostgresServer, connect


def main() -> None:
    """Rounds of examples, each with a seed of its own, until so many rules were carried out."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--total", type=int, default=10_000, help="how many rules to carry out in all")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="of the first round")
    parser.add_argument("--examples", type=int, default=20, help="a round")
    parser.add_argument("--rules", type=int, default=80, help="an example, at most")
    parser.add_argument(
        "--shrink", action="store_true", help="take minutes to make an example that fails smaller"
    )
    wanted = parser.parse_args()
    _say(f"seed {wanted.seed}")
    with tempfile.TemporaryDirectory(prefix="release-manager-model-") as name:
        folder = Path(name)
        with connect(folder) as servers:
            server = PostgresServer(servers.database_base_url, folder)
            simulate(server, servers.redis_base_url + "/0", folder, wanted)


def simulate(server: PostgresServer, redis_url: str, folder: Path, wanted: argparse.Namespace) -> None:
    """Make the database, and go on until it is enough or something is found, which is raised."""
    url = server.create_database("model")
    os.environ.update(environment(url, redis_url, folder))
    log.configure("ERROR")
    migrate(url, redis_url, folder)
    from tests.model.harness import harness  # celeryconfig reads the environment
    from tests.model.machine import Model
    from tests.model.running import run

    with harness(settings_for(url, redis_url, folder), folder / "plugins") as made:
        began, number = time.monotonic(), wanted.seed
        while Model.rules_done < wanted.total:
            _say(f"round {number}")
            run(made, number, examples=wanted.examples, rules=wanted.rules, shrinking=wanted.shrink)
            rate = Model.rules_done / (time.monotonic() - began)
            _say(f"{Model.rules_done} of {wanted.total} rules, {rate:.0f}/s")
            number += 1
        for what, n in sorted(Model.met.items()):
            _say(f"{n:8} {what}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
