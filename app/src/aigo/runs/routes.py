"""Runs over HTTP, and their events as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from aigo.deps import CurrentUser, Running
from aigo.problems import Problem
from aigo.runs.events import Event
from aigo.text import Prose

router = APIRouter(prefix="/api/v1", tags=["runs"])
# Proxies close a stream that says nothing for a minute.
_KEEPALIVE = 15.0

IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=200)]


class NewRun(BaseModel):
    """What the user says, and how the agent works on it (the site's own default without a word)."""

    input: Annotated[Prose, Field(min_length=1, max_length=32_000)]
    strategy: Literal["react", "plan"] | None = None


class Run(BaseModel):
    """A run, as it stands."""

    id: UUID
    conversation_id: UUID
    status: Literal["running", "completed", "failed", "cancelled"]
    input: str
    error: dict[str, Any] | None
    usage: dict[str, Any] | None
    model: str | None
    strategy: Literal["react", "plan"] | None = None
    sources: list[dict[str, Any]] | None = None
    created_at: datetime
    finished_at: datetime | None


@router.post("/conversations/{conversation_id}/runs", status_code=201)
async def start_run(
    conversation_id: UUID,
    body: NewRun,
    response: Response,
    user: CurrentUser,
    runtime: Running,
    idempotency_key: IdempotencyKey = None,
) -> Run:
    """Ask the agent; a repeated ``Idempotency-Key`` returns the first run instead of asking again."""
    row, fresh = await runtime.runs.start(user.id, conversation_id, body.input, idempotency_key, body.strategy)
    if fresh:
        runtime.executor.start(row)
    else:
        response.status_code = 200
        response.headers["Idempotent-Replayed"] = "true"
    response.headers["Location"] = f"/api/v1/runs/{row['id']}"
    return Run(**row)


@router.get("/runs/{run_id}")
async def get_run(run_id: UUID, user: CurrentUser, runtime: Running) -> Run:
    """Return a run."""
    return Run(**await runtime.runs.get(user.id, run_id))


@router.post("/runs/{run_id}/cancel", status_code=202)
async def cancel_run(run_id: UUID, user: CurrentUser, runtime: Running) -> Run:
    """Ask for a run to be stopped; a run that has ended stays as it is."""
    row = await runtime.runs.get(user.id, run_id)
    await runtime.executor.cancel(run_id)
    return Run(**row)


@router.get("/runs/{run_id}/events", response_class=StreamingResponse)
async def run_events(
    run_id: UUID, user: CurrentUser, runtime: Running, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """Stream the events of a run, from the beginning or after ``Last-Event-ID``, until it ends."""
    await runtime.runs.get(user.id, run_id)
    if last_event_id is not None and not (last_event_id.isascii() and last_event_id.isdigit()):
        raise Problem(400, "bad_last_event_id", "Last-Event-ID must be a sequence number.")
    after = min(int(last_event_id or 0), 2**31 - 1)
    return StreamingResponse(
        _with_keepalive(runtime.follower.follow(run_id, after)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _with_keepalive(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    pending: asyncio.Task[Event | None] | None = None

    async def following() -> Event | None:
        return await anext(events, None)

    try:
        while True:
            pending = pending or asyncio.create_task(following())
            done, _ = await asyncio.wait([pending], timeout=_KEEPALIVE)
            if not done:
                yield b": still here\n\n"
                continue
            event, pending = pending.result(), None
            if event is None:
                return
            yield event.to_sse()
    finally:
        if pending is not None:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
