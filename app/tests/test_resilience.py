"""What happens when something goes away: Redis, PostgreSQL, a process, the whole generation of processes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from .chat import ask, conversation, events, numbers, text_of
from .site import Process, Site, wait_for
from .test_socket import receive, signed_in, token


@contextmanager
def without_redis(site: Site) -> Iterator[None]:
    """Cut the wire to Redis for the block."""
    site.redis.cut()
    try:
        yield
    finally:
        site.redis.mend()


async def test_streams_go_on_when_redis_is_killed_in_the_middle(site: Site, ada: httpx2.Client) -> None:
    runs = [ask(ada, conversation(ada), "count to 120")["id"] for _ in range(4)]
    followers = [iter(events(ada, runs[0]))]
    told: list[list[dict[str, Any]]] = [[next(followers[0])]]

    def follow(run_id: str) -> list[dict[str, Any]]:
        with httpx2.Client(base_url=site.url, headers=ada.headers, timeout=30) as fresh:
            return list(events(fresh, run_id))

    others = [asyncio.create_task(asyncio.to_thread(follow, run_id)) for run_id in runs for _ in range(2)]
    async with signed_in(site, ada) as websocket:
        await websocket.send(json.dumps({"type": "resume", "run_id": runs[1]}))
        first = [json.loads(await websocket.recv())]
        with without_redis(site):
            assert ada.get("/ready").json()["status"] == "degraded"
            assert ada.get("/ready").status_code == 200
            assert ada.get("/api/v1/auth/me").status_code == 200
            over_websocket = first + await receive(websocket, "run.completed")
            told += [await other for other in others]
    told[0] += list(followers[0])
    assert {text_of(stream) for stream in [*told, over_websocket]} == {numbers(120)}
    for stream in told:
        assert [event["sequence"] for event in stream] == list(range(1, len(stream) + 1))
    wait_for("Redis is used again", lambda: ada.get("/ready").json()["status"] == "ready")


def test_a_stream_that_redis_has_only_in_part_is_completed_from_postgresql(site: Site, ada: httpx2.Client) -> None:
    run = ask(ada, conversation(ada), "count to 100")
    with without_redis(site):
        stream = iter(events(ada, run["id"]))
        seen = [next(stream) for _ in range(30)]
    seen += list(stream)
    assert text_of(seen) == numbers(100)
    for _ in range(4):
        with httpx2.Client(base_url=site.url, headers=ada.headers) as fresh:
            assert text_of(list(events(fresh, run["id"], after=2))) == text_of(seen[2:])


def test_a_serving_process_that_dies_is_replaced(site: Site, server: Process, ada: httpx2.Client) -> None:
    before = server.children()
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    wait_for("two processes serve again", lambda: len(server.children()) == 2 and server.children() != before)
    wait_for("the new one is ready", lambda: ada.get("/ready").json()["status"] == "ready")


def test_without_postgresql_requests_are_refused_politely(
    tmp_path: Path, admin_dsn: str, redis_url: str, site: Site
) -> None:
    away = Site(tmp_path / "etc", admin_dsn, {"hosts": ["127.0.0.1:1"]}, site.redis)
    (away.directory / "secrets").mkdir(parents=True)
    away.secret("auth.token_secret", "x" * 32)
    away.configure(server={"processes": 1})
    with away.process("serve"), away.client() as client:
        assert client.get("/health").status_code == 200
        ready = client.get("/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        answer = client.post("/api/v1/auth/login", json={"name": "ada", "password": "x"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.json()["code"] == "unavailable"


@contextmanager
def shared_sockets(site: Site) -> Iterator[list[socket.socket]]:
    """Open the two listening sockets that generations of the server share."""
    sockets = [socket.create_server(("127.0.0.1", port), backlog=2048) for port in site.ports]
    try:
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


class Load:
    """Clients that ask as fast as they get answers, on kept connections."""

    def __init__(self, url: str, credential: str, clients: int) -> None:
        self.done, self.failures = 0, list[str]()
        self._url, self._headers = url, {"Authorization": f"Bearer {credential}"}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with httpx2.Client(base_url=self._url, headers=self._headers, timeout=60) as client:
            while not self._stop.is_set():
                try:
                    answer = client.post("/api/v1/conversations", json={"title": "load"})
                    if answer.status_code != 201:
                        self.failures.append(answer.text)
                except httpx2.HTTPError as error:
                    self.failures.append(repr(error))
                self.done += 1
                # Bounded: the test measures losses, not speed.
                time.sleep(0.01)


async def test_a_restart_under_load_fails_no_request_and_cuts_no_answer(site: Site, ada: httpx2.Client) -> None:
    second = Site(site.directory, site.admin_dsn, site.database, site.redis)
    with (
        shared_sockets(second) as sockets,
        Load(second.url, token(ada), 4) as load,
        second.process("serve", sockets=sockets) as old,
    ):
        wait_for("the old generation is busy", lambda: load.done > 100)
        with httpx2.Client(base_url=second.url, headers=ada.headers, timeout=30) as client:
            run = ask(client, conversation(client), "count to 200")
            stream = iter(events(client, run["id"]))
            seen = [next(stream)]
            async with signed_in(second, ada) as idle:
                with second.process("serve", sockets=sockets):
                    old.popen.send_signal(signal.SIGTERM)
                    with pytest.raises(ConnectionClosed) as closed:
                        await asyncio.wait_for(idle.recv(), 20)
                    assert closed.value.rcvd is not None
                    assert closed.value.rcvd.code == 1012
                    seen += list(stream)
                    assert old.popen.wait(30) == 0
                    mark = load.done
                    wait_for("the new generation alone is busy", lambda: load.done > mark + 100)
                    load.__exit__()
    assert load.failures == []
    assert text_of(seen) == numbers(200)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for the loopback address, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    pem, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost"
    command += f" -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {pem}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return pem, key


async def test_with_tls_and_under_systemd_a_run_that_outlasts_the_drain_is_ended_as_interrupted(
    tmp_path: Path, site: Site, ada: httpx2.Client, certificate: tuple[Path, Path]
) -> None:
    shutil.copytree(site.directory / "secrets", tmp_path / "secrets")
    second = Site(tmp_path, site.admin_dsn, site.database, site.redis)
    second.configure(server={"drain_seconds": 3, "processes": 1})
    context = ssl.create_default_context(cafile=str(certificate[0]))
    url = second.url.replace("http", "https")
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(tmp_path / "notify"))
    notify.settimeout(20)
    systemd = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
    arguments = ["serve", "--ssl-cert", str(certificate[0]), "--ssl-key", str(certificate[1])]
    with notify, shared_sockets(second) as sockets, second.process(*arguments, sockets=sockets, **systemd) as process:
        async with connect(
            second.ws_url.replace("ws:", "wss:"),
            ssl=context,
            additional_headers={"Authorization": f"Bearer {token(ada)}"},
        ) as websocket:
            assert json.loads(await websocket.recv())["type"] == "authenticated"
        with httpx2.Client(base_url=url, headers=ada.headers, verify=context, timeout=30) as client:
            run = ask(client, conversation(client), "count to 5000")
            stream = iter(events(client, run["id"]))
            seen = [next(stream), next(stream)]
            process.popen.send_signal(signal.SIGTERM)
            seen += list(stream)
        assert process.popen.wait(30) == 0
        told = [notify.recv(200)]
        while told[-1] != b"STOPPING=1":
            told.append(notify.recv(200))
    assert told[0].startswith(b"READY=1")
    assert b"WATCHDOG=1" in told
    assert seen[-1]["data"]["error"]["code"] == "interrupted"
    assert seen[-1]["data"]["error"]["retryable"] is True
    messages = ada.get(f"/api/v1/conversations/{run['conversation_id']}/messages").json()
    assert messages[-1]["content"] == text_of(seen)


def test_a_start_that_cannot_work_ends_with_a_sentence(tmp_path: Path, site: Site, server: Process) -> None:
    broken = Site(tmp_path, site.admin_dsn, site.database, site.redis)
    (tmp_path / "secrets").mkdir()
    broken.configure()
    for where, sentence in ((broken, "auth.token_secret is missing"), (site, "can't be bound")):
        answer = where.run("serve")
        assert answer.returncode == 1
        assert sentence in answer.stderr
        assert "Traceback" not in answer.stderr
