"""Structured logs: one JSON object a line, or readable lines on a terminal."""

import logging
import sys
from typing import Any

import structlog

_SECRET_WORDS = ("password", "secret", "token", "authorization", "cookie")
_process: dict[str, str] = {}


def name_process(**fields: str) -> None:
    """Have every line of this process say these, its libraries' lines too: which process it is."""
    _process.update(fields)


def _add_process(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {**_process, **event}


def _hide_secrets(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    for key in event:
        if any(word in key.lower() for word in _SECRET_WORDS) and not isinstance(event[key], int):
            event[key] = "[hidden]"
    return event


def configure(level: str) -> None:
    """Set up logging for this process, ours and the libraries' alike, to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_process,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _hide_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    on_terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # DB_ECHO: SQLAlchemy adds a handler to standard output where its logger has none.
    logging.getLogger("sqlalchemy.engine.Engine").handlers = [logging.NullHandler()]


about = structlog.contextvars.bound_contextvars
"""`with about(deployment=42):` has every line within say so, on this thread or in this asynchronous task."""
bind = structlog.contextvars.bind_contextvars
"""The same from here on, until `forget`."""
forget = structlog.contextvars.clear_contextvars


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for one module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
