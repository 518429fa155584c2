#!/usr/bin/python
# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hardening_settings: single values in files that belong to packages, and mount options."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hardening_settings
short_description: Set single values in files that belong to packages, and restrict what is mounted
version_added: 0.1.0
author: aigo.onprem maintainers (@aigo-onprem)
description:
  - Sets any number of values in any number of files in one round trip. The rest of each file stays its package's.
  - Adds restrictive options to file systems that exist, in C(/etc/fstab) and by remounting. A directory that is no file
    system of its own is reported, not changed.
options:
  values:
    description: Values to set. Each key stands exactly once in its file afterwards.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path. A file that does not exist is left alone, as its package is not there.
        type: str
        required: true
      separator:
        description: What stands between key and value.
        type: str
        default: " "
      values:
        description: Key to value.
        type: dict
        required: true
  lines:
    description: Lines that a file has to have.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path. A file that does not exist is left alone.
        type: str
        required: true
      lines:
        description: The lines.
        type: list
        elements: str
        required: true
  mounts:
    description: Options for mount points.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The mount point.
        type: str
        required: true
      options:
        description: Options that it must have.
        type: list
        elements: str
        choices: [nodev, nosuid, noexec]
        required: true
      extra:
        description: Further options for a tmpfs that C(/etc/fstab) does not know yet, such as its size.
        type: list
        elements: str
        default: []
attributes:
  check_mode:
    description: Predicts.
    support: full
  diff_mode:
    description: Shows every file before and after.
    support: full
"""

EXAMPLES = r"""
- name: Set the policy for passwords, and let nothing run from shared memory
  aigo.onprem.hardening_settings:
    values:
      - path: /etc/login.defs
        separator: "\t"
        values: {PASS_MAX_DAYS: 365}
    mounts:
      - {path: /dev/shm, options: [nodev, nosuid, noexec]}
"""

RETURN = r"""
files:
  description: Files that were changed.
  returned: success
  type: list
  elements: str
remounted:
  description: Mount points that were remounted.
  returned: success
  type: list
  elements: str
not_separate:
  description: Paths of O(mounts) that are no file system of their own.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aigo.onprem.plugins.module_utils._files import Entry, put_entry, read_entry
from ansible_collections.aigo.onprem.plugins.module_utils._hardening_mounts import Plan, WantedMount, plan
from ansible_collections.aigo.onprem.plugins.module_utils._hardening_settings import add_lines, set_values
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import run_command

_PATH: dict[str, Any] = {"type": "str", "required": True}
ARGUMENT_SPEC: dict[str, Any] = {
    "values": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": _PATH,
            "separator": {"type": "str", "default": " "},
            "values": {"type": "dict", "required": True},
        },
    },
    "lines": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"path": _PATH, "lines": {"type": "list", "elements": "str", "required": True}},
    },
    "mounts": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": _PATH,
            "options": {
                "type": "list",
                "elements": "str",
                "choices": ["nodev", "nosuid", "noexec"],
                "required": True,
            },
            "extra": {"type": "list", "elements": "str", "default": []},
        },
    },
}
_FSTAB = "/etc/fstab"


def _mounts(items: list[dict[str, Any]]) -> Plan:
    wanted = [WantedMount(item["path"], tuple(item["options"]), tuple(item["extra"])) for item in items]
    entry = read_entry(_FSTAB)
    text = entry.content.decode("utf-8", "surrogateescape") if entry.kind == "file" else ""
    return plan(wanted, text, Path("/proc/self/mounts").read_text())


def run(module: AnsibleModule) -> dict[str, Any]:
    """Read, compare, write unless in check mode."""
    params = module.params
    mounts = _mounts(params["mounts"])
    texts: dict[str, str] = {}
    before: dict[str, Entry] = {}

    def text_of(path: str) -> str | None:
        if path not in texts:
            entry = read_entry(path)
            if entry.kind != "file":
                return None
            before[path] = entry
            texts[path] = entry.content.decode("utf-8", "surrogateescape")
        return texts[path]

    for item in params["values"]:
        if (text := text_of(item["path"])) is not None:
            values = {key: str(value) for key, value in item["values"].items()}
            texts[item["path"]] = set_values(text, values, item["separator"])
    for item in params["lines"]:
        if (text := text_of(item["path"])) is not None:
            texts[item["path"]] = add_lines(text, item["lines"])
    if params["mounts"] and text_of(_FSTAB) is None:
        before[_FSTAB] = Entry("file", b"", 0o644, 0, 0)
    if params["mounts"]:
        texts[_FSTAB] = mounts.fstab
    after = {path: text.encode("utf-8", "surrogateescape") for path, text in texts.items()}
    changed = sorted(path for path, content in after.items() if content != before[path].content)
    if not module.check_mode:
        for path in changed:
            was = before[path]
            put_entry(path, Entry("file", after[path], was.mode, was.uid, was.gid))
        for path, options in mounts.remount.items():
            done = run_command(["mount", "-o", f"remount,{','.join(options)}", path])
            if done.rc:
                module.fail_json(
                    msg=f"hardening_settings: {path} cannot be remounted with {','.join(options)}: {done.err.strip()}. "
                    "Mend: see what holds it, or take it out of `mounts`"
                )
    result: dict[str, Any] = {
        "changed": bool(changed or mounts.remount),
        "files": changed,
        "remounted": sorted(mounts.remount),
        "not_separate": list(mounts.absent),
    }
    if module._diff:
        result["diff"] = [
            {"before_header": path, "after_header": path, "before": _shown(before[path].content), "after": texts[path]}
            for path in changed
        ]
    return result


def _shown(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except OSError as error:
        module.fail_json(msg=f"hardening_settings: {error}")


if __name__ == "__main__":
    main()
