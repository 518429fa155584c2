# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads PostgreSQL's catalogue into the states that C(_postgres_database) plans from.

Takes any DB-API connection of psycopg2; imports none, so that it can be read and tested without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.aigo.onprem.plugins.module_utils import _postgres_database as database

_ROLES = """
SELECT r.rolname, r.rolcanlogin, r.rolsuper, r.rolcreatedb, r.rolcreaterole, r.rolreplication, r.rolbypassrls,
       r.rolpassword,
       coalesce((SELECT array_agg(g.rolname::text) FROM pg_auth_members m JOIN pg_authid g ON g.oid = m.roleid
                 WHERE m.member = r.oid), '{}')
FROM pg_authid r WHERE r.rolname = ANY(%s)
"""
_DATABASE = """
SELECT pg_get_userbyid(d.datdba), coalesce(pg_get_userbyid(nullif(a.grantee, 0)), 'PUBLIC'), a.privilege_type
FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a WHERE d.datname = %s
"""
_SCHEMA = """
SELECT pg_get_userbyid(n.nspowner), coalesce(pg_get_userbyid(nullif(a.grantee, 0)), 'PUBLIC'), a.privilege_type
FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a WHERE n.nspname = %s
"""
_EXTENSIONS = "SELECT name, installed_version, default_version FROM pg_available_extensions WHERE name = ANY(%s)"
_DEFAULTS = """
SELECT d.defaclobjtype::text, coalesce(pg_get_userbyid(nullif(a.grantee, 0)), 'PUBLIC'), a.privilege_type
FROM pg_default_acl d JOIN pg_namespace n ON n.oid = d.defaclnamespace, aclexplode(d.defaclacl) a
WHERE n.nspname = %s AND pg_get_userbyid(d.defaclrole) = %s
"""
# Objects of an extension belong to it, and are none of ours.
_LACKING = """
SELECT DISTINCT CASE c.relkind WHEN 'S' THEN 'S' ELSE 'r' END, w.name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, unnest(%s::text[]) AS w(name)
WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND pg_get_userbyid(c.relowner) = %s
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  AND (SELECT count(*) FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
       WHERE pg_get_userbyid(a.grantee) = w.name
         AND a.privilege_type = ANY(CASE c.relkind WHEN 'S' THEN ARRAY['SELECT', 'USAGE']
                                    ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'] END))
      < CASE c.relkind WHEN 'S' THEN 2 ELSE 4 END
"""


def _rows(connection: Any, sql: str, *values: Any) -> list[Sequence[Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def read_cluster(connection: Any, wanted: database.Wanted) -> database.Cluster:
    """Roles and the database, from any database of the server."""
    names = [wanted.owner.name, *(w.name for w in wanted.writers), *wanted.monitors, *wanted.passwords]
    roles: dict[str, database.Role] = {}
    for name, login, superuser, createdb, createrole, replication, bypassrls, stored, groups in _rows(
        connection, _ROLES, names
    ):
        flags = (superuser, createdb, createrole, replication, bypassrls)
        attributes = {a for a, on in zip(database.FORBIDDEN, flags, strict=True) if on}
        roles[name] = database.Role(login, frozenset(attributes), stored, frozenset(groups))
    rows = _rows(connection, _DATABASE, wanted.database)
    owner = rows[0][0] if rows else None
    return database.Cluster(roles, owner, frozenset((grantee, privilege) for _unused, grantee, privilege in rows))


def read_content(connection: Any, wanted: database.Wanted) -> database.Content:
    """Schema, extensions and privileges, from the database itself."""
    schema = _rows(connection, _SCHEMA, wanted.schema)
    offered = _rows(connection, _EXTENSIONS, list(wanted.extensions))
    defaults = _rows(connection, _DEFAULTS, wanted.schema, wanted.owner.name)
    lacking = _rows(connection, _LACKING, [w.name for w in wanted.writers], wanted.schema, wanted.owner.name)
    return database.Content(
        schema_owner=schema[0][0] if schema else None,
        schema_privileges=frozenset((grantee, privilege) for _unused, grantee, privilege in schema),
        extensions={name: database.Extension(installed, latest) for name, installed, latest in offered},
        defaults=frozenset((kind, grantee, privilege) for kind, grantee, privilege in defaults),
        lacking=frozenset((kind, grantee) for kind, grantee in lacking),
    )
