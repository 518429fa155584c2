"""The small WebSocket client keeps to RFC 6455 and names what goes wrong."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils._websocket import (
    WebSocket,
    WebSocketError,
    accept_key,
    frame,
)

OPEN = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {}\r\n\r\n"


def unmasked(opcode: int, payload: bytes, final: bool = True) -> bytes:
    size = struct.pack("!B", len(payload)) if len(payload) < 126 else struct.pack("!BH", 126, len(payload))
    return bytes([(0x80 if final else 0) | opcode]) + size + payload


def talk(server: Callable[[socket.socket], None], answer: str = OPEN) -> WebSocket:
    """A client whose other side is a thread that upgrades and then runs the given function."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)

    def serve() -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += theirs.recv(4096)
        found = re.search(rb"Sec-WebSocket-Key: (\S+)", request)
        assert found
        theirs.sendall(answer.format(accept_key(found.group(1).decode())).encode())
        server(theirs)

    threading.Thread(target=serve, daemon=True).start()
    return WebSocket(ours, "agent.example.com", "/ws", {"Authorization": "Bearer t"})


def test_the_key_is_answered_as_the_standard_says() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_frame_is_masked_as_the_standard_says() -> None:
    assert frame(0x1, b"Hello", bytes.fromhex("37fa213d")) == bytes.fromhex("818537fa213d7f9f4d5158")


@pytest.mark.parametrize(("size", "header"), [(125, 2), (126, 4), (65535, 4), (65536, 10)])
def test_a_frames_header_grows_with_its_size(size: int, header: int) -> None:
    assert len(frame(0x1, b"x" * size, b"\0\0\0\0")) == header + 4 + size


def test_messages_arrive_whole_whatever_their_frames() -> None:
    def server(sock: socket.socket) -> None:
        sock.sendall(unmasked(0x1, b'{"a":', final=False) + unmasked(0x9, b"ping") + unmasked(0x0, b" 1}"))
        sock.recv(100)
        sock.sendall(unmasked(0x1, b'"' + b"y" * 300 + b'"'))

    client = talk(server)
    assert client.receive_json() == {"a": 1}
    assert client.receive_json() == "y" * 300


def test_a_ping_is_answered_with_its_payload() -> None:
    got: list[bytes] = []
    done = threading.Event()

    def server(sock: socket.socket) -> None:
        sock.sendall(unmasked(0x9, b"beat"))
        data = sock.recv(100)
        mask, payload = data[2:6], data[6:]
        got.append(data[:1] + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload)))
        sock.sendall(unmasked(0x1, b"ok"))
        done.set()

    assert talk(server).receive_text() == "ok"
    assert done.wait(10)
    assert got == [b"\x8abeat"]


def test_a_close_names_its_code_and_reason() -> None:
    client = talk(lambda sock: sock.sendall(unmasked(0x8, struct.pack("!H", 1012) + b"restart")))
    with pytest.raises(WebSocketError, match="1012 restart"):
        client.receive_text()


def test_a_connection_that_ends_without_a_word_is_an_error() -> None:
    client = talk(lambda sock: sock.close())
    with pytest.raises(WebSocketError, match="without a word"):
        client.receive_text()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "502 Bad Gateway"),
        ("HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: stale\r\n\r\n", "doesn't belong"),
    ],
)
def test_a_refused_upgrade_says_what_was_answered(answer: str, message: str) -> None:
    with pytest.raises(WebSocketError, match=message):
        talk(lambda _: None, answer)


def test_a_message_that_is_no_json_is_an_error() -> None:
    with pytest.raises(WebSocketError, match="JSON was expected"):
        talk(lambda sock: sock.sendall(unmasked(0x1, b"hello"))).receive_json()
