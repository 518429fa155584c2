# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A WebSocket client (RFC 6455) as small as a proof needs: text both ways over a connected socket."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import struct
from collections.abc import Mapping
from typing import Any

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x8, 0x9, 0xA
_HEADERS_LIMIT = 64 * 1024
_MESSAGE_LIMIT = 16 << 20


class WebSocketError(Exception):
    """The other side refused, closed, or spoke no WebSocket."""


def accept_key(key: str) -> str:
    """What a server must answer to a client's key."""
    return base64.b64encode(hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()).decode()


def frame(opcode: int, payload: bytes, mask: bytes) -> bytes:
    """One final, masked frame, as clients send them."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


class WebSocket:
    """An open WebSocket; the socket's own timeout bounds every wait."""

    def __init__(self, sock: socket.socket, host: str, path: str, headers: Mapping[str, str]) -> None:
        """Upgrade a connected socket. Raises WebSocketError where the server doesn't."""
        self._sock = sock
        self._rest = b""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        status, answered = self._answer()
        if not status.startswith("HTTP/1.1 101"):
            raise WebSocketError(f"the server answered the upgrade with {status!r}")
        if answered.get("sec-websocket-accept") != accept_key(key):
            raise WebSocketError("the server's answer doesn't belong to this upgrade: something between caches it")

    def send_json(self, value: Any) -> None:
        """Send a value as one message."""
        self.send_text(json.dumps(value))

    def receive_json(self) -> Any:
        """Wait for one message and read it as JSON."""
        text = self.receive_text()
        try:
            return json.loads(text)
        except ValueError:
            raise WebSocketError(f"JSON was expected, not {text[:80]!r}") from None

    def send_text(self, text: str) -> None:
        """Send one message."""
        self._sock.sendall(frame(_TEXT, text.encode(), os.urandom(4)))

    def receive_text(self) -> str:
        """Wait for one message. Raises WebSocketError when the other side closes."""
        message = b""
        while True:
            final, opcode, payload = self._frame()
            if opcode == _PING:
                self._sock.sendall(frame(_PONG, payload, os.urandom(4)))
            elif opcode == _CLOSE:
                raise WebSocketError(f"the server closed with {_reason(payload)}")
            elif opcode in (_TEXT, _CONTINUATION):
                message += payload
                if len(message) > _MESSAGE_LIMIT:
                    raise WebSocketError(f"a message of more than {_MESSAGE_LIMIT} bytes")
                if final:
                    return message.decode()

    def close(self) -> None:
        """Say good-bye and close; what the other side still sends is not waited for."""
        try:
            self._sock.sendall(frame(_CLOSE, struct.pack("!H", 1000), os.urandom(4)))
        except OSError:
            pass
        finally:
            self._sock.close()

    def _answer(self) -> tuple[str, dict[str, str]]:
        while b"\r\n\r\n" not in self._rest:
            if len(self._rest) > _HEADERS_LIMIT:
                raise WebSocketError("the answer to the upgrade has no end")
            self._rest += self._receive()
        head, _unused, self._rest = self._rest.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return status, {name.strip().lower(): value.strip() for name, _unused, value in pairs}

    def _frame(self) -> tuple[bool, int, bytes]:
        first, second = self._exactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self._exactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._exactly(8))
        if size > _MESSAGE_LIMIT:
            raise WebSocketError(f"a frame of {size} bytes")
        return bool(first & 0x80), first & 0x0F, self._exactly(size)

    def _exactly(self, count: int) -> bytes:
        while len(self._rest) < count:
            self._rest += self._receive()
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def _receive(self) -> bytes:
        data = self._sock.recv(64 * 1024)
        if not data:
            raise WebSocketError("the server closed the connection without a word")
        return data


def _reason(payload: bytes) -> str:
    if len(payload) < 2:
        return "no reason"
    (code,) = struct.unpack("!H", payload[:2])
    return f"{code} {payload[2:].decode(errors='replace')}".strip()
