"""One serving process: uvicorn on two sockets, with a drain that loses nothing."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from aigo.config import Settings
from aigo.runtime import Runtime
from aigo.server.sockets import BACKLOG

log = structlog.get_logger()
# Clients and proxies reuse connections; for so long each answer tells them to stop doing so.
_GOODBYE_SECONDS = 2.0
# Longer than a proxy keeps an idle connection, so that the proxy is the one to close it.
_KEEP_ALIVE_SECONDS = 75
_MESSAGE_BYTES = 65_536


class OneKind:
    """Lets through the kind of request that a socket is for: ``/ws`` on one, all the rest on the other."""

    def __init__(self, app: Any, websocket: bool) -> None:
        self._app, self._websocket = app, websocket

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan" or (scope["type"] == "websocket") == self._websocket:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})


class DrainingServer(uvicorn.Server):
    """Two listeners, one application. It stops in four steps: close the listeners, say goodbye on kept connections,
    let runs and streams end, close what is left."""

    def __init__(self, app: FastAPI, settings: Settings, beat: Callable[[], None]) -> None:
        self._app, self._beat = app, beat
        self._drain_seconds = settings.server.drain_seconds
        self._configs = [_config(OneKind(app, websocket), settings) for websocket in (False, True)]
        super().__init__(self._configs[0])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM, and end normally afterwards."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "should_exit", True))
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the runtime, then accept."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(1)
        loop = asyncio.get_running_loop()
        self.servers = []
        for sock, config in zip(sockets or [], self._configs, strict=True):
            if not config.loaded:
                config.load()
            server = await loop.create_server(self._factory(config), sock=sock, ssl=config.ssl, backlog=BACKLOG)
            self.servers.append(server)
        self.started = True
        self._beat()

    def _factory(self, config: uvicorn.Config) -> Callable[[], asyncio.Protocol]:
        def create() -> asyncio.Protocol:
            return config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )

        return create

    async def on_tick(self, counter: int) -> bool:
        """Beat once a second."""
        if counter % 10 == 0:
            self._beat()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain."""
        runtime: Runtime = self._app.state.runtime
        deadline = asyncio.get_running_loop().time() + max(self._drain_seconds, 0)
        log.info("draining", connections=len(self.server_state.connections), runs=runtime.executor.active)
        for server in self.servers:
            server.close()
        for sock in sockets or []:
            sock.close()
        runtime.draining.set()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        await self._until(deadline, lambda: False, _GOODBYE_SECONDS)
        for connection in list(self.server_state.connections):
            if not isinstance(connection, WebSocketsSansIOProtocol):
                # Idle ones close now, busy ones after their answer.
                connection.shutdown()
        await self._until(deadline, lambda: not (self.server_state.connections or runtime.executor.active))
        await runtime.executor.drain(0)
        # The end of an interrupted run is the last thing that its followers are told.
        await self._until(asyncio.get_running_loop().time() + 1, lambda: not self.server_state.connections)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for task in list(self.server_state.tasks):
            task.cancel()
        await self._until(asyncio.get_running_loop().time() + 1, lambda: not self.server_state.tasks)
        await self.lifespan.shutdown()

    async def _until(self, deadline: float, done: Callable[[], bool], seconds: float = float("inf")) -> None:
        loop = asyncio.get_running_loop()
        deadline = min(deadline, loop.time() + seconds)
        while loop.time() < deadline and not done():
            await asyncio.sleep(0.05)


def serve(app: FastAPI, settings: Settings, sockets: list[socket.socket], beat: Callable[[], None]) -> None:
    """Serve until SIGTERM, then drain."""
    uvloop.run(DrainingServer(app, settings, beat).serve(sockets=sockets))


def _config(app: Any, settings: Settings) -> uvicorn.Config:
    server = settings.server
    return uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(server.trusted_proxies),
        forwarded_allow_ips=server.trusted_proxies,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        ws_max_size=_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        ssl_certfile=server.tls.certificate if server.tls else None,
        ssl_keyfile=server.tls.key if server.tls else None,
    )
