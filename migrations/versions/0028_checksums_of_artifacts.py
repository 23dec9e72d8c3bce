"""The checksum of a release's artifact, by which its file is known wherever it comes from."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("releases", sa.Column("artifact_sha256", sa.Text(), server_default="", nullable=False))
    op.create_check_constraint(
        op.f("ck_releases_artifact_sha256"), "releases", "artifact_sha256 ~ '^([0-9a-f]{64})?$'"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_releases_artifact_sha256"), "releases")
    op.drop_column("releases", "artifact_sha256")
