"""Limits: how they are counted, with Redis and without, and what clients are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from aigo.auth.origin import Origin
from aigo.config.identity import EndpointRate, Rate
from aigo.limits.limiter import Bucket, state_of

from .inprocess import Served, served
from .site import Site

ME = "/api/v1/auth/me"
# Slow enough that nothing is forgotten while a test runs.
SLOW = {"per_minute": 0.5, "burst": 1000}
LIMITS: dict[str, Any] = {"enabled": True, "address": SLOW, "user": SLOW, "endpoints": []}


@pytest_asyncio.fixture(params=["with Redis", "without Redis"])
async def redis(request: pytest.FixtureRequest, inner_site: Site) -> AsyncIterator[dict[str, Any]]:
    """The configuration of Redis, and a Redis that has forgotten every count."""
    if request.param == "without Redis":
        yield {"nodes": []}
        return
    async with served(inner_site) as app:
        client = app.runtime.cache._quick[0]
        if names := [name async for name in client.scan_iter("aigo:rate:*")]:
            await client.delete(*names)
    yield {}


async def statuses(
    app: Served, path: str, number: int, address: str = "192.0.2.1", token: str | None = None
) -> list[int]:
    async with app.client(token, address) as client:
        return [(await client.get(path)).status_code for _ in range(number)]


async def test_an_address_has_its_limit_and_others_theirs(inner_site: Site, redis: dict[str, Any]) -> None:
    limits = LIMITS | {"address": {"per_minute": 0.5, "burst": 3}}
    async with served(inner_site, limits=limits, redis=redis) as app:
        assert await statuses(app, "/api/v1/auth/methods", 5) == [200, 200, 200, 429, 429]
        assert await statuses(app, "/api/v1/auth/methods", 1, "192.0.2.2") == [200]
        # An IPv6 client has a whole /64 to hide in.
        six = [f"2001:db8::{index}" for index in range(4)]
        assert [(await statuses(app, "/api/v1/auth/methods", 1, address))[0] for address in six] == [200] * 3 + [429]
        assert await statuses(app, "/health", 5) == [200] * 5


async def test_forged_credentials_count_for_the_address(inner_site: Site, redis: dict[str, Any]) -> None:
    limits = LIMITS | {"address": {"per_minute": 0.5, "burst": 2}}
    async with served(inner_site, limits=limits, redis=redis) as app:
        assert await statuses(app, ME, 4, token="forged") == [401, 401, 429, 429]


async def test_a_user_has_one_limit_from_everywhere_and_is_told_how_it_stands(
    inner_site: Site, redis: dict[str, Any]
) -> None:
    limits = LIMITS | {"user": {"per_minute": 0.5, "burst": 2}}
    async with served(inner_site, limits=limits, redis=redis) as app:
        tokens = [(await app.login("uwe")).json()["access_token"] for _ in range(2)]
        async with app.client(tokens[0]) as one, app.client(tokens[1], "192.0.2.9") as two:
            first, second, third = await one.get(ME), await two.get(ME), await one.get(ME)
        assert [answer.status_code for answer in (first, second, third)] == [200, 200, 429]
        assert [answer.headers["ratelimit-remaining"] for answer in (first, second, third)] == ["1", "0", "0"]
        assert {answer.headers["ratelimit-limit"] for answer in (first, second, third)} == {"2"}
        assert (first.headers["ratelimit-reset"], "retry-after" in first.headers) == ("120", False)
        assert 0 < int(third.headers["retry-after"]) <= 120
        assert third.headers["content-type"] == "application/problem+json"
        assert third.json()["code"] == "too_many_requests"
        assert await statuses(app, ME, 1, token=(await app.login("olga")).json()["access_token"]) == [200]


async def test_an_endpoint_has_a_limit_of_its_own_whatever_the_path_contains(
    inner_site: Site, redis: dict[str, Any]
) -> None:
    endpoint = {"endpoint": "GET /api/v1/conversations/{conversation_id}", "per_minute": 0.5, "burst": 2}
    async with served(inner_site, limits=LIMITS | {"endpoints": [endpoint]}, redis=redis) as app:
        token = (await app.login("uwe")).json()["access_token"]
        ids = [f"01890000-0000-7000-8000-00000000000{index}" for index in range(3)]
        seen = [(await statuses(app, f"/api/v1/conversations/{one}", 1, token=token))[0] for one in ids]
        assert seen == [404, 404, 429]
        assert await statuses(app, "/api/v1/conversations", 1, token=token) == [200]


async def test_guessing_passwords_is_slowed_down_by_default(inner_site: Site, redis: dict[str, Any]) -> None:
    async with served(inner_site, limits={"enabled": True}, redis=redis) as app, app.client() as client:
        body = {"name": "nobody", "password": ""}
        answers = [(await client.post("/api/v1/auth/login", json=body)).status_code for _ in range(24)]
        # What can't be a password counts as well, and spares this test the hashing.
        assert answers[:20] == [422] * 20
        assert answers[-1] == 429


def test_a_bucket_empties_at_its_rate() -> None:
    bucket = Bucket("b", Rate(per_minute=60, burst=3))
    fresh = state_of([bucket], [0])
    assert (fresh.allowed, fresh.remaining, fresh.reset_seconds) == (True, 2, 1)
    last = state_of([bucket], [2000])
    assert (last.allowed, last.remaining, last.reset_seconds) == (True, 0, 3)
    full = state_of([bucket], [3000])
    assert (full.allowed, full.remaining, full.retry_seconds) == (False, 0, 1)
    assert state_of([bucket], [2001]).allowed is False
    assert state_of([bucket], [1999.5]).allowed is True


def test_the_tightest_bucket_is_told() -> None:
    wide = Bucket("w", Rate(per_minute=60, burst=100))
    tight = Bucket("t", EndpointRate(endpoint="GET /x", per_minute=60, burst=2))
    assert state_of([wide, tight], [0, 0]).limit == 2
    assert state_of([wide, tight], [99_500, 0]).allowed is False


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (None, "unknown"),
        ("testclient", "unknown"),
    ],
)
def test_what_counts_as_one_client(address: str | None, network: str) -> None:
    assert Origin(address).network == network
