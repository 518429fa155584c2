"""The two listening sockets: handed over by systemd, or bound here."""

from __future__ import annotations

import os
import socket

from aigo.config.schema import Server

NAMES = ("api", "ws")
_FIRST_FD = 3
BACKLOG = 2048


def listeners(settings: Server) -> dict[str, socket.socket]:
    """Return the sockets by name; :raises OSError: naming what can't be bound, :raises ValueError: for odd names."""
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        return _activated()
    return {
        "api": _bind(settings.api_host, settings.api_port),
        "ws": _bind(settings.ws_host, settings.ws_port),
    }


def _activated() -> dict[str, socket.socket]:
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    count = int(os.environ.get("LISTEN_FDS", "0"))
    if sorted(names) != sorted(NAMES) or count != len(NAMES):
        raise ValueError(f"socket activation must name {' and '.join(NAMES)} once each (LISTEN_FDNAMES is {names!r})")
    for variable in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(variable, None)
    # socket() finds out family and protocol; with a wrong guess Nagle's algorithm would stay on.
    return {name: _tuned(socket.socket(fileno=_FIRST_FD + index)) for index, name in enumerate(names)}


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{host}:{port} can't be bound: {error.strerror}") from None
    sock.listen(BACKLOG)
    return _tuned(sock)


def _tuned(sock: socket.socket) -> socket.socket:
    # Accepted connections inherit it.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    os.set_inheritable(sock.fileno(), False)
    return sock
