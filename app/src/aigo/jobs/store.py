"""Jobs in the database. The queue says that something is to be done; these rows say what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from aigo.db import Database, Row
from aigo.ids import new_id
from aigo.problems import Problem

_FIELDS = "id, kind, status, error, result_type, result_name, created_at, started_at, finished_at"


@dataclass(frozen=True)
class Result:
    """A file that a job made."""

    content: bytes
    media_type: str
    name: str


class JobStore:
    """Questions and changes about jobs."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(self, user_id: UUID, kind: str, data: dict[str, Any], request_id: str | None) -> Row:
        """Write down that a job is wanted."""
        rows = await self._db.write(
            f"INSERT INTO jobs (id, user_id, kind, input, request_id) VALUES (%s, %s, %s, %s, %s) RETURNING {_FIELDS}",
            (new_id(), user_id, kind, Jsonb(data), request_id),
        )
        return rows[0]

    async def get(self, user_id: UUID, job_id: UUID) -> Row:
        """Return a job of that user, without its result; :raises Problem: 404."""
        row = await self._db.one(
            f"SELECT {_FIELDS} FROM jobs WHERE id = %s AND user_id = %s",
            (job_id, user_id),
        )
        if row is None:
            raise Problem(404, "not_found", "There is no such job.")
        return row

    async def result(self, user_id: UUID, job_id: UUID) -> Result:
        """Return what a job made; :raises Problem: 404, or 409 while there is nothing yet."""
        row = await self._db.one(
            "SELECT status, result, result_type, result_name FROM jobs WHERE id = %s AND user_id = %s",
            (job_id, user_id),
        )
        if row is None:
            raise Problem(404, "not_found", "There is no such job.")
        if row["result"] is None:
            raise Problem(409, "no_result", f"The job is {row['status']}: it has no result.")
        return Result(bytes(row["result"]), row["result_type"], row["result_name"])

    async def begin(self, job_id: UUID) -> Row | None:
        """Claim a job that is not done yet; None when it is."""
        rows = await self._db.write(
            "UPDATE jobs SET status = 'running', started_at = coalesce(started_at, now())"
            " WHERE id = %s AND status IN ('queued', 'running') RETURNING user_id, kind, input, request_id",
            (job_id,),
        )
        return rows[0] if rows else None

    async def complete(self, job_id: UUID, result: Result) -> bool:
        """Store the result, unless somebody else was quicker."""
        rows = await self._db.write(
            "UPDATE jobs SET status = 'completed', result = %s, result_type = %s, result_name = %s, finished_at = now()"
            " WHERE id = %s AND status = 'running' RETURNING id",
            (result.content, result.media_type, result.name, job_id),
        )
        return bool(rows)

    async def fail(self, job_id: UUID, message: str) -> None:
        """Write down that a job can't be done."""
        await self._db.write(
            "UPDATE jobs SET status = 'failed', error = %s, finished_at = now()"
            " WHERE id = %s AND status IN ('queued', 'running')",
            (message, job_id),
        )

    async def forgotten(self, seconds: int) -> list[UUID]:
        """Return open jobs that the queue doesn't know (the process ended between the two writes)."""
        rows = await self._db.all(
            "SELECT id FROM jobs j WHERE status IN ('queued', 'running')"
            " AND created_at < now() - make_interval(secs => %s)"
            " AND NOT EXISTS (SELECT FROM procrastinate_jobs p WHERE p.queueing_lock = j.id::text"
            " AND p.status IN ('todo', 'doing')) LIMIT 500",
            (seconds,),
        )
        return [row["id"] for row in rows]
