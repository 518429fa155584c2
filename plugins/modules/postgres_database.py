#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database with its roles, schema, extensions and privileges, in one execution."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_database
short_description: Keep a database with its owner, writers, monitors and extensions
version_added: 0.1.0
description:
  - Keeps one database, the schema in it, the role that owns the schema, the roles that write to it, roles that only
    watch the server, and extensions, with the least privileges that serve them. Everybody else is shut out.
  - Connects by the server's Unix socket as the operating system's user O(login_user). Passwords are sent as SCRAM
    verifiers made on the host, so that they reach no log of the server.
  - Does in one execution what takes the modules of community.postgresql some fifteen.
author:
  - aigo.onprem maintainers (@aigo-onprem)
requirements:
  - psycopg2 on the host
options:
  name:
    description: The database. It belongs to O(login_user).
    type: str
    required: true
  schema:
    description: The schema, which belongs to O(owner).
    type: str
    required: true
  owner:
    description: The role that owns the schema and makes its tables.
    type: dict
    required: true
    suboptions: &login
      name:
        description: Name of the role.
        type: str
        required: true
      password:
        description: Its password, in printable ASCII.
        type: str
        required: true
  writers:
    description: Roles that read and write all tables of O(owner) in the schema, present and future.
    type: list
    elements: dict
    default: []
    suboptions: *login
  monitors:
    description: Roles without a password that read the server's statistics (C(pg_monitor)).
    type: list
    elements: str
    default: []
  extensions:
    description: Extensions to keep at the version that the packages offer, each with the schema that it lives in.
    type: dict
    default: {}
  passwords:
    description: Passwords of roles that exist already, such as Patroni's for replication, by name of the role.
    type: dict
    default: {}
  login_user:
    description: The superuser of the server, and the user of the operating system that may connect as it.
    type: str
    default: postgres
  login_socket:
    description: Directory of the server's Unix socket.
    type: path
    default: /run/postgresql
  port:
    description: The server's port.
    type: int
    default: 5432
attributes:
  check_mode:
    description: Reads only. Where the server does not answer yet, everything is predicted to be made.
    support: full
  diff_mode:
    description: Lists the steps, without secrets.
    support: full
"""

EXAMPLES = r"""
- name: Keep the application's database
  aigo.onprem.postgres_database:
    name: aigo
    schema: aigo
    owner: {name: aigo_owner, password: "{{ owner_password }}"}
    writers:
      - {name: aigo_app, password: "{{ app_password }}"}
    monitors: [aigo_monitor]
    extensions: {vector: aigo, pg_stat_statements: public}
"""

RETURN = r"""
steps:
  description: What was done, or would be done in check mode, one line each.
  returned: always
  type: list
  elements: str
  sample: [create role aigo_app, create database aigo]
"""

import contextlib
import os
import pwd
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.aigo.onprem.plugins.module_utils import _postgres_catalogue as catalogue
from ansible_collections.aigo.onprem.plugins.module_utils import _postgres_database as database

try:
    import psycopg2  # type: ignore[import-untyped]
except ImportError:
    psycopg2 = None


@contextlib.contextmanager
def _acting_as(user: str) -> Iterator[None]:
    """Take the user's identity: the server's socket asks the kernel who connects."""
    if os.geteuid() != 0:
        yield
        return
    entry = pwd.getpwnam(user)
    group = os.getegid()
    os.setegid(entry.pw_gid)
    os.seteuid(entry.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)


@contextlib.contextmanager
def _connection(params: dict[str, Any], name: str) -> Iterator[Any]:
    connection = psycopg2.connect(
        host=params["login_socket"],
        port=params["port"],
        user=params["login_user"],
        dbname=name,
        connect_timeout=5,
        application_name="ansible",
        options="-c statement_timeout=60000 -c lock_timeout=20000",
    )
    # CREATE DATABASE takes no transaction; the other steps stand for themselves, and the next run goes on after them.
    connection.autocommit = True
    try:
        yield connection
    finally:
        connection.close()


def _execute(connection: Any, steps: list[database.Statement]) -> None:
    with connection.cursor() as cursor:
        for step in steps:
            try:
                cursor.execute(step.sql)
            except psycopg2.Error as error:
                told = (error.pgerror or str(error)).strip()
                raise database.DatabaseError(f"cannot {step.summary}: {told}") from error


def _wanted(params: dict[str, Any]) -> database.Wanted:
    return database.Wanted(
        database=params["name"],
        schema=params["schema"],
        owner=database.Login(**params["owner"]),
        writers=tuple(database.Login(**w) for w in params["writers"]),
        monitors=tuple(params["monitors"]),
        extensions=params["extensions"],
        passwords=params["passwords"],
    )


def _predict(wanted: database.Wanted) -> list[database.Statement]:
    """Everything, as on a server that is not there yet; who makes it sets the passwords of its own roles."""
    wanted = replace(wanted, passwords={})
    offered = {name: database.Extension(None, "") for name in wanted.extensions}
    return [
        *database.plan_cluster(wanted, database.Cluster()),
        *database.plan_content(wanted, database.Content(extensions=offered)),
    ]


def _converge(module: AnsibleModule, wanted: database.Wanted) -> list[database.Statement]:
    with _connection(module.params, "postgres") as connection:
        cluster = catalogue.read_cluster(connection, wanted)
        steps = database.plan_cluster(wanted, cluster)
        if not module.check_mode:
            _execute(connection, steps)
        if module.check_mode and cluster.database_owner is None:
            return _predict(wanted)
    with _connection(module.params, wanted.database) as connection:
        inside = database.plan_content(wanted, catalogue.read_content(connection, wanted))
        if not module.check_mode:
            _execute(connection, inside)
    return steps + inside


def run(module: AnsibleModule) -> dict[str, Any]:
    """Bring the database to what the parameters say; in check mode only say how."""
    wanted = _wanted(module.params)
    if psycopg2 is None:
        if not module.check_mode:
            raise database.DatabaseError(missing_required_lib("psycopg2"))
        steps = _predict(wanted)
    else:
        try:
            with _acting_as(module.params["login_user"]):
                steps = _converge(module, wanted)
        except (psycopg2.OperationalError, KeyError) as error:
            if not module.check_mode:
                raise database.DatabaseError(f"no connection by {module.params['login_socket']}: {error}") from error
            steps = _predict(wanted)
    summary = [step.summary for step in steps]
    return {
        "changed": bool(summary),
        "steps": summary,
        "diff": {"before": "", "after": "".join(f"{line}\n" for line in summary)},
    }


def main() -> None:
    """Entry point."""
    login = {
        "name": {"type": "str", "required": True},
        "password": {"type": "str", "required": True, "no_log": True},
    }
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "schema": {"type": "str", "required": True},
            "owner": {"type": "dict", "required": True, "options": login},
            "writers": {"type": "list", "elements": "dict", "default": [], "options": login},
            "monitors": {"type": "list", "elements": "str", "default": []},
            "extensions": {"type": "dict", "default": {}},
            "passwords": {"type": "dict", "default": {}, "no_log": True},
            "login_user": {"type": "str", "default": "postgres"},
            "login_socket": {"type": "path", "default": "/run/postgresql"},
            "port": {"type": "int", "default": 5432},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except database.DatabaseError as error:
        module.fail_json(msg=f"database {module.params['name']}: {error}")


if __name__ == "__main__":
    main()
