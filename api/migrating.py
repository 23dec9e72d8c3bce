"""The application as developers make migrations with it: `flask --app api.migrating db check`. Those that serve load no Alembic."""

from flask_migrate import Migrate

from api.app import create_app
from api.extensions import db
from orchestrator.revisions import MIGRATIONS

app = create_app()
Migrate(app, db, directory=str(MIGRATIONS))
