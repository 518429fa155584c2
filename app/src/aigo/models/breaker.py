"""Leaves an endpoint alone for a while after it failed several times in a row."""

from __future__ import annotations

import time
from collections.abc import Callable


class Breaker:
    """Closed: everything passes. Open: nothing does, for ``seconds``. Then one request at a time may try it out."""

    def __init__(self, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._seconds, self._clock = failures, seconds, clock
        self._failures = 0
        self._open_until: float | None = None
        self._trying = False

    @property
    def open(self) -> bool:
        """Whether the endpoint is given up for the moment, also while one request tries it out."""
        return self._open_until is not None

    def admit(self) -> bool:
        """Say whether a request may go out; who gets a yes reports how it ended."""
        if self._open_until is None:
            return True
        if self._trying or self._clock() < self._open_until:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        """The endpoint answered."""
        self._failures, self._open_until, self._trying = 0, None, False

    def failed(self) -> None:
        """The endpoint failed, by its own fault."""
        self._failures += 1
        if self._trying or self._failures >= self._limit:
            self._open_until = self._clock() + self._seconds
        self._trying = False

    def released(self) -> None:
        """The request ended in a way that says nothing about the endpoint."""
        self._trying = False
