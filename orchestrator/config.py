"""Settings, from environment variables; read once at start, refused loudly when they cannot work."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from orchestrator.domain.access import Role, read_roles
from orchestrator.domain.errors import MisconfiguredError
from orchestrator.domain.networks import Network, read_networks

LOOPBACK = "127.0.0.1"
OIDC_BACK = "/login/oidc/back"
MIN_SECRET_BYTES = 32
_ORIGIN = re.compile(r"https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?")
PLACEHOLDERS = ("changeme", "change-me", "change_me", "example", "password", "secret", "placeholder")
MIN_DIFFERENT = 8
"""Of 32 hexadecimal digits that are drawn, so few are different once in a hundred million times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. The name of the environment variable is the field's in capitals."""

    database_url: str = field(repr=False)
    """Where the truth is: `postgresql://user:password@host:port/name`."""
    redis_url: str = field(repr=False)
    """Broker and cache: `redis://:password@host:port/0`; also `rediss://` and `unix://`. Valkey, or Redis 7 or newer."""
    secret_key: str = field(repr=False)
    """Signs tokens and cursors, and keeps the secrets of webhooks; at least 32 bytes, from `openssl rand -hex 32`; one that can
    be guessed is refused. A new one logs everybody out, and webhooks have to be made anew."""
    data_dir: Path = Path(".data")
    """Where a worker keeps the runs of its node and finds the keys of hosts (`known_hosts`), and `releasectl up` its stores. It
    must survive a restart of the worker."""
    bcrypt_rounds: int = 12
    """Cost of a password hash, 4 to 16; one more doubles the time of a login."""
    login_limit: int = 10
    """Logins a minute for one account from one address, in any sixty seconds; an address has six times as many, and an account
    ten times from everywhere. More get 429 with `Retry-After`."""
    rate_limit: int = 6000
    """Requests a minute of one user's logins together, and of each API token; more get 429. See [the API](api.md#how-much)."""
    anonymous_rate_limit: int = 600
    """Requests a minute of one address without a valid token: logging in, refreshing, `/docs`, and what is answered 401."""
    request_seconds: float = 20.0
    """How long a request may take to arrive at web, its body included; what comes later is not waited for: 400, or the
    connection ends."""
    trusted_proxies: int = 0
    """How many proxies stand before web and add to `X-Forwarded-For`; without, the address of a client is that of its
    connection."""
    cors_origins: str = ""
    """Origins whose pages may read the API's answers in a browser, `https://ui.example.com`, with commas; `*`: all; empty: none.
    See [SECURITY.md](../SECURITY.md)."""
    cors_methods: str = "GET,POST,PUT,PATCH,DELETE"
    """The methods those may use."""
    cors_headers: str = "Authorization,Content-Type,Idempotency-Key,If-Match,If-None-Match,X-Request-ID"
    """The headers those may send."""
    cors_credentials: bool = False
    """Whether those may send cookies and client certificates. Tokens go in a header, which needs none."""
    cookie_secure: bool = False
    """Whether the cookie of the [web UI](dashboard.md) goes over HTTPS only: `true` behind a proxy that speaks TLS."""
    oidc_issuer: str = ""
    """The OpenID Connect provider at which people may log in to the [web UI](dashboard.md#single-sign-on) and the API, as it names
    itself, `https://id.example.com/realms/staff`; empty: none. Needs the extra `oidc`."""
    oidc_client_id: str = ""
    """What that provider calls this installation."""
    oidc_client_secret: str = field(default="", repr=False)
    """The secret that it gave for it."""
    oidc_redirect_url: str = ""
    """Where it sends people back to: web's own address as browsers know it, with `/login/oidc/back`. Register it there."""
    oidc_scopes: str = "openid email profile"
    """What is asked of it; some want another one for groups."""
    oidc_name: str = "single sign-on"
    """What its button on the login page says: `Log in with` this."""
    oidc_groups_claim: str = "groups"
    """The claim that lists the groups somebody is in."""
    oidc_roles: str = ""
    """Which groups give which role, `release-admins=admin, ops=operator, *=viewer` (`*`: everybody); the highest counts, and at
    each login anew. Empty: roles and accounts are the admins' affair alone."""
    open_registration: bool = False
    """Whether anyone may create an account; otherwise only admins, after the first user."""
    db_pool_size: int = 10
    """Connections to Postgres that a process may open; those it has opened it keeps."""
    db_prepare: bool = True
    """Let Postgres keep the plans of statements it has seen before, a connection; `false` behind a pooler that hands connections
    on between transactions."""
    db_echo: bool = False
    """Log every SQL statement, without its values."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR. Logs go to standard error, as JSON unless that is a terminal."""
    lease_seconds: float = 8.0
    """How long a worker's silence is tolerated before another goes on with its attempts."""
    slice_seconds: float = 20.0
    """How long one message follows a run before it hands on to the next."""
    node_lost_seconds: float = 900.0
    """How long a worker node may be away before the runs that live on it count as lost."""
    unreachable_seconds: float = 30.0
    """How long past a step's timeout its target may be out of reach before its end counts as unknown and a person is asked."""
    log_limit_bytes: int = 64 * 1024 * 1024
    """How much of an attempt's output is kept from its beginning; of a longer one also the last 256 KiB, with a line between
    them that says how much was left out."""
    log_retention_days: int = 90
    """How long logs are kept."""
    run_retention_hours: int = 168
    """How long a worker keeps the folder of a run that has ended (its script and its output)."""
    secrets_dir: str = ""
    """Where a worker finds the values of [secrets](pipeline.md#secrets); empty: `secrets` in `DATA_DIR`."""
    artifact_sources: str = "https://"
    """From where workers take [artifacts](pipeline.md#files), with commas: beginnings of URLs, such as
    `https://artifacts.example.com/shop/`, `http://10.0.0.7:8081/` or `file:///srv/artifacts/` (of the worker's disk). `https://`
    is every host."""
    artifact_limit_bytes: int = 2 * 1024 * 1024 * 1024
    """How large an artifact may be. What is in it may have four times as much."""
    flower_url: str = ""
    """Where Flower is shown to people; empty: no links to it."""
    stream_url: str = ""
    """Where web sends those who follow a deployment, `https://host:port` of a `stream` process; empty: they poll. Under another
    host name than the API's `releasectl` does not follow, and polls."""
    stream_limit: int = 2000
    """How many one `stream` process serves at once; the next is answered 503 and polls."""
    stream_queue_bytes: int = 4_194_304
    """How far a follower may fall behind what is written before it is cut off and has to come back."""

    metrics_port: int = 0
    """Where worker, beat and stream answer `/metrics` ([operations](operations.md#metrics)); empty: nowhere."""
    metrics_address: str = LOOPBACK
    """On which address they do; on any other than loopback only with `METRICS_TOKEN`."""
    metrics_token: str = field(default="", repr=False)
    """What has to be shown there as a bearer token, at least 32 bytes."""

    webhook_allowed_networks: str = ""
    """Private networks that [webhooks](webhooks.md#where-it-may-lead) may go to and [HTTP targets](http-targets.md) may be in,
    such as `10.1.0.0/16, 127.0.0.0/8`; set it for web and workers alike."""
    callback_url: str = ""
    """Web's own address as [HTTP targets](http-targets.md#callbacks) know it, `https://releases.example.com`; empty: they are asked
    all the time, also those that could call back. Set it for the workers."""
    smtp_url: str = field(default="", repr=False)
    """Where mail is handed in: `smtp://user:password@host:587` or `smtps://...`; empty: no webhooks of the kind `email`."""
    smtp_from: str = ""
    """Who mail is from; needed with `SMTP_URL`."""
    delivery_retention_days: int = 30
    """How long deliveries to webhooks are kept that are over."""
    otel_exporter_otlp_endpoint: str = ""
    """Where traces go, as OTLP over HTTP, for example `http://collector:4318` ([operations](operations.md#traces)); empty:
    nowhere. Needs the extra `otel`."""

    @property
    def allowed_networks(self) -> tuple[Network, ...]:
        """The private networks that webhooks may go to and HTTP targets may be in."""
        return read_networks(self.webhook_allowed_networks)

    @property
    def roles_of_groups(self) -> dict[str, Role]:
        """Which groups of the provider give which role."""
        return read_roles(self.oidc_roles)

    @property
    def runs_dir(self) -> Path:
        """The folder of the runs that live on this node."""
        return self.data_dir / "runs"

    @property
    def artifacts_dir(self) -> Path:
        """The folder of the artifacts that this node has fetched."""
        return self.data_dir / "artifacts"

    @property
    def secrets_folder(self) -> Path:
        """Where the worker finds secrets."""
        return Path(self.secrets_dir) if self.secrets_dir else self.data_dir / "secrets"

    @property
    def sqlalchemy_url(self) -> str:
        """The database URL with its driver named (SQLAlchemy's default is another one)."""
        scheme, rest = self.database_url.split("://", 1)
        return f"postgresql+psycopg2://{rest}" if scheme in {"postgres", "postgresql"} else self.database_url

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read and check every setting. Raises MisconfiguredError that names each variable that is wrong."""
        env = os.environ if env is None else env
        problems: list[str] = []
        values: dict[str, object] = {}
        for name, spec in cls.__dataclass_fields__.items():
            raw = env.get(name.upper(), "").strip()
            if not raw:
                continue
            try:
                values[name] = _convert(raw, spec.type)
            except ValueError as error:
                problems.append(f"{name.upper()} {error}")
        problems += _missing(values) + _weak(values) + _cors_problems(values) + _oidc_problems(values)
        if problems:
            raise MisconfiguredError("the settings cannot be used: " + "; ".join(problems))
        return cls(**values)  # type: ignore[arg-type]  # every value was converted to its field's type above


def names_in(text: str) -> list[str]:
    """What is listed with commas."""
    return [each.strip() for each in text.split(",") if each.strip()]


def _why_weak(secret: str) -> str | None:
    """Why somebody would guess it; None: nobody will."""
    if len(secret.encode()) < MIN_SECRET_BYTES:
        return f"must have at least {MIN_SECRET_BYTES} bytes"
    if len(set(secret)) < MIN_DIFFERENT:
        return f"must have at least {MIN_DIFFERENT} different characters"
    if secret in (secret + secret)[1:-1]:
        return "only repeats a part of itself"
    if any(word in secret.lower() for word in PLACEHOLDERS):
        return "is a placeholder"
    return None


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _convert(raw: str, kind: object) -> object:
    if kind is bool:
        if raw.lower() not in {"true", "false", "1", "0", "yes", "no"}:
            raise ValueError(f"must be true or false, not {raw!r}")
        return raw.lower() in {"true", "1", "yes"}
    if kind is int or kind is float:
        try:
            number = kind(raw)
        except ValueError as error:
            raise ValueError(f"must be a number, not {raw!r}") from error
        if number <= 0:
            raise ValueError(f"must be greater than 0, not {raw}")
        return number
    return Path(raw) if kind is Path else raw


def _missing(values: Mapping[str, object]) -> list[str]:
    problems = []
    for name, schemes in (
        ("database_url", {"postgres", "postgresql", "postgresql+psycopg2"}),
        ("redis_url", {"redis", "rediss", "unix"}),
    ):
        url = str(values.get(name, ""))
        if not url:
            problems.append(f"{name.upper()} is not set (`releasectl up` sets it for you)")
        elif urlsplit(url).scheme not in schemes:
            problems.append(
                f"{name.upper()} must start with {' or '.join(sorted(s + '://' for s in schemes))}"
            )
    return problems


def _weak(values: Mapping[str, object]) -> list[str]:
    """What keeps nobody out."""
    problems = []
    secret = str(values.get("secret_key", ""))
    if reason := _why_weak(secret):
        problems.append(f"SECRET_KEY {reason}: set it from `openssl rand -hex 32`")
    token = str(values.get("metrics_token", ""))
    if token and (reason := _why_weak(token)):
        problems.append(f"METRICS_TOKEN {reason}: set it from `openssl rand -hex 32`")
    address = str(values.get("metrics_address", LOOPBACK))
    if "metrics_port" in values and not token and not _is_loopback(address):
        problems.append("METRICS_ADDRESS lets others read the metrics: set METRICS_TOKEN")
    rounds = values.get("bcrypt_rounds", 12)
    if not isinstance(rounds, int) or not 4 <= rounds <= 16:
        problems.append("BCRYPT_ROUNDS must be between 4 and 16")
    return problems + _wrong_outgoing(values)


def _wrong_outgoing(values: Mapping[str, object]) -> list[str]:
    problems: list[str] = []
    try:
        read_networks(str(values.get("webhook_allowed_networks", "")))
    except ValueError as error:
        problems.append(
            f"WEBHOOK_ALLOWED_NETWORKS must be networks such as 10.0.0.0/8 between commas: {error}"
        )
    if "callback_url" in values:
        address = urlsplit(str(values["callback_url"]))
        if (
            address.scheme not in {"http", "https"}
            or not address.hostname
            or address.query
            or address.fragment
        ):
            problems.append("CALLBACK_URL must be web's address, such as https://releases.example.com")
    if "smtp_url" in values:
        parts = urlsplit(str(values["smtp_url"]))
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            problems.append("SMTP_URL must be smtp://host:port or smtps://host:port")
        if "smtp_from" not in values:
            problems.append("SMTP_FROM must be set where SMTP_URL is")
    return problems


def _cors_problems(values: Mapping[str, object]) -> list[str]:
    """Origins are compared as they are written, so what no browser would send is a mistake."""
    origins = names_in(str(values.get("cors_origins", "")))
    wrong = [each for each in origins if each != "*" and not _ORIGIN.fullmatch(each)]
    problems = [
        f"CORS_ORIGINS holds {each!r}, which is no origin such as https://ui.example.com" for each in wrong
    ]
    if "*" in origins and len(origins) > 1:
        problems.append("CORS_ORIGINS holds * beside other origins")
    if "*" in origins and values.get("cors_credentials"):
        problems.append("CORS_CREDENTIALS needs origins by name in CORS_ORIGINS, and not *")
    return problems


def _oidc_problems(values: Mapping[str, object]) -> list[str]:
    """A provider is asked over TLS or on this machine, and whole or not at all."""
    given = [name for name in values if name.startswith("oidc_")]
    if not given:
        return []
    needed = ("oidc_issuer", "oidc_client_id", "oidc_client_secret", "oidc_redirect_url")
    problems = [
        f"{name.upper()} must be set where {given[0].upper()} is" for name in needed if name not in values
    ]
    for name in ("oidc_issuer", "oidc_redirect_url"):
        parts = urlsplit(str(values.get(name, "https://x")))
        if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
            problems.append(f"{name.upper()} must start with https:// (or be on this machine)")
    if urlsplit(str(values.get("oidc_redirect_url", OIDC_BACK))).path != OIDC_BACK:
        problems.append(f"OIDC_REDIRECT_URL must end with {OIDC_BACK}")
    if "openid" not in str(values.get("oidc_scopes", "openid")).split():
        problems.append("OIDC_SCOPES must hold openid")
    try:
        read_roles(str(values.get("oidc_roles", "")))
    except ValueError as error:
        problems.append(f"OIDC_ROLES {error}")
    return problems
