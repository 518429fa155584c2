"""The gate against real servers on the loopback."""

from __future__ import annotations

import http.server
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.aigo.onprem.plugins.modules import health_gate


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers what the server was told to answer, and remembers who was asked for."""

    def do_GET(self) -> None:
        server: Any = self.server
        server.asked.append((self.path, self.headers["Host"], self.headers.get("X-Key")))
        status, body = server.answers[min(len(server.asked), len(server.answers)) - 1]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Any]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers, server.asked = [(200, b"{}")], []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def execute(check: bool = False, **options: Any) -> dict[str, Any]:
        with patch_module_args({"interval": 0.01, "_ansible_check_mode": check, **options}), pytest.raises(SystemExit):
            health_gate.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return execute


def url(server: Any, path: str = "/ready", scheme: str = "http", host: str = "127.0.0.1") -> str:
    return f"{scheme}://{host}:{server.server_address[1]}{path}"


def certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate for the name edge.example and the loopback address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    now = datetime.now(UTC)
    alternatives = [x509.DNSName("edge.example"), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "key.pem").write_bytes(private)
    return directory / "cert.pem", directory / "key.pem"


def test_a_service_that_comes_up_is_waited_for(run: Any, server: Any) -> None:
    server.answers = [(503, b"starting"), (503, b"starting"), (200, b'{"status": "ready", "n": 1}')]
    result = run(url=url(server), json={"status": "ready"}, successes=3)
    assert (result["healthy"], result["attempts"], result["changed"]) == (True, 5, False)
    assert result["last"] == 'HTTP 200: {"status": "ready", "n": 1}'


def test_a_failure_says_what_was_seen_and_wanted_and_logged(
    run: Any, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "journalctl").write_text(
        "#!/bin/sh\necho \"$*\" | grep -q unit=app.service && echo 'password=hunter2x'\n"
    )
    (tmp_path / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    server.answers = [(200, b'{"status": "degraded"}')]
    result = run(url=url(server), json={"status": "ready"}, timeout=0.05, unit="app")
    assert result["failed"]
    assert "status is 'degraded', wanted 'ready'" in result["msg"]
    assert "password=********" in result["msg"]
    assert "journalctl -u app.service" in result["msg"]


def test_a_refused_connection_is_no_answer(run: Any) -> None:
    with socket.socket() as closed:  # bound, so that nobody else takes the port, but not listening
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        assert "refused" in run(url=f"http://127.0.0.1:{port}/", timeout=0.05)["last"]
        assert "refused" in run(host="127.0.0.1", port=port, timeout=0.05)["last"]


def test_an_open_port_is_good(run: Any, server: Any) -> None:
    assert run(host="127.0.0.1", port=server.server_address[1])["attempts"] == 2


def test_check_mode_asks_once_and_never_fails(run: Any, server: Any) -> None:
    server.answers = [(503, b"")]
    result = run(check=True, url=url(server))
    assert (result["healthy"], result["attempts"], result.get("failed")) == (False, 1, None)


def test_a_redirect_is_an_answer_of_its_own(run: Any, server: Any) -> None:
    server.answers = [(301, b"")]
    assert run(url=url(server), status=[301])["healthy"]


def test_headers_and_query_arrive_and_headers_are_not_shown(run: Any, server: Any) -> None:
    result = run(url=url(server, "/ready?deep=1"), headers={"X-Key": "Ab3dEf7hIj9k"})
    assert server.asked[0] == ("/ready?deep=1", url(server, "")[7:], "Ab3dEf7hIj9k")
    assert "Ab3dEf7hIj9k" not in json.dumps(result)


def test_tls_is_verified_by_the_authority_and_the_name(run: Any, server: Any, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    good = {"ca_path": str(cert), "timeout": 0.05}
    assert run(url=url(server, scheme="https"), **good)["healthy"]
    assert run(url=url(server, scheme="https", host="edge.example"), connect_to="127.0.0.1", **good)["healthy"]
    assert server.asked[-1][1].startswith("edge.example:")
    wrong = run(url=url(server, scheme="https", host="other.example"), connect_to="127.0.0.1", **good)
    assert "mismatch" in wrong["last"]
    assert "self-signed" in run(url=url(server, scheme="https"), timeout=0.05)["last"]


def test_a_missing_authority_file_is_told_and_not_a_traceback(run: Any, server: Any) -> None:
    assert "No such file" in run(url=url(server, scheme="https"), ca_path="/nowhere/ca.pem", timeout=0.05)["msg"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "one of the following is required: url, host"),
        ({"host": "a"}, "host, port"),
        ({"url": "ftp://a"}, "'ftp://a' does not begin with"),
        ({"url": "http://a", "host": "b", "port": 1}, "mutually exclusive"),
    ],
)
def test_bad_options_are_told(run: Any, options: dict[str, Any], said: str) -> None:
    result = run(**options)
    assert result["failed"]
    assert said in result["msg"]
