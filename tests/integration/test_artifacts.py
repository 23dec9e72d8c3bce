"""Fetching artifacts: over HTTP from a real server, with cuts and redirects, and from the worker's disk."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orchestrator.domain.artifacts import Artifact
from orchestrator.targets.base import TargetBusyError, TargetError, TargetUnreachableError
from orchestrator.testing.artifacts import packed
from workers.artifacts import Artifacts


@dataclass
class Store:
    """A server of one file, and what it was asked."""

    content: bytes
    port: int = 0
    ranges: list[str | None] = field(default_factory=list)
    cut_after: int | None = None
    understands_ranges: bool = True

    @property
    def leads_to(self) -> dict[str, str]:
        """Where its pages below /to/ lead."""
        return {
            "here": self.url(),
            "gone": self.url("/gone?signature=s3cret"),
            "elsewhere": "http://[::1]:1/x?signature=s3cret",
            "nonsense": "http://[",
        }

    def url(self, path: str = "/shop.tar.gz") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    noise = hashlib.shake_256(b"noise").digest(2_000_000)
    made = Store(packed(tmp_path / "a.tar.gz", {"noise": noise}).read_bytes())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/away":
                self.send_error(503)
            elif self.path.startswith("/to/"):
                self.send_response(302)
                self.send_header("Location", made.leads_to[self.path.removeprefix("/to/")])
                self.end_headers()
            elif self.path != "/shop.tar.gz":
                self.send_error(404)
            else:
                self.send_file()

        def send_file(self) -> None:
            asked = self.headers.get("Range")
            made.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and made.understands_ranges else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(made.content) - start))
            if start:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(made.content) - 1}/{len(made.content)}"
                )
            self.end_headers()
            end = len(made.content) if made.cut_after is None else start + made.cut_after
            self.wfile.write(made.content[start:end])
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def keeper(tmp_path: Path, *sources: str, most_bytes: int = 10_000_000) -> Artifacts:
    return Artifacts(tmp_path / "artifacts", sources or ("http://127.0.0.1", "http://"), most_bytes)


def named(store: Store, path: str = "/shop.tar.gz") -> Artifact:
    return Artifact(store.url(path), hashlib.sha256(store.content).hexdigest(), "1.0", "/srv/shop")


def always() -> bool:
    return True


def test_a_file_is_fetched_once(store: Store, tmp_path: Path) -> None:
    for _ in range(2):
        file = keeper(tmp_path).fetch(named(store), always)
        assert file is not None
        assert file.read_bytes() == store.content
    assert store.ranges == [None]


def test_what_was_cut_off_goes_on_where_it_was(store: Store, tmp_path: Path) -> None:
    store.cut_after = 1_000_000
    with pytest.raises(TargetUnreachableError):
        keeper(tmp_path).fetch(named(store), always)
    store.cut_after = None
    file = keeper(tmp_path).fetch(named(store), always)
    assert file is not None
    assert file.read_bytes() == store.content
    assert len(store.ranges) == 2
    assert store.ranges[1] not in {None, "bytes=0-"}


def test_a_server_that_knows_no_ranges_sends_all_of_it_again(store: Store, tmp_path: Path) -> None:
    store.cut_after, store.understands_ranges = 1_000_000, False
    with pytest.raises(TargetUnreachableError):
        keeper(tmp_path).fetch(named(store), always)
    store.cut_after = None
    file = keeper(tmp_path).fetch(named(store), always)
    assert file is not None
    assert file.read_bytes() == store.content


def test_who_has_to_stop_stops_and_goes_on_later(store: Store, tmp_path: Path) -> None:
    assert keeper(tmp_path).fetch(named(store), lambda: False) is None
    file = keeper(tmp_path).fetch(named(store), always)
    assert file is not None
    assert file.read_bytes() == store.content


def test_another_file_than_the_release_says_is_refused_and_not_kept(store: Store, tmp_path: Path) -> None:
    wrong = replace(named(store), sha256="0" * 64)
    with pytest.raises(TargetError, match=r"has the SHA-256 .*, and the release says 000") as refused:
        keeper(tmp_path).fetch(wrong, always)
    assert not refused.value.retryable
    assert [each.name for each in (tmp_path / "artifacts").iterdir()] == [f".{'0' * 64}.lock"]


def test_parts_of_two_different_files_are_thrown_away_and_fetched_anew(store: Store, tmp_path: Path) -> None:
    wanted, right = named(store), store.content
    store.content, store.cut_after = bytes(len(right)), 1_000_000
    with pytest.raises(TargetUnreachableError):
        keeper(tmp_path).fetch(wanted, always)
    store.content, store.cut_after = right, None
    with pytest.raises(TargetUnreachableError, match="has the SHA-256"):
        keeper(tmp_path).fetch(wanted, always)
    assert keeper(tmp_path).fetch(wanted, always) is not None


def test_a_file_that_is_too_large_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="has more than 1000000 bytes"):
        keeper(tmp_path, most_bytes=1_000_000).fetch(named(store), always)


def test_an_archive_that_leads_out_of_its_folder_is_refused(store: Store, tmp_path: Path) -> None:
    store.content = packed(tmp_path / "bad.tar.gz", {"../../etc/cron.d/x": b"x"}).read_bytes()
    with pytest.raises(TargetError, match=r"is refused: .*leads out") as refused:
        keeper(tmp_path).fetch(named(store), always)
    assert not refused.value.retryable


def test_a_redirect_is_followed_only_to_where_artifacts_may_come_from(store: Store, tmp_path: Path) -> None:
    here = keeper(tmp_path, f"http://127.0.0.1:{store.port}")
    with pytest.raises(
        TargetError, match=r"leads to http://\[::1\]:1/x, and workers take no artifacts from there"
    ):
        here.fetch(named(store, "/to/elsewhere"), always)
    with pytest.raises(TargetError, match="leads to what is no URL"):
        here.fetch(named(store, "/to/nonsense"), always)
    assert here.fetch(named(store, "/to/here"), always) is not None


def test_what_is_signed_where_it_led_to_is_not_said(store: Store, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"/gone answers with status 404$"):
        keeper(tmp_path).fetch(named(store, "/to/gone"), always)


@pytest.mark.parametrize(("path", "retryable"), [("/away", True), ("/nowhere", False)])
def test_a_server_that_refuses_is_asked_again_only_where_that_may_help(
    store: Store, tmp_path: Path, path: str, retryable: bool
) -> None:
    with pytest.raises(TargetError, match="answers with status") as refused:
        keeper(tmp_path).fetch(named(store, path), always)
    assert refused.value.retryable is retryable


def test_nothing_is_taken_from_where_nobody_allowed_it(store: Store, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="ARTIFACT_SOURCES"):
        keeper(tmp_path, "https://").fetch(named(store), always)
    assert store.ranges == []


def test_a_file_of_the_worker_is_taken_from_an_allowed_folder_also_by_a_link_only_within_it(
    store: Store, tmp_path: Path
) -> None:
    allowed, secret = tmp_path / "allowed", tmp_path / "secret.tar.gz"
    allowed.mkdir()
    for place in (allowed / "shop.tar.gz", secret):
        place.write_bytes(store.content)
    (allowed / "out.tar.gz").symlink_to(secret)
    here = keeper(tmp_path, allowed.as_uri())
    with pytest.raises(TargetError, match="workers take no artifacts from"):
        here.fetch(replace(named(store), url=(allowed / "out.tar.gz").as_uri()), always)
    file = here.fetch(replace(named(store), url=(allowed / "shop.tar.gz").as_uri()), always)
    assert file is not None
    assert file.read_bytes() == store.content


def test_one_step_of_a_node_fetches_and_the_others_wait(store: Store, tmp_path: Path) -> None:
    here, wanted = keeper(tmp_path), named(store)

    def meanwhile() -> bool:
        with pytest.raises(TargetBusyError):
            here.fetch(wanted, always)
        return True

    assert here.fetch(wanted, meanwhile) is not None
