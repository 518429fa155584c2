# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of config_set, and how the action hands a rendered set to the module.

The set travels as one opaque, unlogged string: rendered files hold secrets, and a module's options are written to the
host's journal.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

_OWNERSHIP: dict[str, Any] = {"owner": {"type": "str"}, "group": {"type": "str"}, "mode": {"type": "str"}}

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "templates": {"type": "str"},
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "template": {"type": "str"},
            "content": {"type": "str"},
            **_OWNERSHIP,
            "sensitive": {"type": "bool"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str", "default": "0644"},
    "directories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"path": {"type": "str", "required": True}, **_OWNERSHIP},
    },
    "once": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "template": {"type": "str"},
            "content": {"type": "str"},
            **_OWNERSHIP,
            "sensitive": {"type": "bool"},
        },
    },
    "purge": {"type": "list", "elements": "str", "default": []},
    "watch": {"type": "list", "elements": "str", "default": []},
    "validate": {"type": "list", "elements": "str", "default": []},
    "units": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "enabled": {"type": "bool"},
            "on_change": {"type": "str", "choices": ["restart", "reload", "none"], "default": "restart"},
        },
    },
}

# `payload` is the action plugin's; a user never writes it.
MODULE_SPEC: dict[str, Any] = {**ARGUMENT_SPEC, "payload": {"type": "str", "no_log": True}}


def pack(rendered: Mapping[str, Any]) -> str:
    """Encode a rendered set for the way to the host."""
    return base64.b64encode(zlib.compress(json.dumps(rendered).encode())).decode()


def unpack(payload: str) -> dict[str, Any]:
    """The inverse of C(pack)."""
    rendered: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(payload)))
    return rendered
