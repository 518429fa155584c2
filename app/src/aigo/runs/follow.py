"""Follows a run from any process: from memory here, else from Redis as it happens, else from PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout

from aigo.cache import Cache, CacheAway, Subscription
from aigo.runs.events import Event, stream_key
from aigo.runs.executor import Executor
from aigo.runs.store import RunStore

_POLL = 0.2


class Follower:
    """Reads events of runs in order, each once, until the terminal one."""

    def __init__(self, store: RunStore, cache: Cache, executor: Executor) -> None:
        self._store, self._cache, self._executor = store, cache, executor

    async def follow(self, run_id: UUID, after: int) -> AsyncIterator[Event]:
        """Yield the events after a sequence; ends with the run."""
        if writer := self._executor.writer(run_id):
            async for event in writer.read(after):
                yield event
                if event.terminal:
                    return
                after = event.sequence
        with self._cache.live.follow(stream_key(run_id), after) as live:
            while True:
                for event in await self._stored(run_id, after):
                    yield event
                    if event.terminal:
                        return
                    after = event.sequence
                # While Redis delivers without a gap, PostgreSQL isn't asked.
                while batch := await self._live(live, after):
                    for event in batch:
                        yield event
                        if event.terminal:
                            return
                        after = event.sequence

    async def _stored(self, run_id: UUID, after: int) -> list[Event]:
        try:
            return await self._store.events_after(run_id, after)
        except (DatabaseError, PoolTimeout):
            # The stream has begun: it goes on when the database is back, or on what Redis has meanwhile.
            await asyncio.sleep(_POLL)
            return []

    async def _live(self, live: Subscription, after: int) -> list[Event]:
        try:
            return [Event.from_wire(body) for body in await live.read(after)]
        except CacheAway:
            await asyncio.sleep(_POLL)
            return []
