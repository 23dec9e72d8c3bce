"""What a stream can show."""

import os
from typing import IO, Any


def is_fancy(stream: IO[Any]) -> bool:
    """Whether colours, bars and moving pictures belong on this stream."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
