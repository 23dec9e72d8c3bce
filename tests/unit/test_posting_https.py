"""Calling over TLS: the address that was checked is called, and the certificate has to be that of the name."""

import datetime
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orchestrator import posting
from orchestrator.domain.networks import read_networks

LOOPBACK = read_networks("127.0.0.0/8, ::1/128")


class Quiet(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Who does not trust the certificate hangs up."""


def write_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for one name that trusts itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The port of a server that is `localhost`, and its certificate."""
    certificate, key = write_certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    made = QuietServer(("127.0.0.1", 0), Quiet)
    made.socket = context.wrap_socket(made.socket, server_side=True)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made.server_address[1], certificate
    made.shutdown()
    made.server_close()
    thread.join()


def post(host: str, port: int) -> posting.Answer:
    return posting.call("POST", f"https://{host}:{port}/", headers={}, body=b"{}", allowed=LOOPBACK)


def test_a_certificate_of_the_name_is_believed(
    server: tuple[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, certificate = server
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert post("localhost", port).status == 204


def test_a_certificate_of_another_name_is_not(
    server: tuple[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, certificate = server
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(posting.CallFailedError, match="no answer"):
        post("127.0.0.1", port)


def test_a_certificate_nobody_signed_is_not(server: tuple[int, Path]) -> None:
    port, _ = server
    with pytest.raises(posting.CallFailedError, match="no answer"):
        post("localhost", port)
