"""Clocks that move only when they are told to: the processes' own, and Postgres' `clock_timestamp()`."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import psycopg2
from psycopg2.extensions import connection as PgConnection  # noqa: N812  # it is a class

from orchestrator import clock

GREATEST_JUMP_SECONDS = 600.0
"""How far Postgres' clock is ever behind one it showed before, but for the time that passed."""
BEGINNING = datetime(2026, 11, 23, 12, tzinfo=UTC)

# pg_catalog is searched first unless the search path names it: then what stands before it wins.
_VIRTUAL = """
CREATE SCHEMA virtual;
CREATE TABLE virtual.time (at timestamptz NOT NULL, set_back_seconds float NOT NULL);
INSERT INTO virtual.time VALUES ('{beginning}', 0);
CREATE FUNCTION virtual.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT at FROM virtual.time';
DO $$
DECLARE each record;
BEGIN
    FOR each IN SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND column_default = 'clock_timestamp()'
    LOOP
        EXECUTE format('ALTER TABLE public.%I ALTER COLUMN %I SET DEFAULT virtual.clock_timestamp()',
            each.table_name, each.column_name);
    END LOOP;
    EXECUTE format('ALTER DATABASE %I SET search_path = virtual, pg_catalog, public', current_database());
END $$;
"""


def install(connection: PgConnection) -> None:
    """Put the clock of this database under our hand, for connections made from now on."""
    with connection.cursor() as cursor:
        cursor.execute(_VIRTUAL.format(beginning=BEGINNING.isoformat()))


class Clocks:
    """Time as it passes everywhere, and Postgres' clock, which may jump beside it."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg2.connect(url)
        self._connection.autocommit = True
        self.restart()

    def restart(self) -> None:
        """Begin anew."""
        self.seconds = 0.0
        self._jumped = timedelta()
        self._set_back = timedelta()
        self._greatest = BEGINNING
        self._write()

    def go(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        self._write()

    def jump(self, seconds: float) -> None:
        """Let Postgres' clock, and no other, be so far from the right time, at most half of GREATEST_JUMP_SECONDS."""
        before, self._jumped = self._jumped, timedelta(seconds=seconds)
        self._set_back += max(before - self._jumped, timedelta())
        self._write()

    def set_right(self) -> None:
        """Let Postgres' clock catch up with what it showed before it was set back."""
        if self.postgres < self._greatest:
            self._jumped += self._greatest - self.postgres
            self._write()

    @property
    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.seconds)

    @property
    def postgres(self) -> datetime:
        return self.now + self._jumped

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def everywhere(self) -> Iterator[None]:
        """Let every process of the model see this time."""
        with (
            patch.object(clock, "now", lambda: self.now),
            patch.object(clock, "monotonic", lambda: 1000.0 + self.seconds),
        ):
            yield

    def _write(self) -> None:
        self._greatest = max(self._greatest, self.postgres)
        with self._connection.cursor() as cursor:
            cursor.execute(
                "UPDATE virtual.time SET at = %s, set_back_seconds = %s",
                (self.postgres, self._set_back.total_seconds()),
            )
