"""Callbacks of runs at HTTP targets, and a way into the history of a target."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("called_back", sa.BigInteger(), server_default="0", nullable=False))
    op.create_index(
        "ix_steps_history",
        "steps",
        ["target_id", "ended_at", "id"],
        postgresql_where=sa.text("status = 'succeeded'"),
    )


def downgrade() -> None:
    op.drop_index("ix_steps_history", table_name="steps", postgresql_where=sa.text("status = 'succeeded'"))
    op.drop_column("attempts", "called_back")
