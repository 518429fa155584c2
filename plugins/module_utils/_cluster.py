# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of the site's clusters: the order in which to change them, what may be removed, and one table of them all.

A member's *place* is what it is now: ``primary``, ``replica`` or ``member`` of a running cluster, ``down`` (it has data
and does not serve) or ``none`` (nothing was ever there).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

UP = frozenset({"primary", "replica", "member"})

# What is broken is mended before what works is touched; replicas come before the primary. A new member of PostgreSQL
# or etcd is let in by those that are there, so it comes last; a Redis primary needs its replicas before it is changed.
_ORDER: Mapping[str, tuple[str, ...]] = {
    "etcd": ("down", "member", "none"),
    "postgres": ("down", "replica", "primary", "none"),
    "redis": ("down", "none", "replica", "primary"),
}
_COLUMNS = ("host", "service", "place", "follows", "lag", "version", "note")


class ClusterError(ValueError):
    """A change of members that would break a cluster; the message says what, and the mend."""


def place(seen: Mapping[str, Any] | None, kind: str) -> str:
    """A member's place from what `cluster_info` returned for its host."""
    return str(((seen or {}).get(kind) or {}).get("place", "none"))


def order(hosts: Sequence[str], seen: Mapping[str, Mapping[str, Any]], kind: str) -> list[str]:
    """`hosts` in the order in which they may be changed one at a time."""
    rank = {name: index for index, name in enumerate(_ORDER[kind])}
    return sorted(hosts, key=lambda host: rank[place(seen.get(host), kind)])


def running(hosts: Sequence[str], seen: Mapping[str, Mapping[str, Any]], kind: str) -> list[str]:
    """Those of `hosts` that serve now, the primary first."""
    return sorted(
        (host for host in hosts if place(seen.get(host), kind) in UP),
        key=lambda h: place(seen.get(h), kind) != "primary",
    )


def fresh(hosts: Sequence[str], seen: Mapping[str, Mapping[str, Any]], kind: str) -> bool:
    """Whether every one of `hosts` was looked at and none has the service: nobody can be disturbed."""
    return all(host in seen and place(seen[host], kind) == "none" for host in hosts)


def check_removal(host: str, groups: Mapping[str, Sequence[str]], seen: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Reasons why `host` may not leave; an empty list when it may. `groups` are the inventory's."""
    reasons = []
    for kind, least in (("etcd", 1), ("redis", 1), ("postgres", 1), ("edge", 1), ("app", 1), ("worker", 1)):
        rest = [name for name in groups.get(kind, ()) if name != host]
        if host not in groups.get(kind, ()) and place(seen.get(host), kind) == "none":
            continue
        if len(rest) < least:
            reasons.append(f"{kind}: {host} is the last one; put another host into the group {kind} first")
        elif kind == "etcd" and len(rest) % 2 == 0:
            reasons.append(
                f"etcd: {len(rest)} members would be left ({', '.join(rest)}), an even number, which survives no more "
                "losses "
                "than one fewer; put a replacement into the group etcd, or take a second one out of it"
            )
        elif kind == "redis" and len(rest) == 2:
            reasons.append(
                f"redis: two members would be left ({', '.join(rest)}), and two Sentinels have no majority once one is "
                "lost; "
                "put a replacement into the group redis"
            )
        elif kind in _ORDER:
            up = running(rest, seen, kind)
            need = len(rest) // 2 + 1 if kind == "etcd" else 1
            if len(up) < need:
                reasons.append(f"{kind}: only {len(up)} of {', '.join(rest)} serve, and {need} must; mend them first")
    return reasons


def rows(hosts: Sequence[str], seen: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """One row for each service of each host; a host that did not answer has one row that says so."""
    found: list[dict[str, str]] = []
    for host in hosts:
        if host not in seen:
            found.append(dict.fromkeys(_COLUMNS, "") | {"host": host, "service": "-", "note": "does not answer"})
        for service, state in (seen.get(host) or {}).items():
            if state.get("place", "none") != "none":
                cells = {column: str(state.get(column) or "") for column in _COLUMNS}
                found.append(cells | {"host": host, "service": service})
    return found


def table(hosts: Sequence[str], seen: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The rows as lines of equal columns, a headline first."""
    cells = [list(_COLUMNS)] + [[row[column] for column in _COLUMNS] for row in rows(hosts, seen)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(_COLUMNS))]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]
