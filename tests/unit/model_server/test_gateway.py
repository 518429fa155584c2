"""The gateway speaks TLS to clients, passes every byte, and drains; the watchdog follows the server's answers."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
from pathlib import Path

import pytest
from aigo_model_server import supervisor
from aigo_model_server.gateway import Gateway, server_context
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    directory = tmp_path_factory.mktemp("pki")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return directory / "cert.pem", directory / "key.pem"


async def backend(path: Path, release: asyncio.Event | None = None, status: bytes = b"200 OK") -> asyncio.Server:
    """A stand-in for llama.cpp that answers each line on a Unix socket, holding it back until released."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line.startswith(b"GET"):
                writer.write(b"HTTP/1.1 " + status + b"\r\n\r\n")
                break
            writer.write(b"first ")
            if release:
                await release.wait()
            writer.write(line.upper())
        writer.close()

    return await asyncio.start_unix_server(answer, str(path))


async def connect(port: int, authority: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cafile=str(authority))
    return await asyncio.open_connection("127.0.0.1", port, ssl=context)


def test_bytes_pass_both_ways_over_tls(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    async def scenario() -> bytes:
        await backend(tmp_path / "s")
        gateway = Gateway(tmp_path / "s", server_context(*pair))
        port = await gateway.listen("127.0.0.1", 0)
        reader, writer = await connect(port, pair[0])
        writer.write(b"hello\n")
        answer = await reader.readline()
        writer.close()
        await gateway.close(5)
        return answer

    assert asyncio.run(scenario()) == b"first HELLO\n"


def test_closing_lets_an_answer_under_way_end_and_accepts_no_more(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    async def scenario() -> tuple[bytes, bool]:
        release = asyncio.Event()
        behind = await backend(tmp_path / "s", release)
        gateway = Gateway(tmp_path / "s", server_context(*pair))
        port = await gateway.listen("127.0.0.1", 0)
        reader, writer = await connect(port, pair[0])
        writer.write(b"hello\n")
        await reader.readexactly(6)
        closing = asyncio.create_task(gateway.close(30))
        await asyncio.sleep(0)
        refused = False
        try:
            await connect(port, pair[0])
        except OSError:
            refused = True
        release.set()
        answer = await reader.readline()
        writer.close()
        await closing
        behind.close()
        return answer, refused

    assert asyncio.run(scenario()) == (b"HELLO\n", True)


def test_what_outlasts_the_drain_is_cut(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    async def scenario() -> bytes:
        await backend(tmp_path / "s", asyncio.Event())
        gateway = Gateway(tmp_path / "s", server_context(*pair))
        reader, writer = await connect(await gateway.listen("127.0.0.1", 0), pair[0])
        writer.write(b"hello\n")
        await reader.readexactly(6)
        await gateway.close(0.01)
        return await reader.read()

    assert asyncio.run(scenario()) == b""


def test_a_client_is_closed_when_nothing_is_behind(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    async def scenario() -> bytes:
        gateway = Gateway(tmp_path / "absent", server_context(*pair))
        reader, _unused = await connect(await gateway.listen("127.0.0.1", 0), pair[0])
        answer = await reader.read()
        await gateway.close(1)
        return answer

    assert asyncio.run(scenario()) == b""


@pytest.mark.parametrize(("status", "healthy"), [(b"200 OK", True), (b"503 Service Unavailable", False)])
def test_health_is_the_servers_own_answer(tmp_path: Path, status: bytes, healthy: bool) -> None:
    async def scenario() -> bool:
        await backend(tmp_path / "s", status=status)
        return await supervisor.answers(tmp_path / "s")

    assert asyncio.run(scenario()) is healthy


def test_a_server_that_is_away_is_not_healthy(tmp_path: Path) -> None:
    assert asyncio.run(supervisor.answers(tmp_path / "absent")) is False


def test_the_watchdog_is_fed_once_the_server_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "20000")

        async def scenario() -> None:
            await backend(tmp_path / "s")
            feeding = asyncio.create_task(supervisor.keep_alive(tmp_path / "s"))
            received = await asyncio.to_thread(manager.recv, 100)
            assert received == b"WATCHDOG=1"
            feeding.cancel()

        asyncio.run(scenario())


def test_without_a_watchdog_or_a_manager_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    supervisor.notify("READY=1")
    asyncio.run(supervisor.keep_alive(tmp_path / "absent"))
