"""Locks that the orchestrator itself sets, after a rollback that failed."""

from alembic import op

revision = "0032"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("locks", "created_by", nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM locks WHERE created_by IS NULL")
    op.alter_column("locks", "created_by", nullable=False)
