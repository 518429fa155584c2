"""The application: its parts, in one place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from aigo import __version__, errors, openapi
from aigo.agent import AgentRunner
from aigo.audit import routes as audit
from aigo.auth import key_routes, mfa_routes, oidc_routes, user_routes
from aigo.auth import routes as auth
from aigo.config import Settings
from aigo.conversations import routes as conversations
from aigo.documents import routes as documents
from aigo.health import routes as health
from aigo.jobs import routes as jobs
from aigo.obs.middleware import RequestMiddleware
from aigo.page import Page
from aigo.runs import routes as runs
from aigo.runs import socket
from aigo.runtime import Runtime


def build_app(settings: Settings) -> FastAPI:
    """Return the application; its runtime opens with the lifespan, in the process that serves.

    The agent, which imports the most, is built here: before the processes fork, so that they share its memory.
    """
    agent = AgentRunner(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.runtime = await Runtime.open(settings, agent)
        try:
            yield
        finally:
            await app.state.runtime.close()

    # The interactive documentation would fetch scripts from elsewhere; the document itself is enough.
    app = FastAPI(
        title="aigo",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    errors.install(app)
    app.add_middleware(RequestMiddleware, uploads={"/api/v1/documents": settings.documents.max_bytes})
    for module in (health, auth, oidc_routes, mfa_routes, key_routes, user_routes, audit):
        app.include_router(module.router)
    for module in (conversations, runs, documents, jobs, socket):
        app.include_router(module.router)
    app.mount("/", Page(), name="web")
    openapi.install(app)
    return app
