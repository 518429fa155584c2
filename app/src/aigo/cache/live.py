"""All live streams that a process follows, read over one connection however many followers there are."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

Entry = tuple[int, dict[str, Any]]
_QUEUED = 5_000
_PATIENCE = 1.0
_REST = 0.2


class CacheAway(Exception):
    """Redis didn't answer, or none is configured."""


class Streams(Protocol):
    """What the reader needs of the cache."""

    async def read_streams(self, positions: dict[str, int]) -> dict[str, list[Entry]]:
        """Wait a while for entries after these positions; :raises CacheAway: when Redis can't tell."""

    async def append(self, stream: str, events: list[tuple[int, str]]) -> None:
        """Add an entry."""


class Subscription:
    """What one follower has not yet taken of a stream. Entries come in order; some may be missing."""

    def __init__(self, after: int) -> None:
        self.last = after
        self._entries: deque[Entry] = deque()
        self._something = asyncio.Event()
        self._away = False

    async def read(self, after: int) -> list[dict[str, Any]]:
        """Wait up to a second for what comes directly after a sequence; nothing when that is missing.

        :raises CacheAway: when Redis can't tell.
        """
        while self._entries and self._entries[0][0] <= after:
            self._entries.popleft()
        if not self._entries:
            self._something.clear()
            if not self._away:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._something.wait(), _PATIENCE)
        if self._away:
            self._away = False
            raise CacheAway
        taken = []
        while self._entries and self._entries[0][0] == after + 1:
            after, body = self._entries.popleft()
            taken.append(body)
        if not taken and self._entries:
            # Redis has a hole here, which whoever follows fills from PostgreSQL.
            await asyncio.sleep(_REST)
        return taken

    def push(self, asked: int, entries: list[Entry]) -> None:
        """Take entries that came after a position, unless some before that position are still to come."""
        if self.last < asked:
            return
        fresh = [entry for entry in entries if entry[0] > self.last]
        if len(self._entries) + len(fresh) > _QUEUED:
            # Somebody who reads this slowly gets the rest from PostgreSQL.
            self._entries.clear()
        self._entries.extend(fresh)
        self.last = max(self.last, entries[-1][0])
        self._something.set()

    def lose(self) -> None:
        """Say that Redis is away."""
        self._away = True
        self._something.set()


class LiveReader:
    """Reads while there are followers."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._followers: dict[str, set[Subscription]] = {}
        self._positions: dict[str, int] = {}
        self._reading: asyncio.Task[None] | None = None
        # An entry here ends a wait, so that a new follower needn't sit out somebody else's.
        self._bell, self._rung, self._heard = f"aigo:bell:{secrets.token_hex(8)}", 0, 0
        self._ringing: asyncio.Task[None] | None = None

    @contextmanager
    def follow(self, stream: str, after: int) -> Iterator[Subscription]:
        """Follow a stream after a sequence for as long as the block goes on."""
        subscription = Subscription(after)
        known = self._positions.get(stream)
        self._followers.setdefault(stream, set()).add(subscription)
        if known is None or after < known:
            self._positions[stream] = after
            self._ring()
        try:
            yield subscription
        finally:
            followers = self._followers[stream]
            followers.discard(subscription)
            if not followers:
                del self._followers[stream], self._positions[stream]

    async def close(self) -> None:
        """Stop reading."""
        tasks = [task for task in (self._reading, self._ringing) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ring(self) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
            return
        self._rung += 1
        if self._ringing is None or self._ringing.done():
            self._ringing = asyncio.create_task(self._ring_bell())

    async def _ring_bell(self) -> None:
        rung = 0
        # Once for all who came meanwhile.
        while rung < self._rung:
            rung = self._rung
            await self._streams.append(self._bell, [(rung, "{}")])

    async def _read(self) -> None:
        while self._followers:
            asked = dict(self._positions)
            try:
                answer = await self._streams.read_streams({**asked, self._bell: self._heard})
            except CacheAway:
                for followers in self._followers.values():
                    for subscription in followers:
                        subscription.lose()
                await asyncio.sleep(_REST)
                continue
            for stream, entries in answer.items():
                if stream == self._bell:
                    self._heard = entries[-1][0]
                    continue
                for subscription in self._followers.get(stream, ()):
                    subscription.push(asked[stream], entries)
                # Somebody may have asked for earlier entries meanwhile.
                if self._positions.get(stream) == asked[stream]:
                    self._positions[stream] = entries[-1][0]


def parsed(entries: Any) -> list[Entry]:
    """Turn Redis' form of a stream's entries into (sequence, body) pairs."""
    # RESP3 nests the entries of a stream in one more list than RESP2 does.
    flat = entries[0] if entries and isinstance(entries[0], list) else entries
    return [(int(identifier.partition("-")[0]), json.loads(fields["e"])) for identifier, fields in flat]
