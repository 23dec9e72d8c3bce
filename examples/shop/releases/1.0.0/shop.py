"""The shop, as a WSGI application."""

from collections.abc import Callable, Iterable
from typing import Any

VERSION = "1.0.0"
GOODS = {"Teapot": 2400, "Kettle": 3900}


def application(request: dict[str, Any], answer: Callable[..., Any]) -> Iterable[bytes]:
    """Answer /version and the page."""
    if request["PATH_INFO"] == "/version":
        answer("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return [VERSION.encode()]
    answer("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [page().encode()]


def page() -> str:
    """Everything we sell."""
    rows = "".join(f"<li>{name}: {cents / 100:.2f}</li>" for name, cents in GOODS.items())
    return f"<!doctype html><title>Shop</title><h1>Shop {VERSION}</h1><ul>{rows}</ul>"
