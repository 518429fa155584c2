"""The application inside the test's own process: as quick as calling it, and open to look into."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx2

from aigo.config import load_settings
from aigo.main import build_app
from aigo.runtime import Runtime

from .site import PASSWORD, Site


class Served:
    """The application, its runtime, and clients for it."""

    def __init__(self, app: Any) -> None:
        self.app = app

    @property
    def runtime(self) -> Runtime:
        runtime: Runtime = self.app.state.runtime
        return runtime

    def client(self, credential: str | None = None, address: str = "192.0.2.1") -> httpx2.AsyncClient:
        """Return a client at an address, with a credential if one is given."""
        headers = {"Authorization": f"Bearer {credential}"} if credential else {}
        transport = httpx2.ASGITransport(app=self.app, client=(address, 1234))
        return httpx2.AsyncClient(transport=transport, base_url="http://aigo.test", headers=headers)

    async def login(self, name: str, password: str = PASSWORD, **more: Any) -> httpx2.Response:
        """Sign in."""
        async with self.client() as client:
            return await client.post("/api/v1/auth/login", json={"name": name, "password": password, **more})

    async def signed_in(self, name: str, **more: Any) -> httpx2.AsyncClient:
        """Return a client that is signed in as that user."""
        answer = await self.login(name, **more)
        assert answer.status_code == 200, answer.text
        return self.client(answer.json()["access_token"])


class Socket:
    """A WebSocket to the application: texts in, messages and the closing code out."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def ask(self, **message: Any) -> dict[str, Any] | int:
        """Send a message; return the next answer, or the code with which the socket was closed."""
        await self.incoming.put({"type": "websocket.receive", "text": json.dumps(message)})
        answer = await asyncio.wait_for(self.outgoing.get(), 20)
        if answer["type"] == "websocket.close":
            return int(answer["code"])
        told: dict[str, Any] = json.loads(answer["text"])
        return told


@asynccontextmanager
async def socket_to(app: Served, credential: str) -> AsyncIterator[Socket]:
    """Open a WebSocket with a credential."""
    socket = Socket()
    scope = {
        "type": "websocket",
        "path": "/ws",
        "raw_path": b"/ws",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {credential}".encode())],
        "client": ("192.0.2.1", 1234),
        "subprotocols": [],
    }
    await socket.incoming.put({"type": "websocket.connect"})
    task = asyncio.create_task(app.app(scope, socket.incoming.get, socket.outgoing.put))
    try:
        assert (await asyncio.wait_for(socket.outgoing.get(), 20))["type"] == "websocket.accept"
        yield socket
    finally:
        await socket.incoming.put({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(task, 20)


@asynccontextmanager
async def served(site: Site, **config: Any) -> AsyncIterator[Served]:
    """Serve a site with a configuration of its own."""
    site.configure(**config)
    app = build_app(load_settings(site.directory))
    async with app.router.lifespan_context(app):
        yield Served(app)


def new_user(site: Site, role: str = "user") -> str:
    """Make a user with the usual password and return the name."""
    name = f"p{uuid4().hex[:8]}"
    site.sql(
        "INSERT INTO users (id, name, display_name, role, password_hash)"
        " SELECT %s, %s, %s, %s, password_hash FROM users WHERE name = 'uwe'",
        uuid4(),
        name,
        name,
        role,
    )
    return name


async def tokens(app: Served, name: str, **more: Any) -> dict[str, Any]:
    answer = await app.login(name, **more)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def status(app: Served, credential: str, path: str = "/api/v1/auth/me") -> int:
    async with app.client(credential) as client:
        return (await client.get(path)).status_code
