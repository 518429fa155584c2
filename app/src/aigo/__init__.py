"""aigo: an agent server that keeps its truth in PostgreSQL and uses Redis only to be quicker."""

from importlib.metadata import version

__version__ = version("aigo")
