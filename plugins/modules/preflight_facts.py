#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``preflight_facts``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_facts
short_description: Look at a host before anything is changed
version_added: 0.1.0
author:
  - aigo.onprem maintainers (@aigo-onprem)
description:
  - Reads in one execution what M(aigo.onprem.preflight) judges. Operating system, size, clock, listening ports with
    their owners, package sources, routes.
  - Changes nothing. A host that can't be reached or has no usable Python or sudo is reported, not failed, so that
    all hosts are judged together.
options:
  apt_sources:
    description: Package sources that the host is going to have, in apt's own form; those that it has where
      this is empty.
    type: str
    default: ""
  apt_proxy:
    description: Proxy that apt is going to have; the one that it has where this is empty.
    type: str
    default: ""
  routes:
    description: Addresses and ports that this host has to reach.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: The address.
        type: str
        required: true
      port:
        description: The TCP port; a refusal counts as reached.
        type: int
        required: true
  timeout:
    description: Seconds to wait for each package source and route; all are asked at once.
    type: float
    default: 5.0
attributes:
  check_mode:
    description: Can run in check mode and return the same facts.
    support: full
  diff_mode:
    description: Nothing changes, so there is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Look at the host
  aigo.onprem.preflight_facts:
  register: __preflight_facts
"""

RETURN = r"""
os:
  description: C(id), C(version) and C(name) of the operating system.
  type: dict
  returned: when the host answers
cores:
  description: Processors that it may use.
  type: int
  returned: when the host answers
memory_mb:
  description: Memory.
  type: int
  returned: when the host answers
disks:
  description: C(path), C(device), C(total_mb) and C(free_mb) of the directories that are written to.
  type: list
  elements: dict
  returned: when the host answers
listening:
  description: C(address), C(port), C(process) and C(unit) of every listening TCP socket.
  type: list
  elements: dict
  returned: when the host answers
package_sources:
  description: C(uri), C(reachable) and C(error) of every package source.
  type: list
  elements: dict
  returned: when the host answers
routes:
  description: C(address), C(port), C(reachable) and C(error) of every route that was asked for.
  type: list
  elements: dict
  returned: when the host answers
clock_offset:
  description: Seconds by which the host's clock is ahead of the control node's.
  type: float
  returned: when the host answers
problem:
  description: What the host lacks to be looked at, with C(wrong) and C(mend).
  type: str
  returned: when the host does not answer
"""

import getpass
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils._preflight_facts import (
    parse_socket_units,
    read_host,
    read_listening,
)
from ansible_collections.aigo.onprem.plugins.module_utils._preflight_probe import (
    parse_proxies,
    parse_sources,
    probe_all,
    probe_route,
    probe_source,
    read_sources,
)


def run(module: AnsibleModule) -> dict[str, Any]:
    """Read the host, then ask the network."""
    params = module.params
    result = read_host()
    result.update(user=getpass.getuser(), time=time.time())
    sockets = _output(module, "systemctl", "list-sockets", "--all", "--no-legend", "--no-pager")
    result["listening"] = read_listening(parse_socket_units(sockets))
    sources = parse_sources(params["apt_sources"]) if params["apt_sources"] else read_sources()
    proxy, timeout = params["apt_proxy"], params["timeout"]
    proxies = {"http": proxy, "https": proxy} if proxy else parse_proxies(_output(module, "apt-config", "dump"))
    result["package_sources"] = probe_all(lambda source: probe_source(source, proxies, timeout), sources)
    result["routes"] = probe_all(lambda route: probe_route(route, timeout), params["routes"])
    return result


def _output(module: AnsibleModule, command: str, *arguments: str) -> str:
    """What a command says; nothing where the host does not have it."""
    path = module.get_bin_path(command)
    if not path:
        return ""
    output: str = module.run_command([path, *arguments])[1]
    return output


def main() -> None:
    """Arguments in, facts out."""
    module = AnsibleModule(
        argument_spec={
            "apt_sources": {"type": "str", "default": ""},
            "apt_proxy": {"type": "str", "default": ""},
            "routes": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"address": {"type": "str", "required": True}, "port": {"type": "int", "required": True}},
            },
            "timeout": {"type": "float", "default": 5.0},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **run(module))


if __name__ == "__main__":
    main()
