"""``/ws``: the same runs over one WebSocket.

The client authenticates by an Authorization header or by a first message ``{"type": "authenticate", "token": …}``
and then sends ``run``, ``resume`` and ``cancel``. It gets the events of all runs that it follows here, each with
its ``run_id`` and ``sequence``. No credential is ever part of the URL.
"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Literal
from uuid import UUID

import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from aigo.auth.origin import Origin
from aigo.auth.permissions import Permission
from aigo.auth.service import require, unauthenticated
from aigo.auth.store import User
from aigo.deps import bearer_of
from aigo.limits.limiter import too_many
from aigo.obs import metrics
from aigo.obs.context import bind, request_id, reset
from aigo.problems import Problem
from aigo.runs.routes import NewRun, Run
from aigo.runtime import Runtime
from aigo.text import Prose

log = structlog.get_logger()
router = APIRouter()
_AUTHENTICATE_SECONDS = 10
_FOLLOWED = 8
_RESTARTING = 1012
_REFUSED = 4401


class Authenticate(BaseModel):
    """The first message of a client that can't set headers."""

    type: Literal["authenticate"]
    token: str


class StartRun(NewRun):
    """Ask the agent and follow the answer."""

    type: Literal["run"]
    conversation_id: UUID
    idempotency_key: Annotated[Prose | None, Field(min_length=1, max_length=200)] = None
    reference: Annotated[Prose | None, Field(max_length=200)] = None


class Resume(BaseModel):
    """Follow a run again after a sequence."""

    type: Literal["resume"]
    run_id: UUID
    after: Annotated[int, Field(ge=0, lt=2**31)] = 0


class Cancel(BaseModel):
    """Stop a run."""

    type: Literal["cancel"]
    run_id: UUID


_COMMAND: TypeAdapter[StartRun | Resume | Cancel] = TypeAdapter(
    Annotated[StartRun | Resume | Cancel, Field(discriminator="type")]
)


@router.websocket("/ws")
async def websocket(socket: WebSocket) -> None:
    """Serve one socket until either side closes it or the server drains."""
    runtime: Runtime = socket.app.state.runtime
    reset(request_id=request_id(socket.headers.get("x-request-id")))
    if not _origin_allowed(socket, runtime):
        await socket.close(1008)
        return
    await socket.accept()
    metrics.sockets.inc()
    try:
        session = _Session(socket, runtime, await _authenticate(socket, runtime))
        await session.serve()
    except Problem as problem:
        await _close(socket, _REFUSED, problem.detail)
    except (DatabaseError, PoolTimeout):
        await _close(socket, 1013, "The database can't be reached at the moment.")
    except WebSocketDisconnect:
        pass
    finally:
        metrics.sockets.dec()


class _Session:
    """What one authenticated client follows."""

    def __init__(self, socket: WebSocket, runtime: Runtime, user: User) -> None:
        self._socket, self._runtime, self._user = socket, runtime, user
        self._following: dict[UUID, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Answer commands until the client leaves; on a drain, finish the answers first."""
        await self._send({"type": "authenticated", "user": self._user.model_dump(mode="json")})
        draining = asyncio.create_task(self._runtime.draining.wait())
        reading = asyncio.create_task(self._read())
        try:
            await asyncio.wait([draining, reading], return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                while self._following and not reading.done():
                    await asyncio.wait([reading, *self._following.values()], return_when=asyncio.FIRST_COMPLETED)
                await _close(self._socket, _RESTARTING, "The server restarts: connect again.")
            elif error := reading.exception():
                raise error
        finally:
            tasks = [draining, reading, *self._following.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        while True:
            text = await self._socket.receive_text()
            try:
                await self._admit()
                await self._obey(_COMMAND.validate_json(text))
            except ValidationError as error:
                await self._send(_error("invalid", "; ".join(item["msg"] for item in error.errors())))
            except Problem as problem:
                if problem.status == 401:
                    raise
                await self._send(_error(problem.code, problem.detail, _reference(text)))
            except (DatabaseError, PoolTimeout):
                message = "The database can't be reached at the moment."
                await self._send(_error("unavailable", message, _reference(text)))

    async def _admit(self) -> None:
        """Look again who this is, for a socket outlives tokens; then count the command."""
        self._user = await self._runtime.auth.still(self._user)
        require(self._user, Permission.CHAT)
        client = self._socket.client
        origin = Origin(client.host if client else None)
        state = await self._runtime.limiter.take(origin.network, "WEBSOCKET /ws", str(self._user.id))
        if state is not None and not state.allowed:
            raise too_many()

    async def _obey(self, command: StartRun | Resume | Cancel) -> None:
        runtime, user = self._runtime, self._user
        if isinstance(command, Cancel):
            await runtime.runs.get(user.id, command.run_id)
            await runtime.executor.cancel(command.run_id)
            return
        if len(self._following) >= _FOLLOWED:
            raise Problem(429, "too_many_runs", f"One socket follows at most {_FOLLOWED} runs at a time.")
        if isinstance(command, Resume):
            await runtime.runs.get(user.id, command.run_id)
            self._follow(command.run_id, command.after)
            return
        row, fresh = await runtime.runs.start(
            user.id, command.conversation_id, command.input, command.idempotency_key, command.strategy
        )
        if fresh:
            runtime.executor.start(row)
        run = Run(**row).model_dump(mode="json")
        await self._send({"type": "run.accepted", "run": run, "reference": command.reference})
        self._follow(row["id"], 0)

    def _follow(self, run_id: UUID, after: int) -> None:
        if earlier := self._following.pop(run_id, None):
            earlier.cancel()
        task = asyncio.create_task(self._forward(run_id, after))
        self._following[run_id] = task

        def ended(done: asyncio.Task[None]) -> None:
            if self._following.get(run_id) is done:
                del self._following[run_id]

        task.add_done_callback(ended)

    async def _forward(self, run_id: UUID, after: int) -> None:
        try:
            async for event in self._runtime.follower.follow(run_id, after):
                await self._socket.send_text(event.to_json())
        except (WebSocketDisconnect, RuntimeError):
            # The client has left; the run goes on and can be resumed.
            log.debug("a follower left", run_id=str(run_id))

    async def _send(self, body: dict[str, Any]) -> None:
        await self._socket.send_text(json.dumps(body, ensure_ascii=False))


async def _authenticate(socket: WebSocket, runtime: Runtime) -> User:
    if header := socket.headers.get("authorization"):
        credential = bearer_of(header)
    else:
        try:
            text = await asyncio.wait_for(socket.receive_text(), _AUTHENTICATE_SECONDS)
            credential = Authenticate.model_validate_json(text).token
        except (TimeoutError, ValidationError):
            raise unauthenticated("Authenticate first: a header, or a first message of type authenticate.") from None
    user = await runtime.auth.user_of(credential)
    require(user, Permission.CHAT)
    bind(user_id=str(user.id))
    return user


def _origin_allowed(socket: WebSocket, runtime: Runtime) -> bool:
    origin, public = socket.headers.get("origin"), runtime.settings.server.public_url
    return origin is None or public is None or origin.rstrip("/").lower() == public.rstrip("/").lower()


def _error(code: str, message: str, reference: str | None = None) -> dict[str, Any]:
    return {"type": "error", "code": code, "message": message, "reference": reference}


def _reference(text: str) -> str | None:
    try:
        value = json.loads(text)["reference"]
    except (ValueError, TypeError, KeyError):
        return None
    return value if isinstance(value, str) else None


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    try:
        await socket.close(code, reason[:120])
    except (RuntimeError, WebSocketDisconnect):
        log.debug("the client had closed first")
