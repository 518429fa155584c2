#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host's half of the action of the same name: releases, links, pruning."""

from __future__ import annotations

DOCUMENTATION = r"""
module: app_release
short_description: Install, activate and roll back releases of the bundled application
version_added: 0.1.0
author: aigo.onprem maintainers (@aigo-onprem)
description:
  - Installs the application into C(releases/<id>), a virtual environment of its own, from wheels locked by hash.
  - The id is the version and a digest of the sources and of the lock, so a changed line makes a new release and an
    unchanged tree none.
  - Wheels are collected once on the controller, verified against the lock each time, and sent to a host only when it
    lacks them. Hosts need no package index.
  - One round trip when the release is present and current.
  - An interrupted installation does not count as a release and is done again.
options:
  state:
    description:
      - V(present) installs a release.
      - V(rolled_back) makes the previous release current again.
    type: str
    choices: [present, rolled_back]
    default: present
  source:
    description:
      - The application's project on the controller, with C(pyproject.toml), C(src), a lock for each Python version
        (C(locks/py313.txt)) and C(locks/installer.txt), which pins uv.
      - Needed for O(state=present).
    type: path
  activate:
    description: Make the release current; the former one becomes the previous.
    type: bool
    default: true
  keep:
    description: How many releases stay. The current and the previous one stay in any case.
    type: int
    default: 3
  directory:
    description: Directory on the host that holds releases and links.
    type: path
    default: /opt/aigo
  python:
    description: The host's Python that the release runs on.
    type: path
    default: /usr/bin/python3
  cache:
    description: Directory on the controller that keeps fetched wheels and built releases.
    type: path
    default: ~/.cache/aigo.onprem
  wheelhouse:
    description:
      - Directory on the controller with all wheels, for a site without a package index. Nothing is fetched then.
    type: path
  payload:
    description: What the action plugin tells the module. Not for playbooks.
    type: dict
attributes:
  check_mode:
    description: Says which release would be installed, activated and removed.
    support: full
  diff_mode:
    description: Shows releases and links before and after.
    support: full
requirements:
  - pip, packaging and uv (on the controller)
seealso:
  - module: aigo.onprem.app_generation
"""

EXAMPLES = r"""
- name: Install the release beside the running one
  aigo.onprem.app_release:
    source: "{{ app_source }}"
    activate: false
  register: release

- name: Make it current
  aigo.onprem.app_release:
    source: "{{ app_source }}"

- name: Go back
  aigo.onprem.app_release:
    state: rolled_back
"""

RETURN = r"""
release:
  description: Id of the release that is installed, or current after a roll-back.
  returned: success
  type: str
  sample: 0.1.0-3f9a1c20
path:
  description: Where it is on the host.
  returned: success
  type: str
installed:
  description: Whether it was installed by this task, or would be.
  returned: success
  type: bool
activated:
  description: Whether C(current) was moved by this task, or would be.
  returned: success
  type: bool
current:
  description: Id of the current release, empty when there is none.
  returned: success
  type: str
previous:
  description: Id of the previous release, empty when there is none.
  returned: success
  type: str
pruned:
  description: Ids of the releases that were removed, or would be.
  returned: success
  type: list
  elements: str
"""

import os
import platform
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils._app_release import (
    Plan,
    ReleaseError,
    Releases,
    plan_present,
    plan_rolled_back,
)
from ansible_collections.aigo.onprem.plugins.module_utils._app_release_spec import argument_spec


def run(module: AnsibleModule) -> dict[str, Any]:
    """Do what is due, or answer with what the controller has to send first."""
    params = module.params
    payload = params["payload"] or {}
    releases = Releases(Path(params["directory"]), params["python"])
    state = releases.state()
    if params["state"] == "rolled_back":
        plan = plan_rolled_back(state)
        release = plan.after.current
    else:
        release = _release_for(releases.python_version(), payload.get("candidates", {}))
        plan = plan_present(state, release, activate=params["activate"], keep=params["keep"])

    if not module.check_mode and plan.changed:
        if plan.install:
            package = payload.get("package")
            if package is None:
                need = {"python_version": releases.python_version(), "machine": platform.machine()}
                return {"changed": False, "needs": {"release": release, "stored": releases.stored_wheels(), **need}}
            os.umask(0o022)
            archive = Path(package["archive"]) if package["archive"] else None
            releases.install(release, archive, package["wheels"], package["requirements"], package["uv"])
        if plan.activates:
            releases.activate(plan.after)
        if plan.prune:
            releases.prune(plan.prune)
    return _result(plan, release, releases)


def _release_for(python_version: str, candidates: dict[str, str]) -> str:
    if python_version not in candidates:
        raise ReleaseError(
            f"the host's Python is {python_version}, and the application has locks for "
            f"{', '.join(sorted(candidates)) or 'none'} only"
        )
    return candidates[python_version]


def _result(plan: Plan, release: str, releases: Releases) -> dict[str, Any]:
    return {
        "changed": plan.changed,
        "release": release,
        "path": str(releases.path(release)),
        "installed": bool(plan.install),
        "activated": plan.activates,
        "current": plan.after.current,
        "previous": plan.after.previous,
        "pruned": list(plan.prune),
        "diff": {"before": plan.before.lines(), "after": plan.after.lines()},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=argument_spec() | {"payload": {"type": "dict"}},
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
