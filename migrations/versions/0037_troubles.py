"""What keeps an open attempt from going on at its target."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("trouble", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("attempts", "trouble")
