"""The Flask extensions and the few things that one process has one of."""

from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app
from flask_jwt_extended import JWTManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from api.metrics import note_lookup
from api.oidc import Provider
from api.quotas import Quotas
from api.rates import LoginRates
from api.sessions import Sessions
from orchestrator.bootstrap import MIGRATIONS
from orchestrator.cache import Cache
from orchestrator.config import Settings
from orchestrator.db import Lookups, engine_options, make_engine, tune
from orchestrator.domain.errors import NotFoundError
from orchestrator.models import Base
from orchestrator.pulse import Pulse
from orchestrator.security import PasswordHasher, Vault
from orchestrator.services.cursors import Cursors
from orchestrator.services.tokens import TokenReader

# The metadata and not `model_class=Base`: that would copy the class, and SQLAlchemy refuses a copy with a type map.
db = SQLAlchemy(metadata=Base.metadata, session_options={"autoflush": False, "expire_on_commit": False})
jwt = JWTManager()
migrate = Migrate(directory=str(MIGRATIONS))

_KEY = "orchestrator"


@dataclass(frozen=True, slots=True)
class Services:
    """What views need besides the database session."""

    settings: Settings
    cache: Cache
    passwords: PasswordHasher
    cursors: Cursors
    lookups: Lookups
    pulse: Pulse
    tokens: TokenReader
    login_rates: LoginRates
    sessions: Sessions
    quotas: Quotas
    vault: Vault
    provider: Provider | None


def init(app: Flask, settings: Settings) -> None:
    """Bind everything to the application."""
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.sqlalchemy_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(settings)
    db.init_app(app)
    jwt.init_app(app)
    migrate.init_app(app, db)
    with app.app_context():
        engine = db.engine
    tune(engine, settings)
    lookups = Lookups(settings, on_restart=engine.dispose)
    pulse = Pulse(make_engine(settings, isolation_level="AUTOCOMMIT"))
    pulse.guard(engine)
    pulse.guard(lookups.engine)
    cache = Cache(settings.redis_url, note_lookup=note_lookup)
    app.extensions[_KEY] = Services(
        settings=settings,
        cache=cache,
        passwords=PasswordHasher(settings.bcrypt_rounds),
        cursors=Cursors(settings.secret_key),
        lookups=lookups,
        pulse=pulse,
        tokens=TokenReader(settings.secret_key),
        login_rates=LoginRates(settings.redis_url, settings.login_limit),
        sessions=Sessions(settings.secret_key, cache),
        quotas=Quotas(
            settings.redis_url, limit=settings.rate_limit, anonymous_limit=settings.anonymous_rate_limit
        ),
        vault=Vault(settings.secret_key),
        provider=Provider(settings) if settings.oidc_issuer else None,
    )


def close(app: Flask) -> None:
    """End what goes on beside the requests, and every connection that nobody uses at this moment."""
    found = services_of(app)
    for each in (found.cache, found.quotas, found.login_rates, found.lookups):
        each.close()
    with app.app_context():
        db.engine.dispose()
    found.pulse.close()


def services_of(app: Flask) -> Services:
    """What the views of an application need."""
    return cast(Services, app.extensions[_KEY])


def services() -> Services:
    """Those of the application that answers now."""
    return services_of(current_app)


def provider() -> Provider:
    """The OpenID Connect provider. Raises NotFoundError where there is none."""
    found = services().provider
    if found is None:
        raise NotFoundError("no OpenID Connect provider is set up here")
    return found


def session() -> Session:
    """The session of this request. Writes go through `orchestrator.db.transaction(session())`."""
    return db.session()
