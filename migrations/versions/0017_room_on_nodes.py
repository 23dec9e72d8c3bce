"""How much room a worker node has where its runs are."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE heartbeats ADD COLUMN free_bytes bigint")


def downgrade() -> None:
    op.execute("ALTER TABLE heartbeats DROP COLUMN free_bytes")
