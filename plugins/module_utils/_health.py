# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask an endpoint until it has given enough good answers in a row. Standard library only, no Ansible."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

_SHOWN = 400


class HealthError(Exception):
    """An endpoint that was not healthy in time, or a question that cannot be asked."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


@dataclass(frozen=True)
class Answer:
    """One answer: C(fault) says why it is not good, C(shown) what was seen."""

    shown: str
    fault: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How the asking ended. C(row) is the number of good answers in a row at the end."""

    healthy: bool
    attempts: int
    row: int
    elapsed: float
    last: Answer


@dataclass(frozen=True)
class HttpQuestion:
    """An HTTP GET, and what a good answer to it is."""

    url: str
    connect_to: str | None = None
    ca_path: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    statuses: Sequence[int] = (200,)
    json_subset: Mapping[str, Any] | None = None
    timeout: float = 5.0

    def ask(self) -> Answer:
        """Ask once, on a new connection; redirects are answers like any other."""
        try:
            connection = self._connection()
            try:
                parts = urlsplit(self.url)
                target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                connection.request("GET", target, headers={"Connection": "close", **self.headers})
                response = connection.getresponse()
                body = response.read(1_000_000)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            return no_answer(error)
        return judge(response.status, body, self.statuses, self.json_subset)

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return _Plain(host, parts.port or 80, self.timeout, self.connect_to)
        context = ssl.create_default_context(cafile=self.ca_path)
        if self.client_cert:
            context.load_cert_chain(self.client_cert, self.client_key)
        return _Tls(host, parts.port or 443, self.timeout, self.connect_to, context)


class _Plain(http.client.HTTPConnection):
    def __init__(self, host: str, port: int, timeout: float, connect_to: str | None) -> None:
        super().__init__(host, port, timeout=timeout)
        self._address = connect_to or host

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)


class _Tls(_Plain):
    default_port = 443

    def __init__(self, host: str, port: int, timeout: float, connect_to: str | None, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout, connect_to)
        self._context = context

    def connect(self) -> None:
        super().connect()
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)


@dataclass(frozen=True)
class TcpQuestion:
    """A TCP connection, good when it is accepted."""

    host: str
    port: int
    timeout: float = 5.0

    def ask(self) -> Answer:
        """Connect once."""
        try:
            socket.create_connection((self.host, self.port), self.timeout).close()
        except OSError as error:
            return no_answer(error)
        return Answer("the connection was accepted")


def no_answer(error: Exception) -> Answer:
    """What an exception says, with its kind where it says little."""
    text = str(error) or type(error).__name__
    return Answer(f"no answer: {text}", text)


def judge(status: int, body: bytes, statuses: Sequence[int], json_subset: Mapping[str, Any] | None) -> Answer:
    """Is this a good answer? The status is wanted, and the JSON object has at least what is asked of it."""
    text = body.decode("utf-8", "replace").strip()
    shown = f"HTTP {status}" + (f": {text[:_SHOWN]}" if text else "")
    if status not in statuses:
        return Answer(shown, f"status {status}, wanted {' or '.join(map(str, statuses))}")
    if json_subset is None:
        return Answer(shown)
    try:
        found = json.loads(text)
    except ValueError:
        return Answer(shown, "the answer is not JSON")
    difference = missing_from(json_subset, found)
    return Answer(shown, difference)


def missing_from(wanted: Any, found: Any, place: str = "") -> str | None:
    """The first place where C(found) lacks what C(wanted) has; objects may have more, everything else is equal."""
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            return f"{place or 'the answer'} is no object"
        for key, value in wanted.items():
            here = f"{place}.{key}" if place else str(key)
            if key not in found:
                return f"{here} is missing, wanted {value!r}"
            if difference := missing_from(value, found[key], here):
                return difference
        return None
    return None if wanted == found else f"{place} is {found!r}, wanted {wanted!r}"


def gate(
    ask: Callable[[], Answer],
    successes: int,
    timeout: float,
    interval: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Ask until C(successes) good answers came in a row, or the time is over. At least one question is asked."""
    start = clock()
    attempts = row = 0
    while True:
        answer = ask()
        attempts += 1
        row = 0 if answer.fault else row + 1
        elapsed = clock() - start
        if row >= successes or elapsed + interval > timeout:
            return Outcome(row >= successes, attempts, row, round(elapsed, 2), answer)
        sleep(interval)
