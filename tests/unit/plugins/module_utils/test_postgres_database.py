"""What a server lacks becomes SQL; what it has does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils import _postgres_database as database
from ansible_collections.aigo.onprem.plugins.module_utils import _scram

WANTED = database.Wanted(
    database="aigo",
    schema="aigo",
    owner=database.Login("aigo_owner", "owner-secret"),
    writers=(database.Login("aigo_app", "app-secret"),),
    monitors=("aigo_monitor",),
    extensions={"vector": "aigo"},
    passwords={"replicator": "replication-secret"},
)
CLUSTER = database.Cluster(
    roles={
        "aigo_owner": database.Role(True, verifier=_scram.verifier("owner-secret")),
        "aigo_app": database.Role(True, verifier=_scram.verifier("app-secret")),
        "aigo_monitor": database.Role(True, member_of=frozenset({"pg_monitor"})),
        "replicator": database.Role(True, frozenset({"REPLICATION"}), _scram.verifier("replication-secret")),
    },
    database_owner="postgres",
    database_privileges=frozenset(
        {("postgres", "CONNECT"), ("aigo_owner", "CONNECT"), ("aigo_app", "CONNECT"), ("aigo_monitor", "CONNECT")}
    ),
)
CONTENT = database.Content(
    schema_owner="aigo_owner",
    schema_privileges=frozenset({("aigo_owner", "USAGE"), ("aigo_app", "USAGE")}),
    extensions={"vector": database.Extension("0.8.0", "0.8.0")},
    defaults=frozenset(
        {("r", "aigo_app", p) for p in database.TABLE} | {("S", "aigo_app", p) for p in database.SEQUENCE}
    ),
)


def said(steps: list[database.Statement]) -> list[str]:
    return [step.summary for step in steps]


def role(name: str, **changes: Any) -> database.Cluster:
    return replace(CLUSTER, roles={**CLUSTER.roles, name: replace(CLUSTER.roles[name], **changes)})


def test_a_server_that_has_it_all_needs_nothing() -> None:
    assert database.plan_cluster(WANTED, CLUSTER) == []
    assert database.plan_content(WANTED, CONTENT) == []


def test_an_empty_server_gets_all_of_it() -> None:
    bare = database.Cluster(roles={"replicator": CLUSTER.roles["replicator"]})
    assert said(database.plan_cluster(WANTED, bare)) == [
        "create role aigo_owner",
        "create role aigo_app",
        "create role aigo_monitor",
        "let role aigo_monitor read the server's statistics",
        "create database aigo",
        "close database aigo to everybody",
        "let role aigo_owner connect to aigo",
        "let role aigo_app connect to aigo",
        "let role aigo_monitor connect to aigo",
    ]
    content = database.Content(extensions={"vector": database.Extension(None, "0.8.0")})
    assert said(database.plan_content(WANTED, content)) == [
        "create schema aigo",
        "create extension vector",
        "let role aigo_app use schema aigo",
        "give role aigo_app SELECT, INSERT, UPDATE, DELETE on future tables",
        "give role aigo_app SELECT, USAGE on future sequences",
    ]


@pytest.mark.parametrize(
    ("cluster", "summary"),
    [
        (role("aigo_app", verifier=_scram.verifier("former")), "set the password of role aigo_app"),
        (role("replicator", verifier="md5abc"), "set the password of role replicator"),
        (role("aigo_app", attributes=frozenset({"SUPERUSER"})), "make role aigo_app LOGIN NOSUPERUSER"),
        (role("aigo_owner", login=False), "make role aigo_owner LOGIN"),
        (role("aigo_monitor", verifier="md5abc"), "remove the password of role aigo_monitor"),
        (role("aigo_monitor", member_of=frozenset()), "let role aigo_monitor read the server's statistics"),
        (
            replace(CLUSTER, database_privileges=CLUSTER.database_privileges | {("PUBLIC", "TEMPORARY")}),
            "close database aigo to everybody",
        ),
    ],
)
def test_what_was_changed_by_hand_is_put_right(cluster: database.Cluster, summary: str) -> None:
    assert said(database.plan_cluster(WANTED, cluster)) == [summary]


@pytest.mark.parametrize(
    ("content", "summary"),
    [
        (replace(CONTENT, schema_owner="postgres"), "give schema aigo to role aigo_owner"),
        (
            replace(CONTENT, extensions={"vector": database.Extension("0.7.4", "0.8.0")}),
            "update extension vector from 0.7.4 to 0.8.0",
        ),
        (
            replace(CONTENT, lacking=frozenset({("r", "aigo_app")})),
            "give role aigo_app SELECT, INSERT, UPDATE, DELETE on present tables",
        ),
        (
            replace(CONTENT, defaults=CONTENT.defaults - {("S", "aigo_app", "USAGE")}),
            "give role aigo_app SELECT, USAGE on future sequences",
        ),
    ],
)
def test_what_drifted_inside_is_put_right(content: database.Content, summary: str) -> None:
    assert said(database.plan_content(WANTED, content)) == [summary]


def test_no_password_is_in_any_statement_or_message() -> None:
    steps = database.plan_cluster(WANTED, database.Cluster(roles={"replicator": database.Role(True)}))
    assert any("SCRAM-SHA-256$" in step.sql for step in steps)
    assert not any("-secret" in step.sql + step.summary for step in steps)


def test_a_missing_extension_names_the_package_as_the_mend() -> None:
    with pytest.raises(database.DatabaseError, match="no extension vector: install its package"):
        database.plan_content(WANTED, replace(CONTENT, extensions={}))


def test_a_password_of_a_role_that_patroni_has_not_made_is_an_error() -> None:
    with pytest.raises(database.DatabaseError, match="no role replicator"):
        database.plan_cluster(WANTED, database.Cluster())


def test_a_password_beyond_ascii_names_the_role() -> None:
    with pytest.raises(database.DatabaseError, match="aigo_owner must be printable ASCII"):
        database.plan_cluster(replace(WANTED, owner=database.Login("aigo_owner", "pässword")), CLUSTER)


def test_names_and_texts_are_quoted() -> None:
    assert database.ident('a"b') == '"a""b"'
    assert database.literal("it's") == "'it''s'"


@pytest.mark.parametrize("name", ["", "x" * 64, "a\0b"])
def test_a_name_that_postgresql_would_cut_or_refuse_is_an_error(name: str) -> None:
    with pytest.raises(database.DatabaseError):
        database.ident(name)
