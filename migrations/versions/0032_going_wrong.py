"""Locks that the orchestrator itself sets after a rollback that failed, and targets that a deployment left out."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0026"
branch_labels = None
depends_on = None

BEFORE = "'succeeded', 'failed', 'timed_out', 'aborted', 'lost'"


def upgrade() -> None:
    op.alter_column("locks", "created_by", nullable=True)
    op.add_column(
        "deployments",
        sa.Column("skipped_targets", sa.BigInteger(), server_default="0", nullable=False),
    )
    _allow(f"{BEFORE}, 'unreachable'")


def downgrade() -> None:
    op.execute("UPDATE attempts SET outcome = 'failed' WHERE outcome = 'unreachable'")
    _allow(BEFORE)
    op.drop_column("deployments", "skipped_targets")
    op.execute("DELETE FROM locks WHERE created_by IS NULL")
    op.alter_column("locks", "created_by", nullable=False)


def _allow(outcomes: str) -> None:
    """Checked apart, so that nobody who writes attempts waits while all of them are read."""
    op.execute("ALTER TABLE attempts DROP CONSTRAINT ck_attempts_outcome")
    op.execute(
        f"ALTER TABLE attempts ADD CONSTRAINT ck_attempts_outcome CHECK (outcome IN ({outcomes})) NOT VALID"
    )
    op.execute("ALTER TABLE attempts VALIDATE CONSTRAINT ck_attempts_outcome")
