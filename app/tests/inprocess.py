"""The application inside the test's own process: as quick as calling it, and open to look into."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

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


@asynccontextmanager
async def served(site: Site, **config: Any) -> AsyncIterator[Served]:
    """Serve a site with a configuration of its own."""
    site.configure(**config)
    app = build_app(load_settings(site.directory))
    async with app.router.lifespan_context(app):
        yield Served(app)
