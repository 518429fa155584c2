"""The queue in PostgreSQL: what the API puts in, what the worker takes out, and the housekeeping."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol, cast
from uuid import UUID

import structlog
from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy
from procrastinate.exceptions import AlreadyEnqueued
from psycopg_pool import AsyncConnectionPool

from aigo.conversations.store import Conversations
from aigo.db import Database
from aigo.jobs.kinds import KINDS
from aigo.jobs.store import JobStore
from aigo.obs import metrics
from aigo.obs.context import reset
from aigo.problems import Problem
from aigo.runs.store import STALE_SECONDS, RunStore

log = structlog.get_logger()
QUEUE = "default"
_ATTEMPTS = 3
_JOB = "aigo.job"


class Part(Protocol):
    """Somebody else's tasks in the same queue."""

    def attach(self, app: App) -> None:
        """Register the tasks."""

    async def tidy(self) -> dict[str, int]:
        """Do a part of the housekeeping; return how many of each."""


class Queue:
    """The application's queue over its own connection pool."""

    def __init__(self, db: Database, runs: RunStore, parts: Sequence[Part] = ()) -> None:
        self.jobs = JobStore(db)
        self._db, self._runs, self._conversations = db, runs, Conversations(db)
        self._connector = PsycopgConnector()
        self.app = App(connector=self._connector)
        retry = RetryStrategy(max_attempts=_ATTEMPTS, exponential_wait=3)
        self.app.task(name=_JOB, queue=QUEUE, retry=retry, pass_context=True)(self._run_job)
        tidy = self.app.task(name="aigo.housekeeping", queue=QUEUE, queueing_lock="housekeeping")(self._housekeeping)
        self.app.periodic(cron="* * * * *")(tidy)
        self._parts = parts
        for part in parts:
            part.attach(self.app)

    async def open(self) -> None:
        """Use the application's pool; nothing is opened, so there is nothing to close."""
        # The library asks for a pool of tuples, and names the form of its rows in every cursor.
        await self._connector.open_async(cast("AsyncConnectionPool", self._db.pool))

    async def put(self, job_id: UUID) -> None:
        """Queue a job; one that waits there already isn't queued twice."""
        try:
            await self.app.configure_task(_JOB, queueing_lock=str(job_id)).defer_async(job_id=str(job_id))
        except AlreadyEnqueued:
            log.debug("the job is queued already", job_id=str(job_id))

    async def _run_job(self, context: JobContext, job_id: str) -> None:
        identifier = UUID(job_id)
        job = await self.jobs.begin(identifier)
        if job is None:
            return
        reset(request_id=job["request_id"] or f"job-{job_id}", user_id=str(job["user_id"]))
        try:
            result = await KINDS[job["kind"]](self._conversations, job["user_id"], job["input"])
            if await self.jobs.complete(identifier, result):
                metrics.jobs.labels(job["kind"], "completed").inc()
                log.info("job completed", job_id=job_id, kind=job["kind"])
        except Problem as problem:
            await self._fail(identifier, job["kind"], problem.detail)
        except Exception as error:
            if context.job.attempts + 1 < _ATTEMPTS:
                raise
            log.exception("job failed", job_id=job_id, kind=job["kind"])
            await self._fail(identifier, job["kind"], f"The job failed {_ATTEMPTS} times ({type(error).__name__}).")

    async def _fail(self, job_id: UUID, kind: str, message: str) -> None:
        await self.jobs.fail(job_id, message)
        metrics.jobs.labels(kind, "failed").inc()

    async def _housekeeping(self, timestamp: int) -> None:
        await self.tidy()

    async def tidy(self) -> dict[str, int]:
        """End abandoned runs, take up jobs whose worker is gone, forget what is over; return how many of each."""
        ended = await self._runs.reap(STALE_SECONDS)
        stalled = list(await self.app.job_manager.get_stalled_jobs(seconds_since_heartbeat=30))
        for job in stalled:
            await self.app.job_manager.retry_job(job)
        forgotten = await self.jobs.forgotten(60)
        for job_id in forgotten:
            await self.put(job_id)
        await self._db.write("DELETE FROM sessions WHERE expires_at < now() - interval '1 day'")
        await self._db.write("DELETE FROM request_nonces WHERE expires_at < now()")
        await self.app.job_manager.delete_old_jobs(
            nb_hours=timedelta(days=7) // timedelta(hours=1), include_failed=True, include_cancelled=True
        )
        done = {"orphaned_runs": len(ended), "stalled_jobs": len(stalled), "forgotten_jobs": len(forgotten)}
        for part in self._parts:
            done |= await part.tidy()
        if any(done.values()):
            log.info("housekeeping", **done)
        return done
