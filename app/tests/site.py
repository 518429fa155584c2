"""What the tests stand on: a site with a database of its own, its commands and processes, a cuttable wire."""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

AIGO = Path(sys.executable).parent / "aigo"
PASSWORD = "correct horse battery"
_LAUNCHER = """
import os, sys
fds = [os.dup(int(fd)) for fd in sys.argv[1:3]]
for number, fd in enumerate([os.dup(fd) for fd in fds]):
    os.dup2(fd, 3 + number)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "api:ws"}
os.execv(sys.argv[3], sys.argv[3:])
"""


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 30) -> Any:
    """Poll until the condition is true; fail with what was waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"in vain: {what}")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Wire:
    """A TCP relay to a real server, which can be cut and mended."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.port = free_port()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener: socket.socket | None = None
        self.mend()

    def mend(self) -> None:
        """Accept connections (again)."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Refuse new connections and break those that are there."""
        assert self._listener is not None
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for pair in self._pairs:
            for sock in pair:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                pair = (near, socket.create_connection(self._target))
                self._pairs.append(pair)
                threading.Thread(target=self._relay, args=pair, daemon=True).start()

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError), near, far:
            while True:
                for sock in select.select([near, far], [], [])[0]:
                    data = sock.recv(65536)
                    if not data:
                        return
                    (far if sock is near else near).sendall(data)


@dataclass
class Process:
    """A running ``aigo`` command."""

    popen: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """Return its log lines."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def children(self) -> list[int]:
        """Return the ids of the processes that it has forked."""
        path = Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def stop(self, seconds: float = 40) -> int:
        """Stop it gently and return its exit status."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(seconds)


@dataclass
class Site:
    """A configuration directory and what belongs to it."""

    directory: Path
    admin_dsn: str
    database: dict[str, Any]
    redis: Wire
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.ports[1]}/ws"

    def environment(self) -> dict[str, str]:
        return {**os.environ, "AIGO_CONFIG_DIR": str(self.directory), "AIGO_INSTANCE": "test"}

    def configure(self, **more: Any) -> None:
        """Write the configuration; sections given here are merged over the common ones."""
        config: dict[str, Any] = {
            "server": {"api_port": self.ports[0], "ws_port": self.ports[1], "processes": 2, "drain_seconds": 10},
            "database": self.database,
            "redis": {"nodes": [f"127.0.0.1:{self.redis.port}"]},
            "limits": {"enabled": False},
        }
        for section, values in more.items():
            config[section] = {**config.get(section, {}), **values} if isinstance(values, dict) else values
        (self.directory / "config.json").write_text(json.dumps(config))

    def secret(self, name: str, value: str) -> None:
        path = self.directory / "secrets" / name
        path.write_text(value)
        path.chmod(0o640)

    def run(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [AIGO, *arguments], input=text, capture_output=True, text=True, env=self.environment(), timeout=60
        )

    @contextmanager
    def process(
        self, *arguments: str, sockets: list[socket.socket] | None = None, **environment: str
    ) -> Iterator[Process]:
        """Run a command until the block ends."""
        log = self.directory / f"{arguments[0]}-{secrets.token_hex(4)}.log"
        command = [str(AIGO), *arguments]
        fds = [sock.fileno() for sock in sockets or []]
        if fds:
            command = [sys.executable, "-c", _LAUNCHER, *map(str, fds), *command]
        with log.open("wb") as output:
            popen = subprocess.Popen(
                command, stdout=output, stderr=output, env={**self.environment(), **environment}, pass_fds=fds
            )
        process = Process(popen, log)
        try:
            wait_for(f"{arguments[0]} is ready", lambda: self._ready(process))
            yield process
        finally:
            if popen.poll() is None:
                popen.terminate()
                try:
                    popen.wait(40)
                finally:
                    popen.kill()

    def _ready(self, process: Process) -> bool:
        assert process.popen.poll() is None, process.log.read_text()
        return any(line["message"] == "ready" for line in process.lines())

    @contextmanager
    def client(self, name: str | None = None) -> Iterator[httpx2.Client]:
        """Lend a client, signed in as that user."""
        with httpx2.Client(base_url=self.url, timeout=20) as client:
            if name:
                answer = client.post("/api/v1/auth/login", json={"name": name, "password": PASSWORD})
                client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            yield client

    def sql(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser."""
        dsn = psycopg.conninfo.make_conninfo(
            self.admin_dsn, dbname=self.database["name"], options="-c search_path=aigo"
        )
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def fresh_site(directory: Path, admin_dsn: str, redis_url: str) -> Iterator[Site]:
    """Make a database with an owner and a service role, the configuration for it, and drop it all afterwards."""
    suffix = secrets.token_hex(4)
    name, owner, app = (f"{part}_{suffix}" for part in ("aigo_test", "aigo_owner", "aigo_app"))
    passwords = {role: secrets.token_hex(16) for role in (owner, app)}
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        for role, password in passwords.items():
            statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(role), sql.Literal(password)))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner)))
    dsn = conninfo_to_dict(admin_dsn)
    hosts = [f"{dsn.get('host', '127.0.0.1')}:{dsn.get('port', 5432)}"]
    redis = urlsplit(redis_url)
    (directory / "secrets").mkdir(parents=True)
    database = {"hosts": hosts, "name": name, "user": app, "migration_user": owner, "pool_max": 8}
    wire = Wire(redis.hostname or "127.0.0.1", redis.port or 6379)
    site = Site(directory, admin_dsn, database, wire)
    site.secret("database.password", passwords[app])
    site.secret("database.migration_password", passwords[owner])
    site.secret("auth.token_secret", secrets.token_hex(32))
    if redis.password:
        site.secret("redis.password", redis.password)
    site.configure()
    try:
        yield site
    finally:
        with psycopg.connect(admin_dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            for role in (app, owner):
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
