from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hookline.control.webhook import post
from hookline.core.errors import InvalidInput, Unavailable
from hookline.core.targets import Targets, networks
from tests.unit.control.receiving import receiving

NOWHERE = Targets()
HERE = Targets(networks=networks("127.0.0.0/8"))


def test_the_body_and_headers_arrive() -> None:
    with receiving() as receiver:
        assert post(HERE, f"{receiver.url}?a=1", {"X-Some": "thing"}, b"{}") == 204

    [(headers, body)] = receiver.requests
    assert (headers["X-Some"], headers["Host"], body) == (
        "thing",
        receiver.url.split("/")[2],
        b"{}",
    )


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with receiving() as aim, receiving() as receiver:
        receiver.statuses = [302]
        receiver.headers = {"Location": aim.url}
        assert post(HERE, receiver.url, {}, b"{}") == 302

    assert len(receiver.requests) == 1
    assert aim.requests == []


def test_a_name_that_leads_here_is_not_asked() -> None:
    with receiving() as receiver:
        port = receiver.url.split(":")[2].removesuffix("/hook")
        for addresses in (["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:127.0.0.1"]):
            with pytest.raises(InvalidInput):
                post(
                    NOWHERE,
                    f"https://hook.example:{port}/",
                    {},
                    b"{}",
                    resolve=lambda *_, found=addresses: found,
                )

    assert receiver.requests == []


def test_a_name_is_resolved_once_and_asked_at_the_address_that_was_judged() -> None:
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", "hook.example")
        assert post(HERE, url, {}, b"{}", resolve=rebinding) == 204

    assert asked == ["hook.example"]
    assert receiver.requests[0][0]["Host"].startswith("hook.example:")


def test_who_does_not_answer_is_told_as_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1 did not answer"):
        post(HERE, f"http://127.0.0.1:{port}/", {}, b"{}")


def test_an_answer_byte_by_byte_is_cut_short() -> None:
    end = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        while not end.wait(0.05):
            try:
                handler.wfile.write(b"H")
            except OSError:
                return

    with receiving(drip) as receiver:
        try:
            with pytest.raises(Unavailable):
                post(HERE, receiver.url, {}, b"{}", timeout_s=0.3)
        finally:
            end.set()


def test_what_follows_the_status_is_not_read() -> None:
    end = threading.Event()

    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while not end.is_set():
                handler.wfile.write(b"x" * 65536)
        except OSError:
            return

    with receiving(flood) as receiver:
        try:
            assert post(HERE, receiver.url, {}, b"{}") == 200
        finally:
            end.set()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for hook.example, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hook.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hook.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "cert.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def https_port(certificate: Path) -> Iterator[int]:
    """A server with that certificate, which answers 204 to whatever comes first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve(listener: socket.socket) -> None:
        with listener.accept()[0] as plain:
            try:
                with context.wrap_socket(plain, server_side=True) as safe:
                    safe.recv(65536)
                    safe.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            except (ssl.SSLError, OSError):
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_the_certificate_is_that_of_the_name(certificate: Path, https_port: int) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    url = f"https://hook.example:{https_port}/"

    assert post(HERE, url, {}, b"{}", resolve=lambda *_: ["127.0.0.1"], context=trusting) == 204


@pytest.mark.parametrize(("host", "trusted"), [("other.example", "its"), ("hook.example", "no")])
def test_another_certificate_is_not_trusted(
    certificate: Path, https_port: int, host: str, trusted: str
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate)) if trusted == "its" else None
    url = f"https://{host}:{https_port}/"

    with pytest.raises(Unavailable, match="certificate"):
        post(HERE, url, {}, b"{}", resolve=lambda *_: ["127.0.0.1"], context=trusting)


def test_a_handshake_byte_by_byte_is_cut_short() -> None:
    end = threading.Event()

    def drip(listener: socket.socket) -> None:
        with listener.accept()[0] as plain:
            plain.sendall(b"\x16\x03\x03\x40\x00\x02")  # a long handshake message begins
            while not end.wait(0.05):
                try:
                    plain.sendall(b"\x00")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        try:
            with pytest.raises(Unavailable):
                post(
                    HERE,
                    f"https://127.0.0.1:{listener.getsockname()[1]}/",
                    {},
                    b"{}",
                    timeout_s=0.3,
                )
        finally:
            end.set()
            thread.join()
