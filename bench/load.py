"""A small load generator: a few connections that are kept open, each sending the next request when the answer is there."""

import http.client
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent again and again; `body` is called with a running number."""

    url: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: Callable[[int], bytes | None] = lambda _: None
    status: int = 200


@dataclass(frozen=True, slots=True)
class Answered:
    """How many requests were answered in a second, and how long each took in milliseconds."""

    rate: float
    taken: list[float]


def rate(request: Request, *, seconds: float, connections: int) -> float:
    """Requests answered in a second. Raises AssertionError on any other status than the one expected."""
    return send(request, seconds=seconds, connections=connections).rate


def send(request: Request, *, seconds: float, connections: int) -> Answered:
    """Keep so many connections busy. Raises AssertionError on any other status than the one expected."""
    numbers, wrong = count(), []
    taken: list[float] = []
    stop = time.monotonic() + seconds

    def go() -> None:
        connection = http.client.HTTPConnection(urlsplit(request.url).netloc, timeout=30)
        while time.monotonic() < stop:
            sent = time.perf_counter()
            connection.request(
                request.method, request.path, request.body(next(numbers)), dict(request.headers)
            )
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != request.status:
                wrong.append((answer.status, said[:300]))
                break
            taken.append((time.perf_counter() - sent) * 1000)

    threads = [threading.Thread(target=go) for _ in range(connections)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]
    return Answered(len(taken) / (time.monotonic() - begun), taken)
