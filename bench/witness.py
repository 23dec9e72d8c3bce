"""Somebody who looks at Postgres all the while: when each line of a log was stored, and when anybody could read it."""

import re
import time
from pathlib import Path

import psycopg2

LOOK_EVERY_SECONDS = 0.005
INSTANT = re.compile(rb"(?<![0-9a-f])\d{19}(?![0-9a-f])")
"""A line says when it was written, in nanoseconds; the hexadecimal id of a request may have as many digits in a row."""

# As the product reads: only pieces before which nothing can appear any more.
_NEW = """
    SELECT id, (extract(epoch FROM at) * 1000000)::bigint, data FROM log_chunks
    WHERE deployment_id = %s AND id > %s AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY id
"""


def watch(database_url: str, deployment_id: int, lines: int, there: Path) -> dict[int, tuple[float, float]]:
    """For each line, after how many milliseconds it was written into the table, and could be read from it.

    `there` is made once this looks.
    """
    found: dict[int, tuple[float, float]] = {}
    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    last = 0
    with connection.cursor() as cursor:
        while len(found) < lines:
            cursor.execute(_NEW, (deployment_id, last))
            now = time.time_ns()
            there.touch()
            for id_, at_us, data in cursor.fetchall():
                last = id_
                for line in map(int, INSTANT.findall(bytes(data))):
                    found[line] = (at_us / 1e3 - line / 1e6, (now - line) / 1e6)
            time.sleep(LOOK_EVERY_SECONDS)
    connection.close()
    return found


def wait_for(*files: Path, seconds: float = 60.0) -> None:
    """Return when all of them are there. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while missing := [file.name for file in files if not file.exists()]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not there after {seconds:g} s: {', '.join(missing)}")
        time.sleep(0.05)
