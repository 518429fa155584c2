"""What the agent's tools may reach, and everything else that they are asked for."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from aigo.agent import Refused
from aigo.agent.sources import PostgresSource
from aigo.agent.web import AllowedWeb
from aigo.config.material import Web
from aigo.config.schema import Source


class Pages(BaseHTTPRequestHandler):
    """A small web."""

    asked: list[str]

    def do_GET(self) -> None:
        """Answer by path."""
        self.asked.append(f"{self.headers['Host']}{self.path}")
        kind, body, status, location = "text/plain", b"hello", 200, None
        match self.path:
            case "/html":
                kind = "text/html; charset=utf-8"
                body = "<head><title>t</title></head><p>Grüße<script>alert(1)</script> &amp; more</p>".encode()
            case "/image":
                kind = "image/png"
            case "/long":
                body = b"x" * 100_000
            case "/missing":
                status = 404
            case "/to-hello":
                status, location = 302, "/hello"
            case "/loop":
                status, location = 302, "/loop"
            case "/to-private":
                status, location = 302, "http://169.254.169.254/latest"
            case "/to-other":
                status, location = 301, f"http://127.0.0.1:{self.server.server_port}/hello"  # type: ignore[attr-defined]
            case "/to-file":
                status, location = 302, "file:///etc/passwd"
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def pages() -> Iterator[tuple[int, list[str]]]:
    """Serve on a free port; yields it and what was asked."""
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Pages,), {"asked": asked}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1], asked
    finally:
        server.shutdown()
        server.server_close()


def web(port: int, networks: tuple[str, ...] = ("127.0.0.0/8",), **more: Any) -> AllowedWeb:
    return AllowedWeb(Web(allow=[f"http://localhost:{port}", "*.example.org"], networks=list(networks), **more))


async def test_an_allowed_page_is_read_as_text(pages: tuple[int, list[str]]) -> None:
    port, asked = pages
    tool = web(port)
    assert await tool.get(f"http://localhost:{port}/hello?a=1") == "hello"
    assert await tool.get(f"http://LOCALHOST.:{port}/html") == "Grüße & more"
    assert await tool.get(f"http://localhost:{port}/to-hello") == "hello"
    assert asked[0] == f"localhost:{port}/hello?a=1"
    text = await web(port, max_bytes=1024).get(f"http://localhost:{port}/long")
    assert text == "x" * 1024 + "\n… (there is more)"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/to-private", "not on this site's list"),
        ("/to-other", "not on this site's list"),
        ("/to-file", "only addresses of the form"),
        ("/loop", "too many redirects"),
        ("/missing", "answered 404"),
        ("/image", "which is no text"),
    ],
)
async def test_what_an_allowed_page_leads_to_is_checked_as_well(
    pages: tuple[int, list[str]], path: str, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        await web(pages[0]).get(f"http://localhost:{pages[0]}{path}")
    assert {entry.partition("/")[0] for entry in pages[1]} == {f"localhost:{pages[0]}"}


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f.1:{port}/",
        "http://localhost:{port}@169.254.169.254/",
        "http://user:password@localhost:{port}/",
        "http://localhost.evil.example:{port}/",
        "http://evil-example.org/",
        "https://example.org/",
        "https://localhost:{port}/",
        "http://localhost:1/",
        "ftp://localhost:{port}/",
        "file:///etc/passwd",
        "gopher://localhost:{port}/_",
        "//localhost:{port}/",
        "http://",
        "http://localhost:99999/",
        "",
    ],
)
async def test_everything_else_is_refused_without_asking(pages: tuple[int, list[str]], url: str) -> None:
    with pytest.raises(Refused):
        await web(pages[0]).get(url.format(port=pages[0]))
    assert pages[1] == []


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Make the name server answer so, one answer a question, and keep the questions."""
    questions: list[str] = []

    async def lookup(host: str, port: int, **_: Any) -> list[Any]:
        questions.append(host)
        found = answers[min(len(questions), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup, raising=False)
    return questions


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
    ],
)
async def test_an_allowed_name_that_leads_inside_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    for answer in ([address], ["93.184.215.14", address]):
        questions = resolving(monkeypatch, answer)
        with pytest.raises(Refused, match="may not be read from here"):
            await web(1, networks=()).get("https://www.example.org/")
        assert questions == ["www.example.org"]


async def test_a_name_server_that_changes_its_mind_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, pages: tuple[int, list[str]]
) -> None:
    questions = resolving(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
    assert await web(pages[0]).get(f"http://localhost:{pages[0]}/hello") == "hello"
    assert questions == ["localhost"]


@pytest.fixture(scope="module")
def source(admin_dsn: str) -> Iterator[Source]:
    """A database with a table, and a role that may read it."""
    name, password = f"aigo_source_{secrets.token_hex(4)}", secrets.token_hex(16)
    known = conninfo_to_dict(admin_dsn)
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(password))
        )
    with psycopg.connect(admin_dsn, dbname=name, autocommit=True) as connection:
        connection.execute("CREATE TABLE sales (region text, amount integer); CREATE TABLE pay (amount integer)")
        connection.execute("INSERT INTO sales SELECT 'region ' || n % 3, n FROM generate_series(1, 300) n")
        # Even a role that may write is held back.
        connection.execute(sql.SQL("GRANT ALL ON sales TO {}").format(sql.Identifier(name)))
    try:
        yield Source(
            name="sales",
            description="sales by region",
            hosts=[f"{known.get('host')}:{known.get('port', 5432)}"],
            database=name,
            user=name,
            password=SecretStr(password),
            roles=["admin"],
            users=["Uwe"],
            statement_seconds=1,
            max_rows=5,
        )
    finally:
        with psycopg.connect(admin_dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


async def test_a_source_answers_one_select(source: Source) -> None:
    tool = PostgresSource(source)
    statement = "SELECT region, sum(amount) AS total FROM sales WHERE region LIKE 'region%' GROUP BY region ORDER BY 1;"
    assert (await tool.query(statement)).splitlines()[0] == '{"region":"region 0","total":15150}'
    assert await tool.query("WITH few AS (SELECT 1 AS one) SELECT * FROM few -- as it is") == '{"one":1}'
    assert await tool.query("SELECT 1 WHERE false") == "There are no rows."
    many = await tool.query("SELECT * FROM sales")
    assert len(many.splitlines()) == 6
    assert many.endswith("(there is more)")
    assert len(await tool.query("SELECT repeat('x', 500000) AS wide")) < 5000


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM sales",
        "INSERT INTO sales VALUES ('x', 1)",
        "WITH gone AS (DELETE FROM sales RETURNING *) SELECT * FROM gone",
        "SELECT 1; DELETE FROM sales",
        "COMMIT; DELETE FROM sales",
        "SELECT 1) q; COMMIT; DELETE FROM sales; --",
        "SELECT 1) q UNION ALL SELECT repeat('x', 50000000) --",
        "SELECT * FROM sales FOR UPDATE",
        "SELECT * INTO taken FROM sales",
        "SELECT * FROM pay",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_create(1)",
        "SET transaction_read_only = off",
        "COPY sales TO PROGRAM 'id'",
        "SELECT * FROM nothing",
        "",
    ],
)
async def test_a_source_refuses_everything_else(source: Source, admin_dsn: str, statement: str) -> None:
    with pytest.raises(Refused):
        await PostgresSource(source).query(statement)
    with psycopg.connect(admin_dsn, dbname=source.database) as connection:
        assert connection.execute("SELECT count(*) FROM sales").fetchall() == [(300,)]


async def test_a_source_has_its_time_and_its_people(source: Source) -> None:
    tool = PostgresSource(source)
    with pytest.raises(Refused, match="longer than 1 s"):
        await tool.query("SELECT pg_sleep(30)")
    assert [tool.granted("ada", "admin"), tool.granted("UWE", "user"), tool.granted("bob", "user")] == [
        True,
        True,
        False,
    ]
    away = PostgresSource(source.model_copy(update={"hosts": ["127.0.0.1:1"]}))
    with pytest.raises(Refused, match="can't be reached"):
        await away.query("SELECT 1")
