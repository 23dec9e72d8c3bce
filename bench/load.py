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


def rate(request: Request, *, seconds: float, connections: int) -> float:
    """Requests answered in a second. Raises AssertionError on any other status than the one expected."""
    numbers, done, wrong = count(), [], []
    stop = time.monotonic() + seconds

    def go() -> None:
        connection = http.client.HTTPConnection(urlsplit(request.url).netloc, timeout=30)
        answered = 0
        while time.monotonic() < stop:
            connection.request(
                request.method, request.path, request.body(next(numbers)), dict(request.headers)
            )
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != request.status:
                wrong.append((answer.status, said[:300]))
                break
            answered += 1
        done.append(answered)

    threads = [threading.Thread(target=go) for _ in range(connections)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]
    return sum(done) / (time.monotonic() - begun)
