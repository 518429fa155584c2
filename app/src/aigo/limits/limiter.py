"""Rates as a generic cell rate algorithm: one number for each bucket, in Redis for all processes together.

While Redis is away each process counts for itself, so that a limit is then at most as many times as high as there are
processes. A request is refused when any of its buckets is full, and then it is counted in none.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from aigo.cache import Cache
from aigo.cache.live import CacheAway
from aigo.config.identity import Limits, Rate
from aigo.problems import Problem

_REMEMBERED = 20_000
_SCRIPT = """
local t = redis.call('TIME')
local now = t[1] * 1000 + t[2] / 1000
local due, out = {}, {}
local refused = 0
for i, key in ipairs(KEYS) do
  local interval, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local tat = math.max(tonumber(redis.call('GET', key) or 0), now)
  if tat + interval - now > interval * burst + 0.001 then refused = 1 end
  due[i] = tat + interval
  out[i] = string.format('%.3f', tat - now)
end
if refused == 0 then
  for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.3f', due[i]), 'PX', math.ceil(due[i] - now))
  end
end
return out
"""


@dataclass(frozen=True)
class Bucket:
    """What is counted, and its rate."""

    name: str
    rate: Rate

    @property
    def interval(self) -> float:
        """Milliseconds that one request takes to be forgotten."""
        return 60_000 / self.rate.per_minute


@dataclass(frozen=True)
class State:
    """How the tightest bucket stands after a request."""

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int
    retry_seconds: int

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers that tell a client."""
        told = [
            ("ratelimit-limit", str(self.limit)),
            ("ratelimit-remaining", str(self.remaining)),
            ("ratelimit-reset", str(self.reset_seconds)),
        ]
        return told if self.allowed else [*told, ("retry-after", str(self.retry_seconds))]


def too_many() -> Problem:
    """Return the 429 problem; the headers come from the state."""
    return Problem(429, "too_many_requests", "That was too much at once: wait as long as Retry-After says.")


class Limiter:
    """Takes a request into account, or refuses it."""

    def __init__(self, settings: Limits, cache: Cache) -> None:
        self._settings, self._cache = settings, cache
        self._endpoints = {item.endpoint: item for item in settings.endpoints}
        self._own: OrderedDict[str, float] = OrderedDict()

    async def take(self, network: str, endpoint: str, user: str | None = None) -> State | None:
        """Count a request of an address to an endpoint, and of a user if known; None when nothing is limited."""
        if not self._settings.enabled:
            return None
        buckets = [Bucket(f"aigo:rate:a:{network}", self._settings.address)]
        if user:
            buckets.append(Bucket(f"aigo:rate:u:{user}", self._settings.user))
        if rate := self._endpoints.get(endpoint):
            buckets.append(Bucket(f"aigo:rate:e:{user or network}:{endpoint}", rate))
        try:
            arguments = [value for bucket in buckets for value in (bucket.interval, bucket.rate.burst)]
            backlogs = await self._cache.run(_SCRIPT, [bucket.name for bucket in buckets], arguments)
            return state_of(buckets, [float(backlog) for backlog in backlogs])
        except CacheAway:
            return self._take_here(buckets)

    def _take_here(self, buckets: Sequence[Bucket]) -> State:
        now = time.monotonic() * 1000
        backlogs = [max(self._own.get(bucket.name, 0), now) - now for bucket in buckets]
        state = state_of(buckets, backlogs)
        if state.allowed:
            for bucket, backlog in zip(buckets, backlogs, strict=True):
                self._own[bucket.name] = now + backlog + bucket.interval
                self._own.move_to_end(bucket.name)
            while len(self._own) > _REMEMBERED:
                self._own.popitem(last=False)
        return state


def state_of(buckets: Sequence[Bucket], backlogs: Sequence[float]) -> State:
    """Say how a request stands, given the milliseconds that each bucket had to go before it."""
    states = []
    for bucket, backlog in zip(buckets, backlogs, strict=True):
        interval, burst = bucket.interval, bucket.rate.burst
        over = backlog + interval - interval * burst
        allowed = over <= 0.001
        left = backlog + interval if allowed else backlog
        states.append(
            State(
                allowed,
                burst,
                max(int((interval * burst - left) / interval + 1e-6), 0),
                math.ceil(left / 1000),
                0 if allowed else max(math.ceil(over / 1000), 1),
            )
        )
    return min(states, key=lambda state: (state.allowed, -state.retry_seconds, state.remaining))
