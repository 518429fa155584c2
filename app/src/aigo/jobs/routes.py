"""``/api/v1/jobs``."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel

from aigo.db import Row
from aigo.deps import CurrentUser, Running
from aigo.obs.context import current_request_id

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])


class NewJob(BaseModel):
    """What is to be done."""

    kind: Literal["conversation.export"]
    conversation_id: UUID
    format: Literal["json", "markdown"] = "json"


class Job(BaseModel):
    """A job, as it stands; ``result_url`` appears when there is something to download."""

    id: UUID
    kind: str
    status: Literal["queued", "running", "completed", "failed"]
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    result_url: str | None = None


def _shown(row: Row) -> Job:
    url = f"/api/v1/jobs/{row['id']}/result" if row["status"] == "completed" else None
    return Job(**{key: value for key, value in row.items() if not key.startswith("result_")}, result_url=url)


@router.post("", status_code=202)
async def create(body: NewJob, response: Response, user: CurrentUser, runtime: Running) -> Job:
    """Ask for a job."""
    await runtime.conversations.get(user.id, body.conversation_id)
    data = body.model_dump(mode="json", exclude={"kind"})
    row = await runtime.queue.jobs.create(user.id, body.kind, data, current_request_id())
    await runtime.queue.put(row["id"])
    response.headers["Location"] = f"/api/v1/jobs/{row['id']}"
    return _shown(row)


@router.get("/{job_id}")
async def get(job_id: UUID, user: CurrentUser, runtime: Running) -> Job:
    """Return a job."""
    return _shown(await runtime.queue.jobs.get(user.id, job_id))


@router.get("/{job_id}/result", response_class=Response)
async def result(job_id: UUID, user: CurrentUser, runtime: Running) -> Response:
    """Download what a job made."""
    made = await runtime.queue.jobs.result(user.id, job_id)
    disposition = {"Content-Disposition": f'attachment; filename="{made.name}"', "Cache-Control": "no-store"}
    return Response(made.content, media_type=made.media_type, headers=disposition)
