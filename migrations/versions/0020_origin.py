"""Who this installation is, for targets that serve several."""

from alembic import op

revision = "0020"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE origins (
            single boolean DEFAULT true PRIMARY KEY CONSTRAINT ck_origins_single CHECK (single),
            id uuid DEFAULT gen_random_uuid() NOT NULL
        )
    """)
    op.execute("INSERT INTO origins DEFAULT VALUES")


def downgrade() -> None:
    op.execute("DROP TABLE origins")
