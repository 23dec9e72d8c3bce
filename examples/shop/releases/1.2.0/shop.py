"""The shop, as a WSGI application. New in 1.2.0: cards are accepted.

This release is broken, and only where PAYMENT_TIMEOUT is set: production says 2.5 (seconds), which is no whole
number. Staging cannot find that out.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

VERSION = "1.2.0"
GOODS = {"Teapot": 2400, "Kettle": 3900, "Cup": 600}


def application(request: dict[str, Any], answer: Callable[..., Any]) -> Iterable[bytes]:
    """Answer /version and the page."""
    timeout_seconds = int(os.environ.get("PAYMENT_TIMEOUT", "5"))
    if request["PATH_INFO"] == "/version":
        answer("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return [VERSION.encode()]
    answer("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [page(timeout_seconds).encode()]


def page(timeout_seconds: int) -> str:
    """Everything we sell, and how to pay."""
    rows = "".join(f"<li>{name}: {cents / 100:.2f}</li>" for name, cents in GOODS.items())
    pay = f"<p>We accept cards (and wait {timeout_seconds} s for the bank).</p>"
    return f"<!doctype html><title>Shop</title><h1>Shop {VERSION}</h1><ul>{rows}</ul>{pay}"
