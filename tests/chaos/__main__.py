"""`python -m tests.chaos --faults 1000 --seed 7`: break an installation, and see whether it keeps its promises."""

import argparse
import secrets
import sys
import time
from pathlib import Path

from tests.chaos import campaign, scenarios
from tests.chaos.applications import GUARDED, SWITCHED
from tests.chaos.installation import folder
from tests.chaos.report import Report


def main() -> int:
    """Run what was asked for; 1 if any promise was broken, with the evidence kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=100, help="how many faults")
    parser.add_argument(
        "--rate", type=float, default=campaign.FAULTS_A_SECOND, help="how many of them a second, on average"
    )
    parser.add_argument("--restarts", type=int, help="instead: how many rolling restarts of all processes")
    parser.add_argument("--backlog", type=int, help="instead: how many backlogs that starting workers find")
    parser.add_argument("--traffic", action="store_true", help="deploy an application behind proxies besides")
    parser.add_argument("--seed", type=int, default=None, help="draws the same faults again")
    parser.add_argument("--json", type=Path, default=None, help="write the figures here")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs in any case")
    given = parser.parse_args()
    seed = secrets.randbelow(10**6) if given.seed is None else given.seed
    say(f"seed {seed}")
    keep = [True]
    with folder(lambda: keep[0]) as place:
        report = _run(given, place, seed)
        keep[0] = given.keep or not report.good
        sys.stdout.write(report.table() + "\n")
        if given.json:
            given.json.write_text(report.json() + "\n")
        if keep[0]:
            say(f"logs, ledger and outputs are kept in {place}")
    return 0 if report.good else 1


def _run(given: argparse.Namespace, place: Path, seed: int) -> Report:
    if given.restarts:
        return scenarios.restarts(place, rounds=given.restarts, seed=seed, say=say)
    if given.backlog:
        return scenarios.backlog(place, rounds=given.backlog, seed=seed, say=say)
    applications = (*GUARDED, SWITCHED) if given.traffic else GUARDED
    return campaign.run(
        place, faults=given.faults, seed=seed, say=say, rate=given.rate, applications=applications
    )


def say(text: str) -> None:
    """Progress goes to standard error, the table to standard output."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
