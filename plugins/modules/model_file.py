#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep a verified model file on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_file
short_description: Keep a verified model file on a host
version_added: 0.1.0
author: aigo.onprem maintainers (@aigo-onprem)
description:
  - Brings a GGUF model from the controller to a host, or verifies one that is already there.
  - The whole file is read once. Afterwards it is recognised by its size, inode and time of change, so that a run does
    not read gigabytes to find that nothing changed.
  - A shipped file's name carries its digest. A new model therefore never overwrites the one that a server has open; the
    one before stays, older ones are removed.
options:
  src:
    description:
      - The file on the controller. Give this or O(path).
    type: path
  path:
    description:
      - The file on the host, put there by the site. It is verified and left alone.
    type: path
  sha256:
    description:
      - The digest that the file must have, as C(sha256sum) prints it.
    type: str
    required: true
  directory:
    description:
      - Where shipped files and the notes on verified ones lie on the host.
    type: path
    default: /var/lib/aigo/models
  uploaded:
    description:
      - Where the action has put the file on the host. Not for users.
    type: path
attributes:
  check_mode:
    description: Verifies what is there, on both sides, and says whether the file would be brought.
    support: full
  diff_mode:
    description: Shows the digest before and after.
    support: full
"""

EXAMPLES = r"""
- name: Bring the model from the controller
  aigo.onprem.model_file:
    src: /srv/models/small-instruct.gguf
    sha256: 4c4e1dbf5c2b0a6c4d6e6ec9d9e1f1f53a1ad0b4ba7f1b8e5d6f3f0e9a7b6c5d

- name: Use the model that the storage team has put on the host
  aigo.onprem.model_file:
    path: /srv/models/small-instruct.gguf
    sha256: 4c4e1dbf5c2b0a6c4d6e6ec9d9e1f1f53a1ad0b4ba7f1b8e5d6f3f0e9a7b6c5d
"""

RETURN = r"""
path:
  description: The file on the host.
  returned: success
  type: str
size_mb:
  description: Its size in MiB, rounded up.
  returned: success
  type: int
removed:
  description: Older shipped files that were removed.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils._model_file import (
    Memory,
    ModelFileError,
    checked_digest,
    install,
    plan_shipped,
    verify,
)

ARGUMENT_SPEC: dict[str, Any] = {
    "src": {"type": "path"},
    "path": {"type": "path"},
    "sha256": {"type": "str", "required": True},
    "directory": {"type": "path", "default": "/var/lib/aigo/models"},
    "uploaded": {"type": "path"},
}


def run(module: AnsibleModule) -> dict[str, Any]:
    """Verify the file on the host, or install the uploaded one; an absent one is asked for by C(upload)."""
    options = module.params
    digest = checked_digest(options["sha256"])
    directory = Path(options["directory"])
    if not module.check_mode:
        directory.mkdir(parents=True, exist_ok=True)
    if options["path"]:
        _verify_in_place(directory, Path(options["path"]), digest, module.check_mode)
        return {"changed": False, "path": options["path"], "size_mb": _size_mb(Path(options["path"])), "removed": []}
    plan = plan_shipped(directory, options["src"], digest)
    result: dict[str, Any] = {"changed": plan.changed, "path": str(plan.path), "removed": [], "upload": plan.upload}
    if module._diff and plan.changed:
        result["diff"] = {"before": plan.before, "after": plan.after}
    if options["uploaded"]:
        result["removed"] = install(directory, Path(options["uploaded"]), plan.path, digest)
        result["upload"] = False
    elif not plan.upload and not module.check_mode and not Memory(directory).holds(plan.path, digest):
        Memory(directory).remember(plan.path, digest)
    if plan.path.exists():
        result["size_mb"] = _size_mb(plan.path)
    return result


def _verify_in_place(directory: Path, path: Path, digest: str, check_mode: bool) -> None:
    memory = Memory(directory)
    if memory.holds(path, digest):
        return
    verify(path, digest)
    if not check_mode:
        memory.remember(path, digest)


def _size_mb(path: Path) -> int:
    return -(-path.stat().st_size // (1 << 20))


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        supports_check_mode=True,
        required_one_of=[("src", "path")],
        mutually_exclusive=[("src", "path")],
    )
    try:
        module.exit_json(**run(module))
    except (ModelFileError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
