"""Reading Server-Sent Events: the examples and rules of the HTML standard, section 9.2."""

import pytest

from orchestrator.client.sse import EventParser, ServerEvent
from orchestrator.client.streams import is_trusted

STANDARD_EXAMPLES = [
    # 9.2.6, first example
    ("data: YHOO\ndata: +2\ndata: 10\n\n", [("message", "YHOO\n+2\n10", "")]),
    # the stream of four blocks: a comment, an id, an empty id, a data line with a leading space
    (
        ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        [("message", "first event", "1"), ("message", "second event", ""), ("message", " third event", "")],
    ),
    # two events, and a block that is never finished
    ("data\n\ndata\ndata\n\ndata:", [("message", "", ""), ("message", "\n", "")]),
    # the space after the colon is ignored
    ("data:test\n\ndata: test\n\n", [("message", "test", ""), ("message", "test", "")]),
    # 9.2.1
    (
        "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n",
        [("add", "73857293", ""), ("remove", "2153", ""), ("add", "113411", "")],
    ),
]
RULES = [
    ("\ufeffdata: after the mark\n\n", [("message", "after the mark", "")]),
    ("\ufeff\ufeffdata: only one mark is taken away\n\n", []),
    ("data: a\r\rdata: b\r\n\r\ndata: c\n\n", [("message", each, "") for each in "abc"]),
    ("id: 7\n\ndata: later\n\n", [("message", "later", "7")]),
    ("id: 7\nid: 8\0\ndata: x\n\n", [("message", "x", "7")]),
    ("event: gone\n\ndata: x\n\n", [("message", "x", "")]),
    ("data: x\nunknown: y\nDATA: z\n\n", [("message", "x", "")]),
    ("data: ä€😀\n\n", [("message", "ä€😀", "")]),
]


@pytest.mark.parametrize(("text", "expected"), STANDARD_EXAMPLES + RULES)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_events_are_those_of_the_standard_wherever_the_bytes_are_cut(
    text: str, expected: list[tuple[str, str, str]], size: int
) -> None:
    parser, data = EventParser(), text.encode()
    found = [event for at in range(0, len(data), size) for event in parser.feed(data[at : at + size])]
    assert found == [ServerEvent(*each) for each in expected]


def test_the_last_id_counts_only_once_its_block_is_whole() -> None:
    parser = EventParser("5")
    list(parser.feed(b"id: 6\ndata: x\n"))
    assert parser.last_id == "5"
    list(parser.feed(b"\n"))
    assert parser.last_id == "6"


@pytest.mark.parametrize(
    ("line", "expected"), [("retry: 1500", 1500), ("retry: 1.5", None), ("retry: -1", None)]
)
def test_retry_takes_digits_only(line: str, expected: int | None) -> None:
    parser = EventParser()
    list(parser.feed(f"{line}\n\n".encode()))
    assert parser.retry_ms == expected


@pytest.mark.parametrize(
    ("location", "by", "trusted"),
    [
        ("http://10.0.0.1:8001/x", "http://10.0.0.1:8000", True),
        ("https://ship.example/stream", "https://ship.example", True),
        ("https://ship.example:8443/x", "http://ship.example", True),
        ("http://ship.example/x", "https://ship.example", False),
        ("https://other.example/x", "https://ship.example", False),
        ("https://ship.example.evil/x", "https://ship.example", False),
        ("https://ship.example@evil.example/x", "https://ship.example", False),
        ("http://127.0.0.1:8001/x", "http://localhost:8000", True),
        ("/x", "http://127.0.0.1", False),
        ("", "http://127.0.0.1", False),
    ],
)
def test_a_token_follows_only_to_the_same_host_and_never_out_of_https(
    location: str, by: str, trusted: bool
) -> None:
    assert is_trusted(location, by=by) is trusted
