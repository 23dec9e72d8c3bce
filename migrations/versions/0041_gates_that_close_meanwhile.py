"""A start that is committed when a gate has closed since it was looked at is refused."""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

REFUSAL = """
CREATE FUNCTION refuse_when_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF clock_timestamp() >= NEW.commit_by THEN
        RAISE EXCEPTION 'deployment % had to be committed by %', NEW.id, NEW.commit_by
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER gates_are_open AFTER UPDATE OF commit_by ON deployments
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.commit_by IS NOT NULL)
    EXECUTE FUNCTION refuse_when_closed();
"""


def upgrade() -> None:
    op.add_column("deployments", sa.Column("commit_by", sa.DateTime(timezone=True), nullable=True))
    op.execute(REFUSAL)


def downgrade() -> None:
    op.execute("DROP TRIGGER gates_are_open ON deployments")
    op.execute("DROP FUNCTION refuse_when_closed()")
    op.drop_column("deployments", "commit_by")
