# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over what `cluster_info` saw on the hosts: order, who runs, reasons against a removal, the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.aigo.onprem.plugins.module_utils import _cluster, _cluster_drill

FACT = "cluster_seen"


def _seen(hosts: Sequence[str], hostvars: Mapping[str, Any]) -> dict[str, Any]:
    """What was seen of each host; a host that was not asked, or did not answer, is left out."""
    answers = {host: hostvars[host].get(FACT) for host in hosts if host in hostvars}
    return {host: answer["services"] for host, answer in answers.items() if answer and "services" in answer}


def cluster_order(hosts: Sequence[str], hostvars: Mapping[str, Any], kind: str) -> list[str]:
    """`hosts` in the order in which they may be changed one at a time."""
    return _cluster.order(hosts, _seen(hosts, hostvars), kind)


def cluster_running(hosts: Sequence[str], hostvars: Mapping[str, Any], kind: str) -> list[str]:
    """Those of `hosts` that serve now, the primary first."""
    return _cluster.running(hosts, _seen(hosts, hostvars), kind)


def cluster_fresh(hosts: Sequence[str], hostvars: Mapping[str, Any], kind: str) -> bool:
    """Whether every one of `hosts` was looked at and none has the service."""
    return _cluster.fresh(hosts, _seen(hosts, hostvars), kind)


def cluster_removal(host: str, hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Reasons why `host` may not leave the site."""
    return _cluster.check_removal(host, groups, _seen(groups["all"], hostvars))


def cluster_table(hosts: Sequence[str], hostvars: Mapping[str, Any]) -> list[str]:
    """One line for each service of each host."""
    return _cluster.table(hosts, _seen(hosts, hostvars))


def cluster_drill_report(rounds: Sequence[Mapping[str, Any]], site: str, moment: str) -> dict[str, Any]:
    """The report of a drill: `data` for programs, `text` for people."""
    data = {"site": site, "at": moment, "faults": _cluster_drill.summarise(rounds), "rounds": list(rounds)}
    return {"data": data, "text": _cluster_drill.markdown(site, moment, rounds)}


class FilterModule:
    """Offer the filters to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "cluster_order": cluster_order,
            "cluster_running": cluster_running,
            "cluster_fresh": cluster_fresh,
            "cluster_removal": cluster_removal,
            "cluster_table": cluster_table,
            "cluster_drill_report": cluster_drill_report,
        }
