"""Redis: it makes things quicker, and everything works without it."""

from aigo.cache.client import Cache
from aigo.cache.live import CacheAway, Subscription

__all__ = ["Cache", "CacheAway", "Subscription"]
