"""`python -m bench [name...]`: measure and print the tables of docs/performance.md."""

import sys

from bench import deployments, latency, logs, openings, pending, streams, web

MEASUREMENTS = {
    "deployments": deployments.measure,
    "web": web.measure,
    "latency": latency.measure,
    "logs": logs.measure,
    "pending": pending.measure,
    "streams": streams.measure,
    "openings": openings.measure,
}


def main(names: list[str]) -> int:
    """Measure what is named, or everything."""
    unknown = set(names) - set(MEASUREMENTS)
    if unknown:
        print(
            f"there is no {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}", file=sys.stderr
        )
        return 2
    print("| what | measured | ratio |\n|---|---|---|")
    for name in names or MEASUREMENTS:
        for row in MEASUREMENTS[name]():
            print("| " + " | ".join(row) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
