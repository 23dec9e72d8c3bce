"""Compare windows and freezes with the oracle around every change of clocks: `python -m tests.windows --cases 1000000`."""

import argparse
import sys

from tests.windows.comparison import compare

if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--cases", type=int, default=1_000_000)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    outcome = compare(given.cases, given.seed)
    print(outcome.summary)  # noqa: T201
    for difference in outcome.differences[:5]:
        print(difference)  # noqa: T201
    sys.exit(bool(outcome.differences))
