"""The events of one running run: kept in memory, sent to Redis at once, stored in PostgreSQL in batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import structlog
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout

from aigo.cache import Cache
from aigo.runs.events import Event, stream_key
from aigo.runs.store import RunStore
from aigo.text import storable

log = structlog.get_logger()
# Tokens that come within this time of each other travel as one event.
_COALESCE = 0.02
_SAVE_EVERY = 0.25
_HEARTBEAT_EVERY = 2.0


class Writer:
    """Numbers, publishes and stores events. ``on_stop`` is called when the run was ended or cancelled elsewhere."""

    def __init__(self, run_id: UUID, first: Event, store: RunStore, cache: Cache, on_stop: Callable[[], None]) -> None:
        self.run_id, self.text = run_id, ""
        self._store, self._cache, self._on_stop = store, cache, on_stop
        self._events = [first]
        self._unpublished = [first]
        self._unsaved: list[Event] = []
        self._pending = ""
        self._timer: asyncio.TimerHandle | None = None
        self._sent_at = 0.0
        self._closed = False
        self._stopping = asyncio.Event()
        self._wake_publisher = asyncio.Event()
        self._waiters: set[asyncio.Event] = set()
        self._tasks = [asyncio.create_task(self._publish_loop()), asyncio.create_task(self._save_loop())]
        self._wake_publisher.set()

    def token(self, text: str) -> None:
        """Add text: sent now, or with what follows within a few milliseconds."""
        text = storable(text)
        self.text += text
        self._pending += text
        loop = asyncio.get_running_loop()
        if self._timer is None:
            if loop.time() - self._sent_at > _COALESCE:
                self._flush_text()
            else:
                self._timer = loop.call_later(_COALESCE, self._flush_text)

    def event(self, kind: str, data: dict[str, Any]) -> None:
        """Add an event, after the text that came before it."""
        self._flush_text()
        self._add(kind, data)

    async def read(self, after: int) -> AsyncIterator[Event]:
        """Follow the events after a sequence until the run ends."""
        waiter = asyncio.Event()
        self._waiters.add(waiter)
        try:
            position = 0
            while True:
                waiter.clear()
                while position < len(self._events):
                    event = self._events[position]
                    position += 1
                    if event.sequence > after:
                        yield event
                if self._closed:
                    return
                await waiter.wait()
        finally:
            self._waiters.discard(waiter)

    async def stop(self) -> list[Event]:
        """Stop the loops and return the events that are not stored yet."""
        self._flush_text()
        # They finish what they are at and see the flag: wait_for() of Python 3.11, which the drivers use, can swallow a
        # cancellation that comes together with an answer, and the loop would go on for ever.
        self._stopping.set()
        self._wake_publisher.set()
        await asyncio.gather(*self._tasks)
        return self._unsaved

    def next_event(self, kind: str, data: dict[str, Any]) -> Event:
        """Number an event without showing it to anybody yet."""
        return Event(self.run_id, self._events[-1].sequence + 1, kind, data)

    async def close(self, last: Event | None) -> None:
        """Show the terminal event, if this process wrote it, and let the readers go."""
        if last is not None:
            self._events.append(last)
            self._unpublished.append(last)
        self._closed = True
        self._wake_readers()
        await self._publish()

    def _flush_text(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pending:
            text, self._pending = self._pending, ""
            self._sent_at = asyncio.get_running_loop().time()
            self._add("token", {"text": text})

    def _add(self, kind: str, data: dict[str, Any]) -> None:
        event = self.next_event(kind, storable(data))
        self._events.append(event)
        self._unpublished.append(event)
        self._unsaved.append(event)
        self._wake_readers()
        self._wake_publisher.set()

    def _wake_readers(self) -> None:
        for waiter in self._waiters:
            waiter.set()

    async def _publish_loop(self) -> None:
        while not self._stopping.is_set():
            await self._wake_publisher.wait()
            self._wake_publisher.clear()
            await self._publish()

    async def _publish(self) -> None:
        batch, self._unpublished = self._unpublished, []
        if batch:
            await self._cache.append(stream_key(self.run_id), [(event.sequence, event.to_json()) for event in batch])

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _save_loop(self) -> None:
        saved_at = asyncio.get_running_loop().time()
        while not await self._stopped_within(_SAVE_EVERY):
            now = asyncio.get_running_loop().time()
            if not self._unsaved and now - saved_at < _HEARTBEAT_EVERY:
                continue
            batch = list(self._unsaved)
            try:
                goes_on = await self._store.save(self.run_id, batch)
            except (DatabaseError, PoolTimeout) as error:
                log.warning("events wait for the database", run_id=str(self.run_id), error=str(error))
                continue
            saved_at = now
            del self._unsaved[: len(batch)]
            if not goes_on:
                self._on_stop()
