"""Which trace a deployment belongs to; indexes for the newest deployments of an application, and for releases of a version."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_deployments_newest": ("deployments", ["application_id", sa.text("id DESC")]),
    "ix_releases_version": ("releases", ["version"]),
}


def upgrade() -> None:
    op.execute("ALTER TABLE deployments ADD COLUMN IF NOT EXISTS traceparent text")
    with op.get_context().autocommit_block():
        for name, (table, columns) in INDEXES.items():
            op.create_index(name, table, columns, postgresql_concurrently=True, if_not_exists=True)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name, (table, _columns) in INDEXES.items():
            op.drop_index(name, table_name=table, postgresql_concurrently=True, if_exists=True)
    op.drop_column("deployments", "traceparent")
