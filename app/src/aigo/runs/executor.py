"""Runs the agent for the runs that this process has accepted, and sees each of them to its end."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Literal
from uuid import UUID

import structlog
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout

from aigo.agent import AgentFailure, AgentRunner, Tally
from aigo.agent.toolbox import Toolbox
from aigo.cache import Cache
from aigo.config.schema import Settings
from aigo.db import Row
from aigo.obs import metrics
from aigo.runs.events import Event
from aigo.runs.store import Outcome, RunStore, failure
from aigo.runs.writer import Writer

log = structlog.get_logger()
_FINISH_SECONDS = 60
StopReason = Literal["cancelled", "interrupted"]


class _Live:
    """A run of this process."""

    def __init__(self) -> None:
        self.writer: Writer
        self.work: asyncio.Task[Outcome]
        self.stop_reason: StopReason = "cancelled"
        self.tally = Tally()

    def stop(self, reason: StopReason = "cancelled") -> None:
        """Stop the agent; the supervisor then writes down why."""
        if not self.work.done():
            self.stop_reason = reason
            self.work.cancel()


class Executor:
    """The runs of this process."""

    def __init__(self, settings: Settings, store: RunStore, cache: Cache, agent: AgentRunner, toolbox: Toolbox) -> None:
        self._seconds = settings.agent.timeout_seconds
        self._store, self._cache, self._agent, self._toolbox = store, cache, agent, toolbox
        self._live: dict[UUID, _Live] = {}
        self._supervisors: set[asyncio.Task[None]] = set()

    @property
    def active(self) -> int:
        """How many runs this process is answering."""
        return len(self._supervisors)

    def start(self, run: Row) -> None:
        """Answer a run that :meth:`RunStore.start` has just made."""
        live = _Live()
        first = Event(run["id"], 1, "run.started", {"conversation_id": str(run["conversation_id"])})
        live.writer = Writer(run["id"], first, self._store, self._cache, live.stop)
        live.work = asyncio.create_task(self._work(run, live.writer, live.tally))
        self._live[run["id"]] = live
        supervisor = asyncio.create_task(self._supervise(run["id"], live))
        self._supervisors.add(supervisor)
        supervisor.add_done_callback(self._supervisors.discard)

    def writer(self, run_id: UUID) -> Writer | None:
        """Return the writer of a run that is going on in this process."""
        live = self._live.get(run_id)
        return live.writer if live else None

    async def cancel(self, run_id: UUID) -> None:
        """Stop a run, here or wherever it is going on."""
        if live := self._live.get(run_id):
            live.stop()
        # Also for a run of this process: a library may swallow a cancellation, and the next heartbeat repeats it.
        await self._store.request_cancel(run_id)

    async def drain(self, seconds: float) -> None:
        """Let the runs end for so long, then interrupt the rest and write that down."""
        if self._supervisors:
            await asyncio.wait(list(self._supervisors), timeout=seconds)
        for live in list(self._live.values()):
            live.stop("interrupted")
        if self._supervisors:
            await asyncio.wait(list(self._supervisors), timeout=5)

    async def _work(self, run: Row, writer: Writer, tally: Tally) -> Outcome:
        started = time.perf_counter()
        waiting = True
        try:
            async with asyncio.timeout(self._seconds):
                history = await self._store.history(run["conversation_id"], run["id"])
                context = await self._toolbox.for_user(run["user_id"])
                async for step in self._agent.stream(history, run["input"], context, tally, run["strategy"]):
                    if step.type == "token":
                        if waiting:
                            metrics.first_token.observe(time.perf_counter() - started)
                            waiting = False
                        writer.token(step.data["text"])
                    elif step.type == "end":
                        return Outcome("completed", writer.text, None, step.data["model"], step.data["sources"])
                    else:
                        if step.type == "tool.call":
                            metrics.tool_calls.labels(step.data["name"]).inc()
                        writer.event(step.type, step.data)
            raise AgentFailure("model_error", "The model's answer had no end.", True)
        except TimeoutError:
            message = f"The agent didn't finish within {self._seconds:g} s."
            return Outcome("failed", writer.text, failure("timeout", message, True))
        except AgentFailure as error:
            return Outcome("failed", writer.text, failure(error.code, error.message, error.retryable))
        except Exception:
            log.exception("a run failed", run_id=str(run["id"]))
            message = "Something went wrong; the log has the run's id."
            return Outcome("failed", writer.text, failure("internal", message, True))

    async def _supervise(self, run_id: UUID, live: _Live) -> None:
        metrics.active_runs.inc()
        try:
            await asyncio.wait([live.work])
            outcome = _stopped(live) if live.work.cancelled() else live.work.result()
            outcome = replace(outcome, usage=live.tally.shown())
            for direction in ("input", "output"):
                metrics.tokens.labels(direction).inc((outcome.usage or {}).get(f"{direction}_tokens", 0))
            unsaved = await live.writer.stop()
            last = live.writer.next_event(outcome.event_type, outcome.event_data)
            won = await self._finish(run_id, outcome, [*unsaved, last])
            await live.writer.close(last if won else None)
            metrics.runs.labels(outcome.status).inc()
            log.info("run ended", run_id=str(run_id), status=outcome.status, code=(outcome.error or {}).get("code"))
        finally:
            metrics.active_runs.dec()
            self._live.pop(run_id, None)

    async def _finish(self, run_id: UUID, outcome: Outcome, events: list[Event]) -> bool:
        deadline = time.monotonic() + _FINISH_SECONDS
        while True:
            try:
                return await self._store.finish(run_id, outcome, events)
            except (DatabaseError, PoolTimeout) as error:
                log.warning("a run's end waits for the database", run_id=str(run_id), error=str(error))
                if time.monotonic() > deadline:
                    return False
            await asyncio.sleep(0.5)


def _stopped(live: _Live) -> Outcome:
    if live.stop_reason == "cancelled":
        return Outcome("cancelled", live.writer.text, failure("cancelled", "The run was cancelled.", False))
    message = "The server was restarted. What had been said is kept; ask again for the rest."
    return Outcome("failed", live.writer.text, failure("interrupted", message, True))
