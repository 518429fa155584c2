"""A Redis client that fails fast, remembers for a moment that it failed, and never fails a request."""

from __future__ import annotations

import hashlib
import json
import time
from functools import cache
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from aigo.cache.live import CacheAway, Entry, LiveReader, parsed
from aigo.config.load import reveal
from aigo.config.schema import Redis as RedisSettings
from aigo.config.schema import split_endpoint

_PAUSE = 1.0
_BLOCK_MS = 1000
_STREAM_SECONDS = 3600
_STREAM_LENGTH = 20_000
_FAILURES = (RedisError, OSError, TimeoutError)


class Cache:
    """Cached JSON values and live event streams.

    Plain methods report a failure by their return value; only the live streams raise :class:`CacheAway`, because
    their reader has to turn to PostgreSQL. After a failure Redis is left alone for a second.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self.enabled = settings.enabled
        self._quick = _clients(settings, socket_timeout=0.5)
        self._blocking = _clients(settings, socket_timeout=_BLOCK_MS / 1000 + 2)
        self._current = 0
        self._closed_until = 0.0
        self.live = LiveReader(self)

    @property
    def available(self) -> bool:
        """Whether it makes sense to ask Redis now."""
        return self.enabled and time.monotonic() >= self._closed_until

    async def close(self) -> None:
        """Close every connection."""
        await self.live.close()
        for client in (*self._quick, *self._blocking):
            await client.aclose()

    async def ping(self) -> bool:
        """Ask Redis itself, whatever happened before."""
        try:
            await self._quick[self._current].ping()
        except _FAILURES:
            self._failed()
            return False
        self._closed_until = 0.0
        return True

    async def get(self, key: str) -> Any:
        """Return the cached value, or None when there is none or Redis is away."""
        if not self.available:
            return None
        try:
            value = await self._quick[self._current].get(key)
        except _FAILURES:
            self._failed()
            return None
        return json.loads(value) if value else None

    async def put(self, key: str, value: Any, seconds: int) -> None:
        """Cache a value for so many seconds, if Redis is there."""
        if not self.available:
            return
        try:
            await self._quick[self._current].set(key, json.dumps(value), ex=seconds)
        except _FAILURES:
            self._failed()

    async def drop(self, *keys: str) -> None:
        """Forget values, if Redis is there; otherwise they expire by themselves."""
        if not self.available:
            return
        try:
            await self._quick[self._current].delete(*keys)
        except _FAILURES:
            self._failed()

    async def run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        """Run a Lua script (kept there under its hash) and return its answer; :raises CacheAway:."""
        if not self.available:
            raise CacheAway
        try:
            client = self._quick[self._current]
            try:
                return await client.evalsha(_digest(script), len(keys), *keys, *arguments)
            except NoScriptError:
                return await client.eval(script, len(keys), *keys, *arguments)
        except _FAILURES as error:
            self._failed()
            raise CacheAway from error

    async def append(self, stream: str, events: list[tuple[int, str]]) -> None:
        """Add (sequence, JSON) pairs to a live stream, if Redis is there. The sequence is the entry's id."""
        if not self.available:
            return
        try:
            pipe = self._quick[self._current].pipeline(transaction=False)
            for sequence, text in events:
                pipe.xadd(stream, {"e": text}, id=f"{sequence}-0", maxlen=_STREAM_LENGTH, approximate=True)
            pipe.expire(stream, _STREAM_SECONDS)
            await pipe.execute()
        except _FAILURES:
            self._failed()

    async def read_streams(self, positions: dict[str, int]) -> dict[str, list[Entry]]:
        """Wait up to a second for entries after these positions; :raises CacheAway: when Redis can't tell."""
        if not self.available:
            raise CacheAway
        try:
            client = self._blocking[self._current]
            after = {stream: f"{sequence}-0" for stream, sequence in positions.items()}
            answer: Any = await client.xread(after, count=500, block=_BLOCK_MS)  # type: ignore[arg-type]
        except _FAILURES as error:
            self._failed()
            raise CacheAway from error
        return {stream: parsed(entries) for stream, entries in _pairs(answer)}

    def _failed(self) -> None:
        self._closed_until = time.monotonic() + _PAUSE
        self._current = (self._current + 1) % max(len(self._quick), 1)


def _pairs(answer: Any) -> Any:
    # A dictionary in RESP3, a list in RESP2, nothing after a wait in vain.
    return answer.items() if isinstance(answer, dict) else answer or []


@cache
def _digest(script: str) -> str:
    # Redis names scripts so; nothing rests on the hash being a good one.
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


def _clients(settings: RedisSettings, socket_timeout: float) -> list[Redis]:
    if not settings.enabled:
        return []
    options: dict[str, Any] = {
        "username": settings.username,
        "password": reveal(settings.password),
        "socket_timeout": socket_timeout,
        "socket_connect_timeout": 0.5,
        "decode_responses": True,
        "retry": Retry(NoBackoff(), 0),
    }
    if settings.tls:
        options |= {"ssl": True, "ssl_ca_certs": settings.tls.ca, "ssl_cert_reqs": "required"}
        options |= {"ssl_check_hostname": True}
    if settings.sentinel:
        nodes = [split_endpoint(node) for node in settings.sentinel.nodes]
        quick = options | {"socket_timeout": 0.5}
        sentinel = Sentinel(nodes, sentinel_kwargs=quick, **options)  # type: ignore[no-untyped-call]
        return [sentinel.master_for(settings.sentinel.service)]
    nodes = [split_endpoint(node) for node in settings.nodes]
    return [Redis(host=host, port=port, **options) for host, port in nodes]
