"""Settings, from environment variables; read once at start, refused loudly when they cannot work."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from orchestrator.domain.errors import MisconfiguredError

MIN_SECRET_BYTES = 32
_ORIGIN = re.compile(r"https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. The name of the environment variable is the field's in capitals."""

    database_url: str = field(repr=False)
    """Where the truth is: postgresql://user:password@host:port/name."""
    redis_url: str = field(repr=False)
    """Broker, result backend and cache: redis://:password@host:port/0."""
    secret_key: str = field(repr=False)
    """Signs tokens and cursors; at least 32 bytes, for example `openssl rand -hex 32`."""
    data_dir: Path = Path(".data")
    """Where a worker keeps the runs of its node, and `releasectl up` its stores."""
    bcrypt_rounds: int = 12
    """Cost of a password hash, 4 to 16."""
    login_limit: int = 10
    """Logins a minute for one account from one address; an address has six times as many, and an account ten from everywhere."""
    rate_limit: int = 6000
    """Requests a minute of one user's logins together, and of each API token."""
    anonymous_rate_limit: int = 600
    """Requests a minute of one address without a valid token."""
    request_seconds: float = 20.0
    """How long a request may take to arrive, its body included."""
    trusted_proxies: int = 0
    """How many proxies before web add to X-Forwarded-For; 0: the address is that of the connection."""
    cors_origins: str = ""
    """Origins whose pages may read the API's answers in a browser, as https://ui.example.com, with commas; empty: none, *: all."""
    cors_methods: str = "GET,POST,PUT,PATCH,DELETE"
    """Methods those may use."""
    cors_headers: str = "Authorization,Content-Type,Idempotency-Key,If-Match,If-None-Match,X-Request-ID"
    """Headers those may send."""
    cors_credentials: bool = False
    """Whether those may send cookies and client certificates; tokens go in a header, which needs none."""
    open_registration: bool = False
    """Whether anyone may create an account; otherwise only admins, after the first user."""
    db_pool_size: int = 5
    """Connections a process keeps to Postgres."""
    db_prepare: bool = True
    """Let Postgres keep the plans of statements; false behind a pooler that hands connections on between transactions."""
    db_echo: bool = False
    """Log every SQL statement."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    lease_seconds: float = 8.0
    """How long a worker's silence is tolerated before another goes on with its attempts."""
    slice_seconds: float = 20.0
    """How long one message follows a run before it hands on to the next."""
    node_lost_seconds: float = 900.0
    """How long a worker node may be away before the runs that live on it count as lost."""
    log_limit_bytes: int = 64 * 1024 * 1024
    """How much of an attempt's output is kept from its beginning; of a longer one also the last 256 KiB."""
    log_retention_days: int = 90
    """How long logs are kept."""
    run_retention_hours: int = 168
    """How long a worker keeps the folder of a run that has ended."""
    secrets_dir: str = ""
    """Where a worker finds the values of secrets; empty: `secrets` in DATA_DIR."""
    flower_url: str = ""
    """Where Flower is shown to people; empty: no links to it."""
    stream_url: str = ""
    """Where web sends those who follow a deployment: a `stream` process, as http://host:port; empty: they poll."""
    stream_limit: int = 2000
    """How many one `stream` process serves at once."""
    stream_queue_bytes: int = 4_194_304
    """How far a follower may fall behind what happens before it is cut off and has to come back."""

    @property
    def runs_dir(self) -> Path:
        """The folder of the runs that live on this node."""
        return self.data_dir / "runs"

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
        problems += _missing(values) + _cors_problems(values)
        if problems:
            raise MisconfiguredError("the settings cannot be used: " + "; ".join(problems))
        return cls(**values)  # type: ignore[arg-type]  # every value was converted to its field's type above


def names_in(text: str) -> list[str]:
    """What is listed with commas."""
    return [each.strip() for each in text.split(",") if each.strip()]


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
    secret = str(values.get("secret_key", ""))
    if len(secret.encode()) < MIN_SECRET_BYTES:
        problems.append(
            f"SECRET_KEY must be set to at least {MIN_SECRET_BYTES} bytes, for example from `openssl rand -hex 32`"
        )
    rounds = values.get("bcrypt_rounds", 12)
    if not isinstance(rounds, int) or not 4 <= rounds <= 16:
        problems.append("BCRYPT_ROUNDS must be between 4 and 16")
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
