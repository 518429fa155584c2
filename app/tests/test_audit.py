"""The audit log: what is written, who reads it, and that tampering shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from aigo.audit.log import AuditLog
from aigo.auth.origin import Origin
from aigo.auth.permissions import PERMISSIONS

from .inprocess import Served, served
from .site import Site

HERE = Origin("192.0.2.7")


@pytest_asyncio.fixture(scope="module")
async def app(inner_site: Site) -> AsyncIterator[Served]:
    async with served(inner_site) as app:
        yield app


async def note(app: Served, number: int = 3) -> None:
    for index in range(number):
        await app.runtime.audit.record("test", actor=(None, "tester"), origin=HERE, index=index, text="ä\x00'\"")


def tampered(site: Site, statement: str) -> list[tuple[Any, ...]]:
    """Do what only the database's superuser can: change the log behind its guard."""
    return site.sql(f"SET session_replication_role = replica; {statement}; SET session_replication_role = DEFAULT")


async def test_entries_chain_and_a_head_noted_elsewhere_is_found_again(app: Served, inner_site: Site) -> None:
    await note(app)
    verdict = await app.runtime.audit.verify()
    assert verdict.problem is None
    assert verdict.entries == verdict.sequence
    await note(app, 1)
    assert (await app.runtime.audit.verify((verdict.sequence, verdict.hash))).problem is None
    printed = inner_site.run("audit", "verify", "--expect", f"{verdict.sequence}:{verdict.hash}")
    assert printed.returncode == 0, printed.stderr
    assert json.loads(printed.stdout)["entries"] == verdict.entries + 1
    assert inner_site.run("audit", "verify", "--expect", "17").returncode == 1


async def test_writers_on_all_sides_make_one_chain(app: Served) -> None:
    before = (await app.runtime.audit.verify()).sequence
    await asyncio.gather(*(note(app, 2) for _ in range(10)))
    after = await app.runtime.audit.verify()
    assert (after.problem, after.sequence) == (None, before + 20)


@pytest.mark.parametrize(
    ("statement", "undo", "told"),
    [
        (
            "UPDATE audit_log SET actor_name = 'someone else' WHERE sequence = 2",
            "UPDATE audit_log SET actor_name = 'tester' WHERE sequence = 2",
            "entry 2 was changed",
        ),
        (
            "UPDATE audit_log SET details = '{}' WHERE sequence = 2",
            "UPDATE audit_log SET details = (SELECT details FROM kept WHERE sequence = 2) WHERE sequence = 2",
            "entry 2 was changed",
        ),
        (
            "DELETE FROM audit_log WHERE sequence = 2",
            "INSERT INTO audit_log SELECT * FROM kept WHERE sequence = 2",
            "entry 2 is missing before entry 3",
        ),
        (
            "INSERT INTO audit_log SELECT 0, at, actor_id, actor_name, action, target, outcome, address, request_id,"
            " details, previous_hash, hash FROM audit_log WHERE sequence = 1",
            "DELETE FROM audit_log WHERE sequence = 0",
            "an entry has been added before entry 0",
        ),
        (
            "UPDATE audit_log SET hash = sha256(hash) WHERE sequence = 2",
            "UPDATE audit_log SET hash = (SELECT hash FROM kept WHERE sequence = 2) WHERE sequence = 2",
            "entry 2 was changed",
        ),
    ],
)
async def test_a_change_by_the_databases_owner_shows(
    app: Served, inner_site: Site, statement: str, undo: str, told: str
) -> None:
    await note(app)
    inner_site.sql("DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT * FROM audit_log")
    undo = undo.replace("'tester'", "(SELECT actor_name FROM kept WHERE sequence = 2)")
    tampered(inner_site, statement)
    try:
        problem = (await app.runtime.audit.verify()).problem
    finally:
        tampered(inner_site, undo)
    assert problem is not None
    assert problem.startswith(told)
    assert (await app.runtime.audit.verify()).problem is None


async def test_an_end_that_was_cut_off_or_rewritten_shows_against_a_noted_head(app: Served, inner_site: Site) -> None:
    await note(app)
    head = await app.runtime.audit.verify()
    tampered(inner_site, f"DELETE FROM audit_log WHERE sequence = {head.sequence}")
    assert (await app.runtime.audit.verify()).problem is None
    missing = inner_site.run("audit", "verify", "--expect", f"{head.sequence}:{head.hash}")
    assert missing.returncode == 1
    assert f"tampered with: entry {head.sequence} is missing" in missing.stderr
    await note(app, 1)
    rewritten = await app.runtime.audit.verify((head.sequence, head.hash))
    assert rewritten.problem == f"entry {head.sequence} isn't the one that was seen earlier"


async def test_the_service_itself_can_only_add(inner_site: Site) -> None:
    password = (inner_site.directory / "secrets" / "database.password").read_text()
    host, port = inner_site.database["hosts"][0].split(":")
    options = {"dbname": inner_site.database["name"], "user": inner_site.database["user"], "password": password}
    with psycopg.connect(host=host, port=port, options="-c search_path=aigo", autocommit=True, **options) as connection:
        for statement in ("UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql.SQL(statement))


async def test_what_people_do_is_written_down_and_only_auditors_and_administrators_read_it(app: Served) -> None:
    await app.login("uwe", "not the password")
    await app.login("pass word typed as a name", "x")
    async with await app.signed_in("uwe") as uwe:
        key = (await uwe.post("/api/v1/keys", json={"name": "k"})).json()
        await uwe.delete(f"/api/v1/keys/{key['id']}")
        assert (await uwe.get("/api/v1/audit")).status_code == 403
    async with await app.signed_in("olga") as olga:
        assert (await olga.post("/api/v1/users", json={})).status_code == 403
        entries = (await olga.get("/api/v1/audit", params={"actor": "UWE", "limit": 10})).json()
        told = [(entry["action"], entry["outcome"]) for entry in entries[:4]]
        assert told == [
            ("key.revoke", "success"),
            ("key.create", "success"),
            ("login", "success"),
            ("login", "failure"),
        ]
        assert entries[0]["address"] == "192.0.2.1"
        assert entries[0]["target"] == key["id"]
        assert entries[0]["request_id"].startswith("req-")
        page = (await olga.get("/api/v1/audit", params={"before": entries[2]["sequence"], "actor": "uwe"})).json()
        assert page[0]["sequence"] == entries[3]["sequence"]
        logins = (await olga.get("/api/v1/audit", params={"action": "login", "limit": 1000})).json()
        assert {entry["action"] for entry in logins} == {"login"}
        assert "typed as a name" not in json.dumps(logins)
        assert (await olga.get("/api/v1/audit", params={"before": 0})).status_code == 422
        assert (await olga.get("/api/v1/auth/me")).json()["permissions"] == sorted(PERMISSIONS["auditor"])


async def test_commands_are_written_down_too(app: Served, inner_site: Site) -> None:
    assert inner_site.run("user", "disable", "nobody-there").returncode == 1
    made = inner_site.run("key", "create", "uwe", "from the command line", "--scope", "chat", "--days", "1")
    assert json.loads(made.stdout)["scopes"] == ["chat"]
    audit: AuditLog = app.runtime.audit
    entry = (await audit.page(1, None, None, None))[0]
    assert (entry["action"], entry["target"]) == ("key.create", json.loads(made.stdout)["id"])
    assert entry["actor_name"].startswith("command line: ")
