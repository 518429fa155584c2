"""Following many live streams over one connection to a real Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import pytest_asyncio
from pydantic import SecretStr
from redis.asyncio import Redis as Client

from aigo.cache import Cache, CacheAway, Subscription
from aigo.config.schema import Redis

from .site import Wire


def settings(redis_url: str, port: int | None = None) -> Redis:
    url = urlsplit(redis_url)
    node = f"127.0.0.1:{port}" if port else f"{url.hostname}:{url.port or 6379}"
    return Redis(nodes=[node], password=SecretStr(url.password) if url.password else None)


@pytest_asyncio.fixture
async def cache(redis_url: str) -> AsyncIterator[Cache]:
    cache = Cache(settings(redis_url))
    yield cache
    await cache.close()


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Client]:
    """A client of the test's own, which waits as long as it takes."""
    client = Client.from_url(redis_url)
    yield client
    await client.aclose()


async def write(redis: Client, stream: str, *sequences: int) -> None:
    for number in sequences:
        await redis.xadd(stream, {"e": json.dumps({"n": number})}, id=f"{number}-0")
    await redis.expire(stream, 60)


async def take(subscription: Subscription, after: int, wanted: int) -> list[int]:
    """Read until so many have come."""
    got: list[int] = []
    async with asyncio.timeout(60):
        while len(got) < wanted:
            with suppress(CacheAway):
                got += [body["n"] for body in await subscription.read(after + len(got))]
    return got


async def until_away(subscription: Subscription) -> None:
    """Read nothing until it is said that Redis is away."""
    async with asyncio.timeout(60):
        while True:
            assert await subscription.read(1) == []


async def test_many_followers_share_one_connection_and_each_gets_everything(cache: Cache, redis: Client) -> None:
    streams = [f"aigo:test:{uuid4()}" for _ in range(20)]
    # The servers of other tests have connections of their own.
    others = {client["id"] for client in await redis.client_list()}

    async def follow(stream: str, after: int) -> list[int]:
        with cache.live.follow(stream, after) as subscription:
            return await take(subscription, after, 40 - after)

    followers = [asyncio.create_task(follow(stream, after)) for stream in streams for after in (0, 0, 7)]
    for start in range(1, 41, 10):
        for stream in streams:
            await write(redis, stream, *range(start, start + 10))
        clients: Any = await redis.client_list()
        assert sum(client["cmd"] == "xread" for client in clients if client["id"] not in others) == 1
    for follower, after in zip(followers, (0, 0, 7) * 20, strict=True):
        assert await follower == list(range(after + 1, 41))


async def test_who_comes_late_and_asks_from_the_beginning_disturbs_nobody(cache: Cache, redis: Client) -> None:
    stream = f"aigo:test:{uuid4()}"
    await write(redis, stream, 1, 2, 3)
    with cache.live.follow(stream, 0) as early:
        assert await take(early, 0, 3) == [1, 2, 3]
        with cache.live.follow(stream, 0) as late:
            await write(redis, stream, 4)
            assert await take(late, 0, 4) == [1, 2, 3, 4]
        assert await take(early, 3, 1) == [4]


async def test_a_hole_is_not_jumped_over(cache: Cache, redis: Client) -> None:
    stream = f"aigo:test:{uuid4()}"
    with cache.live.follow(stream, 0) as subscription:
        await write(redis, stream, 1, 2, 5, 6)
        assert await take(subscription, 0, 2) == [1, 2]
        assert await subscription.read(2) == []
        assert await take(subscription, 4, 2) == [5, 6]


async def test_a_follower_is_told_when_redis_goes_and_gets_the_rest_when_it_is_back(
    redis_url: str, redis: Client
) -> None:
    url = urlsplit(redis_url)
    wire = Wire(url.hostname or "127.0.0.1", url.port or 6379)
    cache = Cache(settings(redis_url, wire.port))
    stream = f"aigo:test:{uuid4()}"
    try:
        with cache.live.follow(stream, 0) as subscription:
            await write(redis, stream, 1)
            assert await take(subscription, 0, 1) == [1]
            wire.cut()
            await write(redis, stream, 2)
            with pytest.raises(CacheAway):
                await until_away(subscription)
            wire.mend()
            assert await take(subscription, 1, 1) == [2]
    finally:
        wire.cut()
        await cache.close()
