# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The flow table: who may talk to whom. Firewall rules, port checks and pictures are all derived from it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ANY = "any"
ALL = "all"
PORTLESS = frozenset({"vrrp"})
PROTOCOLS = frozenset({"tcp", "udp"}) | PORTLESS

Addresses = Mapping[str, "Sequence[str] | str"]


class FlowError(ValueError):
    """A row of the flow table that makes no sense; the message names the row, the value and the mend."""


@dataclass(frozen=True)
class Flow:
    """One row: ``origins`` and ``targets`` are groups, ``all`` (every host), ``any`` or networks by name."""

    name: str
    origins: tuple[str, ...]
    targets: tuple[str, ...]
    port: int | None
    protocol: str
    purpose: str
    encryption: str


def _as_list(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(item) for item in value]


def parse_flow(row: Mapping[str, Any]) -> Flow:
    """Read one row of the table.

    :raises FlowError: when a key is missing or a value is impossible.
    """
    name = str(row.get("name", ""))
    for key in ("name", "from", "to", "purpose", "encryption"):
        if not row.get(key):
            raise FlowError(
                f"flow {name or dict(row)}: '{key}' is missing; every flow says name, from, to, purpose and encryption"
            )
    protocol = str(row.get("protocol", "tcp"))
    if protocol not in PROTOCOLS:
        raise FlowError(f"flow {name}: protocol is {protocol!r}; choose one of {', '.join(sorted(PROTOCOLS))}")
    port: int | None = None
    if protocol not in PORTLESS:
        try:
            port = int(row["port"])
        except (KeyError, TypeError, ValueError):
            port = 0
        if not 1 <= port <= 65535:
            raise FlowError(f"flow {name}: port is {row.get('port')!r}; give a number from 1 to 65535")
    return Flow(
        name=name,
        origins=tuple(_as_list(row["from"])),
        targets=tuple(_as_list(row["to"])),
        port=port,
        protocol=protocol,
        purpose=str(row["purpose"]),
        encryption=str(row["encryption"]),
    )


@dataclass(frozen=True)
class _Site:
    """Groups, addresses and networks against which names of the table are resolved."""

    groups: Mapping[str, Sequence[str]]
    addresses: Addresses
    networks: Mapping[str, Sequence[str] | str]
    known_groups: frozenset[str]

    def contains(self, host: str, names: Sequence[str]) -> bool:
        return any(name == ALL or host in self.groups.get(name, ()) for name in names)

    def own(self, host: str) -> set[str]:
        return set(_as_list(self.addresses.get(host, [])))

    def resolve(self, flow: Flow, names: Sequence[str]) -> set[str] | None:
        """Addresses and networks behind names; ``None`` means anybody."""
        found: set[str] = set()
        for name in names:
            if name == ANY:
                return None
            if name in self.networks:
                networks = _as_list(self.networks[name] or [])
                if not networks or ANY in networks:
                    return None
                found.update(networks)
            elif name == ALL:
                for addresses in self.addresses.values():
                    found.update(_as_list(addresses))
            elif name in self.groups or name in self.known_groups:
                for host in self.groups.get(name, ()):
                    if host not in self.addresses:
                        raise FlowError(
                            f"flow {flow.name}: host {host} of group {name} has no address; set aigo_address"
                        )
                    found.update(self.own(host))
            else:
                known = sorted({*self.groups, *self.networks, ALL, ANY})
                raise FlowError(f"flow {flow.name}: {name!r} is no group and no network; choose of {', '.join(known)}")
        return found


def _sort_key(address: str) -> tuple[int, int, int]:
    network = ipaddress.ip_network(address, strict=False)
    return network.version, int(network.network_address), network.prefixlen


def _ordered(addresses: set[str], flow: Flow) -> list[str]:
    try:
        return sorted(addresses, key=_sort_key)
    except ValueError as error:
        raise FlowError(f"flow {flow.name}: {error}; give addresses and networks, not names") from None


class _Merger:
    """Merges rows for the same port: one rule each, with the union of its peers."""

    def __init__(self, peers_key: str) -> None:
        self._peers_key = peers_key
        self._rules: dict[tuple[str, int], tuple[list[Flow], set[str] | None]] = {}

    def add(self, flow: Flow, peers: set[str] | None) -> None:
        key = (flow.protocol, flow.port or 0)
        flows, known = self._rules.get(key, ([], set()))
        merged = None if peers is None or known is None else known | peers
        self._rules[key] = ([*flows, flow], merged)

    def rules(self) -> list[dict[str, Any]]:
        result = []
        for (protocol, port), (flows, peers) in sorted(self._rules.items()):
            rule: dict[str, Any] = {"name": flows[0].name, "protocol": protocol}
            if port:
                rule["port"] = port
            rule[self._peers_key] = ANY if peers is None else _ordered(peers, flows[0])
            rule["purpose"] = "; ".join(dict.fromkeys(flow.purpose for flow in flows))
            result.append(rule)
        return result


def flows_for(
    flows: Sequence[Mapping[str, Any]],
    host: str,
    groups: Mapping[str, Sequence[str]],
    addresses: Addresses,
    networks: Mapping[str, Sequence[str] | str] | None = None,
    known_groups: Sequence[str] = (),
) -> dict[str, list[dict[str, Any]]]:
    """What may reach ``host`` and what it may reach.

    :param flows: rows of the flow table.
    :param groups: hosts of each group.
    :param addresses: address or addresses of each host.
    :param networks: networks behind names such as ``clients``; an empty list stands for anybody.
    :param known_groups: groups that rows may name although the inventory does not have them.
    :return: ``inbound`` (with ``sources``) and ``outbound`` (with ``destinations``), each ``any`` or a sorted list.
        The host's own addresses are left out, as loopback traffic is always allowed.
    :raises FlowError: for a row that makes no sense.
    """
    site = _Site(groups, addresses, networks or {}, frozenset(known_groups))
    inbound, outbound = _Merger("sources"), _Merger("destinations")
    own = site.own(host)
    for row in flows:
        flow = parse_flow(row)
        # Both ends are resolved for every host, so that a mistake in the table shows on the first one.
        sources, destinations = site.resolve(flow, flow.origins), site.resolve(flow, flow.targets)
        if site.contains(host, flow.targets):
            peers = None if sources is None else sources - own
            if peers is None or peers:
                inbound.add(flow, peers)
        if site.contains(host, flow.origins):
            peers = None if destinations is None else destinations - own
            if peers is None or peers:
                outbound.add(flow, peers)
    return {"inbound": inbound.rules(), "outbound": outbound.rules()}
