"""`python -m bench [name...]`: measure and print the tables of docs/performance.md."""

import sys

from bench import (
    beside,
    connections,
    deployments,
    fleet,
    insights,
    latency,
    lines,
    listing,
    logs,
    mixed,
    openings,
    pages,
    pending,
    serving,
    streams,
    web,
    wide,
)

MEASUREMENTS = {
    "deployments": deployments.measure,
    "wide": wide.measure,
    "beside": beside.measure,
    "web": web.measure,
    "latency": latency.measure,
    "lines": lines.measure,
    "logs": logs.measure,
    "pending": pending.measure,
    "streams": streams.measure,
    "pages": pages.measure,
    "openings": openings.measure,
    "listing": listing.measure,
    "mixed": mixed.measure,
    "insights": insights.measure,
    "fleet": fleet.measure,
    "connections": connections.measure,
    "serving": serving.measure,
}
ONLY_BY_NAME = {"listing", "fleet", "connections", "serving"}
"""The first takes many minutes and some 7 GB of disk while it runs, the second and the third an sshd and what they
install from PyPI, and the last is asked once for a kind of machine."""


def main(names: list[str]) -> int:
    """Measure what is named, or everything."""
    unknown = set(names) - set(MEASUREMENTS)
    if unknown:
        print(
            f"there is no {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}", file=sys.stderr
        )
        return 2
    print("| what | measured | ratio |\n|---|---|---|")
    for name in names or sorted(MEASUREMENTS.keys() - ONLY_BY_NAME, key=list(MEASUREMENTS).index):
        for row in MEASUREMENTS[name]():
            print("| " + " | ".join(row) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
