#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a host's services are now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Read what a host's services are now
version_added: 0.1.0
description:
  - Asks etcd, Patroni, Redis, the application and the edge of a host, as far as they are there, in one execution.
  - A service that is not there, or does not answer, is no error; its place says so.
author:
  - aigo.onprem maintainers (@aigo-onprem)
options:
  address:
    description: Address of the host, by which Redis is asked.
    type: str
    required: true
  redis_password:
    description: Password of Redis's user C(monitor). Without it, a Redis that has data counts as down.
    type: str
  virtual_address:
    description: The site's virtual address, if it has one.
    type: str
    default: ""
attributes:
  check_mode:
    description: It only reads.
    support: full
"""

EXAMPLES = r"""
- name: Look at the host
  aigo.onprem.cluster_info:
    address: 10.0.0.5
    redis_password: "{{ redis_monitor_password }}"
  register: cluster_seen
"""

RETURN = r"""
services:
  description:
    - For each of C(etcd), C(postgres), C(redis), C(app) and C(edge) its C(place) (primary, replica, member, down or
      none), and where they apply C(follows), C(lag), C(version) and C(note).
  returned: always
  type: dict
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils import _health, _patroni, _redis

try:
    import yaml
except ImportError:
    yaml = None  # type: ignore[assignment]

_PKI = "/etc/aigo/pki"


def _output(*argv: str) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _version(*argv: str) -> str:
    found = re.search(r"\d+\.\d+(\.\d+)?", _output(*argv))
    return found.group() if found else ""


def etcd() -> dict[str, Any]:
    """The member of etcd: whether it has data, and whether its cluster answers through it."""
    if not Path("/var/lib/etcd/aigo/member").exists():
        return {"place": "none"}
    pki = f"{_PKI}/etcd"
    question = _health.HttpQuestion(
        "https://127.0.0.1:2379/health",
        ca_path=f"{pki}/ca.pem",
        client_cert=f"{pki}/cert.pem",
        client_key=f"{pki}/key.pem",
        json_subset={"health": "true"},
    )
    answer = question.ask()
    version = _version("/usr/bin/etcd", "--version")
    return {"place": "down" if answer.fault else "member", "version": version, "note": answer.fault or ""}


def postgres(config: Path) -> dict[str, Any]:
    """The member of the database cluster, as its Patroni tells it."""
    if not config.exists() or yaml is None:
        return {"place": "none"}
    try:
        rest = _patroni.Rest(yaml.safe_load(config.read_text(encoding="utf-8")), timeout=5)
        own, cluster = rest.call("GET", "/patroni"), rest.call("GET", "/cluster")
    except (_patroni.PatroniError, OSError, KeyError, TypeError) as error:
        return {"place": "down", "note": str(error)}
    me = _patroni.member(own, cluster)
    entry: dict[str, Any] = next((m for m in cluster.get("members", []) if m["name"] == me.name), {})
    if not me.settled:
        return {"place": "down", "note": f"{me.state}, leader {me.leader or 'none'}"}
    version = str(own.get("server_version", ""))
    notes = [f"timeline {me.timeline}"]
    notes += ["synchronous"] * (entry.get("role") == "sync_standby") + ["waits for a restart"] * me.pending_restart
    return {
        "place": "primary" if me.is_leader else "replica",
        "follows": "" if me.is_leader else me.leader,
        "lag": "" if me.is_leader else f"{entry.get('lag', 'unknown')} B",
        "version": f"{int(version) // 10000}.{int(version) % 10000}" if version.isdigit() else "",
        "note": ", ".join(notes),
    }


def redis(address: str, password: str | None) -> dict[str, Any]:
    """The member of Redis; a replica without a link counts as down."""
    if not Path("/etc/redis/managed/redis.conf").exists():
        return {"place": "none"}
    try:
        with _redis.Connection(
            address, _redis.PORT, _redis.Access("monitor", password or "", f"{_PKI}/redis/ca.pem")
        ) as connection:
            info, server = connection.info("replication"), connection.info("server")
    except _redis.RedisError as error:
        return {"place": "down", "note": str(error)}
    member = _redis.member(info)
    state = {
        "follows": member.follows or "",
        "lag": "" if member.primary else f"{int(info.get('master_repl_offset', '0')) - member.offset} B",
        "version": server.get("redis_version", ""),
        "note": f"{member.replicas} replicas" if member.primary else "",
    }
    if not member.settled:
        return state | {"place": "down", "note": f"no link to {member.follows}"}
    return state | {"place": "primary" if member.primary else "replica"}


def app() -> dict[str, Any]:
    """The application's release, and whether its processes run."""
    current = Path("/opt/aigo/current")
    if not current.exists():
        return {"place": "none"}
    units = ["aigo-api@main.service", "aigo-worker.service"]
    shown = _output("systemctl", "show", "--property=Id,LoadState,ActiveState", *units)
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.split("\n\n")]
    loaded = [b for b in blocks if b.get("LoadState") == "loaded" and b["ActiveState"] != "inactive"]
    active = {b["Id"].split("@")[0].removeprefix("aigo-").removesuffix(".service"): b["ActiveState"] for b in loaded}
    good = bool(active) and set(active.values()) <= {"active", "reloading"}
    note = ", ".join(name if state == "active" else f"{name} {state}" for name, state in active.items())
    return {"place": "member" if good else "down", "version": current.resolve().name, "note": note}


def edge(virtual_address: str) -> dict[str, Any]:
    """The edge, and whether it holds the virtual address."""
    if not Path("/etc/nginx/conf.d/60-aigo.conf").exists():
        return {"place": "none"}
    state = _output("systemctl", "is-active", "nginx.service").strip()
    links = json.loads(_output("ip", "-json", "address") or "[]")
    holds = any(info.get("local") == virtual_address for link in links for info in link.get("addr_info", []))
    return {
        "place": ("primary" if holds else "member") if state == "active" else "down",
        "version": _version("sh", "-c", "/usr/sbin/nginx -v 2>&1"),
        "note": f"holds {virtual_address}" if holds else "",
    }


def run(module: AnsibleModule) -> dict[str, Any]:
    """Ask everything."""
    p = module.params
    services = {
        "edge": edge(p["virtual_address"]),
        "app": app(),
        "postgres": postgres(Path("/etc/patroni/config.yml")),
        "etcd": etcd(),
        "redis": redis(p["address"], p["redis_password"]),
    }
    return {"changed": False, "services": services}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "redis_password": {"type": "str", "no_log": True},
            "virtual_address": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
