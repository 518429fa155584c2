"""One worker process: takes jobs until it is told to stop, and shows by its beats that it makes progress."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any

import structlog
import uvloop
from procrastinate.jobs import Job
from procrastinate.manager import JobManager

from aigo.config import Settings
from aigo.db import Database
from aigo.documents.indexing import Indexing
from aigo.ids import instance_name
from aigo.jobs.queue import Queue
from aigo.runs.store import RunStore

log = structlog.get_logger()
_POLL_SECONDS = 1.0
# Looking into the queue happens every second; so long without a look means that the process hangs.
_SILENT_SECONDS = 20.0
# With every slot taken there is no need to look: then a job may run for so long.
_JOB_SECONDS = 600.0
_FINISH_SECONDS = 20.0


class _Progress:
    """When the queue was last looked into, and which jobs are running since when."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._looked = time.monotonic()
        self._running: dict[int, float] = {}

    def looked(self) -> None:
        self._looked = time.monotonic()

    @property
    def good(self) -> bool:
        now = time.monotonic()
        if now - self._looked < _SILENT_SECONDS:
            return True
        busy = len(self._running) >= self._slots
        return busy and now - min(self._running.values()) < _JOB_SECONDS

    async def watch(self, call_next: Any, context: Any, worker: Any) -> Any:
        """Procrastinate's middleware: remember a job for as long as it runs, and bound its time."""
        self._running[id(context)] = time.monotonic()
        try:
            async with asyncio.timeout(_JOB_SECONDS):
                return await call_next()
        finally:
            del self._running[id(context)]


class _WatchedManager(JobManager):
    """Notes every look into the queue, also one that failed: that is the database's fault, not the worker's."""

    def __init__(self, connector: Any, progress: _Progress) -> None:
        super().__init__(connector)
        self._progress = progress

    async def fetch_job(self, queues: Any, worker_id: int) -> Job | None:
        self._progress.looked()
        return await super().fetch_job(queues=queues, worker_id=worker_id)


def run_worker(settings: Settings, beat: Callable[[], None]) -> None:
    """Work until SIGTERM, then finish the jobs at hand."""
    uvloop.run(_run(settings, beat))


async def _run(settings: Settings, beat: Callable[[], None]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    progress = _Progress(settings.worker.concurrency)
    db = Database(settings.database)
    await db.open()
    beating = asyncio.create_task(_beat(progress, beat))
    try:
        while not stopping.is_set():
            # A worker's own state doesn't survive a lost database, so each attempt begins with a new one.
            queue = Queue(db, RunStore(db, instance_name()), [Indexing(settings, db)])
            await queue.open()
            queue.app.job_manager = _WatchedManager(queue.app.connector, progress)
            await _until_stopped_or_broken(queue, settings.worker.concurrency, progress, stopping)
    finally:
        beating.cancel()
        await db.close()


async def _until_stopped_or_broken(queue: Queue, slots: int, progress: _Progress, stopping: asyncio.Event) -> None:
    work = asyncio.create_task(
        queue.app.run_worker_async(
            name=instance_name(),
            concurrency=slots,
            fetch_job_polling_interval=_POLL_SECONDS,
            shutdown_graceful_timeout=_FINISH_SECONDS,
            install_signal_handlers=False,
            worker_middleware=[progress.watch],
        )
    )
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        work.cancel()
    outcome = (await asyncio.gather(work, return_exceptions=True))[0]
    stop.cancel()
    if not stopping.is_set():
        progress.looked()
        log.warning("the worker starts again", error=str(outcome))
        await asyncio.wait([asyncio.create_task(stopping.wait())], timeout=_POLL_SECONDS)


async def _beat(progress: _Progress, beat: Callable[[], None]) -> None:
    while True:
        if progress.good:
            beat()
        await asyncio.sleep(1)
