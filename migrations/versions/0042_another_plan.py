"""Which deployment has the place of one that got another plan, and attempts of which nothing was started."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

BEFORE = "'succeeded', 'failed', 'timed_out', 'aborted', 'lost', 'unreachable'"


def upgrade() -> None:
    op.add_column("deployments", sa.Column("replaced_by_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("fk_deployments_replaced_by_id"), "deployments", "deployments", ["replaced_by_id"], ["id"]
    )
    _allow(f"{BEFORE}, 'unstarted'")


def downgrade() -> None:
    # It refuses to change one that has ended.
    op.execute("ALTER TABLE attempts DISABLE TRIGGER tokens_only_grow")
    op.execute("UPDATE attempts SET outcome = 'failed' WHERE outcome = 'unstarted'")
    op.execute("ALTER TABLE attempts ENABLE TRIGGER tokens_only_grow")
    _allow(BEFORE)
    op.drop_column("deployments", "replaced_by_id")


def _allow(outcomes: str) -> None:
    """Checked apart, so that nobody who writes attempts waits while all of them are read."""
    op.execute("ALTER TABLE attempts DROP CONSTRAINT ck_attempts_outcome")
    op.execute(
        f"ALTER TABLE attempts ADD CONSTRAINT ck_attempts_outcome CHECK (outcome IN ({outcomes})) NOT VALID"
    )
    op.execute("ALTER TABLE attempts VALIDATE CONSTRAINT ck_attempts_outcome")
