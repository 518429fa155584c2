# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database with its roles, schema, extensions and privileges: from what is there to what is wanted, as SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ansible_collections.aigo.onprem.plugins.module_utils import _scram

# PostgreSQL's letters in the order of its own catalogue, so that messages read the same at each run.
TABLE = ("SELECT", "INSERT", "UPDATE", "DELETE")
SEQUENCE = ("SELECT", "USAGE")
PUBLIC = "PUBLIC"
# Attributes that none of our roles has.
FORBIDDEN = ("SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS")


class DatabaseError(Exception):
    """What is asked for cannot be had; the text says why."""


@dataclass(frozen=True)
class Login:
    """A role that logs in; without a password only by the local socket."""

    name: str
    password: str | None = None


@dataclass(frozen=True)
class Wanted:
    """All that the module keeps. `extensions` maps a name to the schema that it lives in."""

    database: str
    schema: str
    owner: Login
    writers: tuple[Login, ...] = ()
    monitors: tuple[str, ...] = ()
    extensions: Mapping[str, str] = field(default_factory=dict)
    passwords: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Role:
    """A role as the server has it."""

    login: bool
    attributes: frozenset[str] = frozenset()
    verifier: str | None = None
    member_of: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Cluster:
    """What every database of the server shares. Privileges are (grantee, privilege)."""

    roles: Mapping[str, Role] = field(default_factory=dict)
    database_owner: str | None = None
    database_privileges: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Extension:
    """An extension: its version (None: not installed), and the version that the packages offer (None: not there)."""

    installed: str | None
    offered: str | None


@dataclass(frozen=True)
class Content:
    """What the database itself holds.

    `defaults` are the privileges that new objects of the owner get in the schema: (kind r or S, grantee, privilege).
    `lacking` are (kind, grantee) whose present objects miss a privilege.
    """

    schema_owner: str | None = None
    schema_privileges: frozenset[tuple[str, str]] = frozenset()
    extensions: Mapping[str, Extension] = field(default_factory=dict)
    defaults: frozenset[tuple[str, str, str]] = frozenset()
    lacking: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Statement:
    """SQL, and how to say it to people without a secret."""

    sql: str
    summary: str


def ident(name: str) -> str:
    """Quote an identifier."""
    if not name or "\0" in name or len(name.encode()) > 63:
        raise DatabaseError(f"{name!r} is no name for PostgreSQL: it takes 1 to 63 bytes")
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text; a backslash in it is taken literally, as standard_conforming_strings has it."""
    if "\0" in text:
        raise DatabaseError("a value holds a NUL character")
    return "'" + text.replace("'", "''") + "'"


def _verifier(name: str, password: str) -> str:
    try:
        return literal(_scram.verifier(password))
    except ValueError as error:
        raise DatabaseError(
            f"the password of {name} {error}: give it another (letters and digits serve best)"
        ) from error


def _login(login: Login, present: Role | None) -> Iterable[Statement]:
    name = ident(login.name)
    if present is None:
        secret = f" PASSWORD {_verifier(login.name, login.password)}" if login.password else ""
        yield Statement(f"CREATE ROLE {name} LOGIN{secret}", f"create role {login.name}")
        return
    unwanted = [a for a in FORBIDDEN if a in present.attributes]
    if unwanted or not present.login:
        words = " ".join(["LOGIN", *(f"NO{a}" for a in unwanted)])
        yield Statement(f"ALTER ROLE {name} {words}", f"make role {login.name} {words}")
    if login.password is not None:
        yield from _password(login.name, login.password, present)
    elif present.verifier is not None:
        yield Statement(f"ALTER ROLE {name} PASSWORD NULL", f"remove the password of role {login.name}")


def _password(name: str, password: str, present: Role) -> Iterable[Statement]:
    if not _scram.matches(password, present.verifier):
        sql = f"ALTER ROLE {ident(name)} PASSWORD {_verifier(name, password)}"
        yield Statement(sql, f"set the password of role {name}")


def plan_cluster(wanted: Wanted, current: Cluster) -> list[Statement]:
    """Roles, memberships, the database and who may connect to it."""
    steps: list[Statement] = []
    for login in (wanted.owner, *wanted.writers, *(Login(m) for m in wanted.monitors)):
        steps.extend(_login(login, current.roles.get(login.name)))
    for name, password in wanted.passwords.items():
        if name not in current.roles:
            raise DatabaseError(f"there is no role {name} whose password could be set: Patroni makes it at bootstrap")
        steps.extend(_password(name, password, current.roles[name]))
    for name in wanted.monitors:
        role = current.roles.get(name)
        if role is None or "pg_monitor" not in role.member_of:
            steps.append(
                Statement(f"GRANT pg_monitor TO {ident(name)}", f"let role {name} read the server's statistics")
            )
    database = ident(wanted.database)
    if current.database_owner is None:
        steps.append(Statement(f"CREATE DATABASE {database}", f"create database {wanted.database}"))
    # A new database lets everybody connect, and its privileges cannot be read before it is there.
    extra = sorted(p for g, p in current.database_privileges if g == PUBLIC)
    if extra or current.database_owner is None:
        sql = f"REVOKE ALL ON DATABASE {database} FROM PUBLIC"
        steps.append(Statement(sql, f"close database {wanted.database} to everybody"))
    for name in (wanted.owner.name, *(w.name for w in wanted.writers), *wanted.monitors):
        if (name, "CONNECT") not in current.database_privileges:
            sql = f"GRANT CONNECT ON DATABASE {database} TO {ident(name)}"
            steps.append(Statement(sql, f"let role {name} connect to {wanted.database}"))
    return steps


def _extensions(wanted: Wanted, current: Content) -> Iterable[Statement]:
    for name, schema in wanted.extensions.items():
        found = current.extensions.get(name, Extension(None, None))
        if found.offered is None:
            raise DatabaseError(f"the server offers no extension {name}: install its package on every member")
        if found.installed is None:
            yield Statement(f"CREATE EXTENSION {ident(name)} SCHEMA {ident(schema)}", f"create extension {name}")
        elif found.installed != found.offered:
            sql = f"ALTER EXTENSION {ident(name)} UPDATE TO {literal(found.offered)}"
            yield Statement(sql, f"update extension {name} from {found.installed} to {found.offered}")


def plan_content(wanted: Wanted, current: Content) -> list[Statement]:
    """The schema, its extensions, and what the writers may do in it now and with tables to come."""
    steps: list[Statement] = []
    schema, owner = ident(wanted.schema), ident(wanted.owner.name)
    if current.schema_owner is None:
        sql = f"CREATE SCHEMA {schema} AUTHORIZATION {owner}"
        steps.append(Statement(sql, f"create schema {wanted.schema}"))
    elif current.schema_owner != wanted.owner.name:
        sql = f"ALTER SCHEMA {schema} OWNER TO {owner}"
        steps.append(Statement(sql, f"give schema {wanted.schema} to role {wanted.owner.name}"))
    steps.extend(_extensions(wanted, current))
    for writer in (w.name for w in wanted.writers):
        role = ident(writer)
        if (writer, "USAGE") not in current.schema_privileges:
            steps.append(
                Statement(f"GRANT USAGE ON SCHEMA {schema} TO {role}", f"let role {writer} use schema {wanted.schema}")
            )
        for kind, objects, privileges in (("r", "TABLES", TABLE), ("S", "SEQUENCES", SEQUENCE)):
            words = ", ".join(privileges)
            if (kind, writer) in current.lacking:
                sql = f"GRANT {words} ON ALL {objects} IN SCHEMA {schema} TO {role}"
                steps.append(Statement(sql, f"give role {writer} {words} on present {objects.lower()}"))
            if any((kind, writer, p) not in current.defaults for p in privileges):
                sql = (
                    f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT {words} ON {objects} TO {role}"
                )
                steps.append(Statement(sql, f"give role {writer} {words} on future {objects.lower()}"))
    return steps
