"""JSON as it is sent and kept."""

from typing import Any

import orjson


def dumps(value: Any) -> bytes:
    """The bytes of a value: instants in UTC as RFC 3339."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)
