"""Which deployment has the place of one that got another plan, and attempts of which nothing was started."""

from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

BEFORE = "'succeeded', 'failed', 'timed_out', 'aborted', 'lost', 'unreachable'"
REPLACED = "fk_deployments_replaced_by_id"


def upgrade() -> None:
    # Each can be run again: what follows them is outside of the transaction, and may be cut off.
    op.execute("ALTER TABLE deployments ADD COLUMN IF NOT EXISTS replaced_by_id bigint")
    op.execute(f"ALTER TABLE deployments DROP CONSTRAINT IF EXISTS {REPLACED}")
    op.execute(
        f"ALTER TABLE deployments ADD CONSTRAINT {REPLACED} FOREIGN KEY (replaced_by_id) REFERENCES deployments (id) NOT VALID"
    )
    _allow(f"{BEFORE}, 'unstarted'")
    _validate("attempts", "ck_attempts_outcome")
    _validate("deployments", REPLACED)


def downgrade() -> None:
    # It refuses to change one that has ended.
    op.execute("ALTER TABLE attempts DISABLE TRIGGER tokens_only_grow")
    op.execute("UPDATE attempts SET outcome = 'failed' WHERE outcome = 'unstarted'")
    op.execute("ALTER TABLE attempts ENABLE TRIGGER tokens_only_grow")
    _allow(BEFORE)
    op.execute("ALTER TABLE deployments DROP COLUMN IF EXISTS replaced_by_id")
    _validate("attempts", "ck_attempts_outcome")


def _allow(outcomes: str) -> None:
    op.execute("ALTER TABLE attempts DROP CONSTRAINT IF EXISTS ck_attempts_outcome")
    op.execute(
        f"ALTER TABLE attempts ADD CONSTRAINT ck_attempts_outcome CHECK (outcome IN ({outcomes})) NOT VALID"
    )


def _validate(table: str, constraint: str) -> None:
    """In a transaction of its own, so that nobody who writes waits while all rows are read."""
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {constraint}")
