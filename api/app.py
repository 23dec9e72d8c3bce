"""The Flask application."""

import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, Response, g, request
from flask_cors import CORS
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BaseConverter, IntegerConverter, Map

from api import auth, errors, extensions, health_checks, metrics, openapi
from api.dashboard import pages
from api.parsing import MAX_BODY_BYTES, MAX_ID
from api.resources import BLUEPRINTS
from orchestrator import clock, log, tracing
from orchestrator.config import Settings, names_in
from orchestrator.domain.errors import MisconfiguredError

REQUEST_ID = "X-Request-ID"
TRACED = "/api/"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
PREFLIGHT_SECONDS = 600
T = TypeVar("T")
_EXPOSED_HEADERS = (
    "ETag",
    "Idempotent-Replayed",
    "Location",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    REQUEST_ID,
)


_access = log.get("api.access")


class Application(Flask):
    """Flask without what costs each request and serves none of ours."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Nothing of ours is a coroutine; Flask would look whether it is, at each call of each view and each hook."""
        return func


class IdConverter(IntegerConverter):
    """Ids that Postgres can hold."""

    regex = r"\d{1,19}"

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, max=MAX_ID)


class NameConverter(BaseConverter):
    """Names of applications and environments; anything else is the name of nothing."""

    regex = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"


def create_app(settings: Settings | None = None) -> Flask:
    """Make the application. Raises MisconfiguredError where a view does not say which permission it asks for."""
    settings = settings or Settings.from_env()
    app = Application(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["SECRET_KEY"] = None  # sessions of browsers are not Flask's
    app.url_map.strict_slashes = False
    app.url_map.converters.update(id=IdConverter, name=NameConverter)
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies)  # type: ignore[method-assign]
    auth.init(app, settings.secret_key)
    extensions.init(app, settings)
    errors.init(app)
    health_checks.init(app, settings)
    api = errors.ProblemApi(app, spec_kwargs=openapi.SPEC)
    api.register_converter(IdConverter, openapi.id_parameter)
    api.register_converter(NameConverter, openapi.name_parameter)
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    openapi.init(app, api)
    pages.init(app)
    _share(app, settings)
    _observe(app)
    app.wsgi_app = _with_security_headers(app.wsgi_app)  # type: ignore[method-assign, assignment]
    check_permissions(app)
    return app


def close(app: Flask) -> None:
    """End what it does beside answering; it answers nothing from now on."""
    health_checks.close(app)
    extensions.close(app)


def _with_security_headers(serve: WSGIApplication) -> WSGIApplication:
    """Add those headers that an answer does not have, whoever made it."""

    def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
            present = {name.lower() for name, _ in headers}
            missing = [each for each in _SECURITY_HEADERS.items() if each[0].lower() not in present]
            return start_response(status, [*headers, *missing], *rest)

        return serve(environ, start)

    return wrapped


def _share(app: Flask, settings: Settings) -> None:
    """Let pages of other origins in, if any are named. Nothing else of the answers changes."""
    if settings.cors_origins:
        CORS(
            app,
            resources=r"/api/*",
            origins=names_in(settings.cors_origins),
            methods=names_in(settings.cors_methods),
            allow_headers=names_in(settings.cors_headers),
            supports_credentials=settings.cors_credentials,
            expose_headers=_EXPOSED_HEADERS,
            max_age=PREFLIGHT_SECONDS,
            send_wildcard=True,
            always_send=False,
            vary_header=False,
        )
        app.after_request(_vary)


def _vary(response: Response) -> Response:
    """Also where no other origin asked: a cache must not give that answer to one that does."""
    response.vary.add("Origin")
    return response


def check_permissions(app: Flask) -> None:
    """Raise MisconfiguredError that names the views which do not say which permission they ask for."""
    silent = [rule.rule for rule in app.url_map.iter_rules() if not _declares(app, rule.endpoint)]
    if silent:
        raise MisconfiguredError(f"these routes declare no permission: {', '.join(sorted(silent))}")


def _declares(app: Flask, endpoint: str) -> bool:
    return auth.permission_of(app.view_functions[endpoint]) is not None


def _observe(app: Flask) -> None:
    """Give each request an id, each answer its headers, and the log one line for both."""
    pulse = extensions.services_of(app).pulse

    @app.before_request
    def begin() -> None:
        pulse.begin()
        asked, kept = _behind(request), _behind(g)
        sent = asked.headers.get(REQUEST_ID, "")
        kept.request_id = sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(16)
        kept.begun = clock.monotonic()
        log.forget()
        log.bind(request_id=kept.request_id)
        if asked.view_args and (deployment := asked.view_args.get("deployment_id")):
            log.bind(deployment=deployment)
        if tracing.is_on() and asked.path.startswith(TRACED):
            route = asked.url_rule.rule if asked.url_rule is not None else "none"
            kept.span = tracing.span(
                f"{asked.method} {route}",
                parent=asked.headers.get(tracing.HEADER),
                request_id=kept.request_id,
            )
            kept.span.__enter__()

    @app.teardown_request
    def close_span(_error: BaseException | None) -> None:
        pulse.end()
        if opened := g.pop("span", None):
            opened.__exit__(None, None, None)

    @app.after_request
    def end(response: Response) -> Response:
        asked, kept = _behind(request), _behind(g)
        seconds = clock.monotonic() - kept.begun
        response.headers.add(REQUEST_ID, kept.request_id)
        if "standing" in kept:
            for name, value in kept.standing.headers.items():
                response.headers.add(name, value)
        _access.info(
            "request",
            method=asked.method,
            path=asked.path,
            status=response.status_code,
            ms=round(seconds * 1000, 1),
            user=kept.actor.username if "actor" in kept else None,
        )
        tracing.note(status=response.status_code)
        metrics.observe(asked, response.status_code, seconds)
        return response


def _behind(proxy: T) -> T:
    """What a proxy of Flask's stands for in this request: each look through one costs as much as a dozen at what is behind."""
    found: T = proxy._get_current_object()  # type: ignore[attr-defined]
    return found
