"""Redis: it makes things quicker, and everything works without it."""

from aigo.cache.client import Cache, CacheAway

__all__ = ["Cache", "CacheAway"]
