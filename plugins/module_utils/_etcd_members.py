# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of an etcd cluster: who is in it, letting one join, and forgetting one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.aigo.onprem.plugins.module_utils._etcd_auth import EtcdError, Gateway


@dataclass(frozen=True)
class Member:
    """A member as the cluster knows it. One that was announced and has not started yet has no name."""

    id: str
    name: str
    peer_urls: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Ids of members to forget, and whether to announce the new one."""

    forget: tuple[str, ...]
    add: bool

    @property
    def changed(self) -> bool:
        """Whether the cluster has anything to learn."""
        return bool(self.forget) or self.add


def plan_join(members: Sequence[Member], name: str, peer_url: str) -> Plan:
    """Steps after which a host without data may start as `name`.

    A member of the same name or address that ran before is another life of this host, whose data are gone: it is
    forgotten. One that was announced and never started is kept.
    """
    same = [member for member in members if member.name == name or peer_url in member.peer_urls]
    waiting = [member for member in same if not member.name]
    return Plan(tuple(member.id for member in same if member.name), not waiting)


def plan_leave(members: Sequence[Member], name: str) -> Plan:
    """Steps after which the cluster has no member `name`. :raises EtcdError: for the last one."""
    mine = tuple(member.id for member in members if member.name == name)
    if mine and len(members) == len(mine):
        raise EtcdError(f"{name} is the only member of the cluster, which would be gone with it: add another one first")
    return Plan(mine, False)


def after(members: Sequence[Member], plan: Plan, name: str = "", peer_url: str = "") -> list[dict[str, str]]:
    """The members once the plan is done, each with name and address; the new one must list them all when it starts."""
    stay = [m for m in members if m.id not in plan.forget and m.name]
    new = [Member("", name, (peer_url,))] if peer_url else []
    return [{"name": m.name, "address": urlsplit(m.peer_urls[0]).hostname or ""} for m in [*stay, *new]]


def read(gateway: Gateway) -> list[Member]:
    """All members."""
    listed = gateway.call("cluster/member/list", {}).get("members", [])
    return [Member(str(m["ID"]), m.get("name", ""), tuple(m.get("peerURLs", []))) for m in listed]


def apply(gateway: Gateway, plan: Plan, peer_url: str | None) -> None:
    """Do what the plan says; etcd itself refuses what would cost the quorum. :raises EtcdError:"""
    for member in plan.forget:
        gateway.call("cluster/member/remove", {"ID": member})
    if plan.add and peer_url:
        gateway.call("cluster/member/add", {"peerURLs": [peer_url]})
