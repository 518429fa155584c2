"""TLS in front of llama.cpp, which listens on a Unix socket: its published builds speak no TLS themselves."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

_CHUNK = 64 * 1024


class Gateway:
    """Passes bytes between TLS clients and a Unix socket, and drains when asked to close."""

    def __init__(self, backend: Path, context: ssl.SSLContext) -> None:
        self._backend = backend
        self._context = context
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def listen(self, address: str, port: int) -> int:
        """Start to accept; returns the port, which differs from the given one when that is 0."""
        self._server = await asyncio.start_server(
            self._serve, address, port, ssl=self._context, ssl_handshake_timeout=10, backlog=256
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self, drain_seconds: float) -> None:
        """Stop accepting, let the conversations under way end, then cut the rest."""
        if self._server:
            self._server.close()
        if self._clients:
            _unused, late = await asyncio.wait(self._clients, timeout=drain_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            behind_reader, behind_writer = await asyncio.open_unix_connection(str(self._backend))
        except OSError:
            await _shut(writer)
        else:
            # Whichever side ends first ends both: HTTP over TLS knows no half-closed connection.
            ways = [
                asyncio.ensure_future(_pass(reader, behind_writer)),
                asyncio.ensure_future(_pass(behind_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                await _shut(behind_writer)
                await _shut(writer)
        finally:
            self._clients.discard(task)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


async def _shut(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's TLS context: version 1.2 and newer, the interpreter's own cipher list."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context
