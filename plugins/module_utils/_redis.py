# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redis and Sentinel over TLS: a small client, a member's place, and a planned failover that loses nothing.

Standard library only: the hosts of the databases have no Redis package for Python.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PORT = 6379
SENTINEL_PORT = 26379
# Longer than a failover takes; Redis ends the pause by itself if nobody does.
PAUSE_MS = 15000


class RedisError(Exception):
    """Redis said no, or did not answer; the text says who and what."""


class Unreachable(RedisError):
    """Nobody answers there."""


@dataclass(frozen=True)
class Access:
    """How to sign in: user, password, and the authority that the servers' certificates come from."""

    user: str
    password: str
    ca_path: str
    timeout: float = 5


class Connection:
    """One conversation with a Redis server or a Sentinel."""

    def __init__(self, host: str, port: int, access: Access) -> None:
        self._place = f"{host}:{port}"
        try:
            context = ssl.create_default_context(cafile=access.ca_path)
            raw = socket.create_connection((host, port), access.timeout)
            self._socket = context.wrap_socket(raw, server_hostname=host)
        except OSError as error:
            raise Unreachable(f"no answer from {self._place}: {error}") from error
        self._file = self._socket.makefile("rb")
        self.call("AUTH", access.user, access.password)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def call(self, *words: str) -> Any:
        """Send a command and return its answer: str, int, None or a list of these. :raises RedisError:"""
        parts = [word.encode() for word in words]
        message = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        try:
            self._socket.sendall(message)
            answer = self._read()
        except OSError as error:
            raise Unreachable(f"{self._place} stopped answering: {error}") from error
        if isinstance(answer, RedisError):
            raise RedisError(f"{self._place} refused {words[0]}: {answer}")
        return answer

    def info(self, section: str) -> dict[str, str]:
        """A section of INFO as a dictionary."""
        lines = str(self.call("INFO", section)).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def _read(self) -> Any:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("the connection was closed")
        kind, text = line[:1], line[1:-2].decode()
        if kind == b"-":
            return RedisError(text)
        if kind == b":":
            return int(text)
        if kind == b"$":
            return None if text == "-1" else self._file.read(int(text) + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return None if text == "-1" else [self._read() for _unused in range(int(text))]
        return text


@dataclass(frozen=True)
class Member:
    """A member's place: its role, its primary's address, whether it follows, and how far it has come."""

    primary: bool
    follows: str | None
    linked: bool
    offset: int
    replicas: int

    @property
    def settled(self) -> bool:
        """Whether it takes writes, or follows somebody who does."""
        return self.primary or self.linked


def member(info: dict[str, str]) -> Member:
    """A member from its section `replication`."""
    primary = info.get("role") == "master"
    offset = info.get("master_repl_offset" if primary else "slave_repl_offset", "0")
    return Member(
        primary=primary,
        follows=None if primary else info.get("master_host"),
        linked=info.get("master_link_status") == "up",
        offset=int(offset),
        replicas=int(info.get("connected_slaves", "0")),
    )


def look(host: str, access: Access) -> Member:
    """The member at `host`, now."""
    with Connection(host, PORT, access) as connection:
        return member(connection.info("replication"))


def wait(
    host: str,
    access: Access,
    fit: Callable[[Member], bool],
    timeout: float,
    sleep: Callable[[float], None] = time.sleep,
) -> Member:
    """Poll until the member at `host` is `fit`. :raises RedisError: with what was last seen."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            seen = look(host, access)
            if fit(seen):
                return seen
            told = "it is primary" if seen.primary else f"it is a replica of {seen.follows}, without a link"
        except RedisError as error:
            told = str(error)
        if time.monotonic() > deadline:
            raise RedisError(f"the member at {host} was not ready within {timeout:.0f} s: {told}")
        sleep(0.25)


def primary_address(sentinel: Connection, service: str) -> str:
    """Who is primary, as Sentinel has it."""
    answer = sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
    if not answer:
        raise RedisError(f"Sentinel watches no service {service}: run site.yml on the group redis first")
    return str(answer[0])


@dataclass(frozen=True)
class Switch:
    """How a planned failover went."""

    former: str
    primary: str
    seconds: float


def switch(
    sentinel_host: str,
    service: str,
    access: Access,
    timeout: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Switch:
    """Make a replica primary and lose no acknowledged write.

    Writes wait while the replicas catch up and Sentinel promotes one; then the former primary follows it, and its
    clients are sent away to ask for the new one. :raises RedisError: writes go on at the former primary.
    """
    with Connection(sentinel_host, SENTINEL_PORT, access) as sentinel:
        former = primary_address(sentinel, service)
        with Connection(former, PORT, access) as old:
            if not member(old.info("replication")).replicas:
                raise RedisError(
                    f"the primary {former} has no replica that could take its place: mend the replicas first"
                )
            start = time.monotonic()
            old.call("CLIENT", "PAUSE", str(PAUSE_MS), "WRITE")
            try:
                sentinel.call("SENTINEL", "FAILOVER", service)
                while (new := primary_address(sentinel, service)) == former:
                    if time.monotonic() - start > timeout:
                        raise RedisError(f"Sentinel promoted nobody in {timeout:.0f} s; {former} stays primary")
                    sleep(0.05)
                old.call("REPLICAOF", new, str(PORT))
            finally:
                old.call("CLIENT", "UNPAUSE")
            old.call("CLIENT", "KILL", "TYPE", "normal")
        return Switch(former, new, round(time.monotonic() - start, 2))
