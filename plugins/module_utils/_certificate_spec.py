# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of ``certificate``, which its action and its module share."""

from __future__ import annotations

from typing import Any


def argument_spec() -> dict[str, Any]:
    """Return the argument spec that the module's documentation describes."""
    certificate = {
        "name": {"type": "str", "required": True},
        "common_name": {"type": "str", "default": ""},
        "subject_alt_names": {"type": "list", "elements": "str", "required": True},
        "usages": {"type": "list", "elements": "str", "choices": ["server", "client"], "default": ["server"]},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str"},
        "key_mode": {"type": "str", "no_log": False},
        "key_type": {"type": "str", "choices": ["ec256", "ec384", "rsa4096"], "default": "ec256", "no_log": False},
    }
    authority = {
        "directory": {"type": "path", "required": True},
        "passphrase": {"type": "str", "no_log": True},
        "common_name": {"type": "str", "default": "aigo.onprem authority"},
        "valid_days": {"type": "int", "default": 3650},
    }
    return {
        "state": {"type": "str", "choices": ["present", "authority"], "default": "present"},
        "authority": {"type": "dict", "required": True, "options": authority},
        "certificates": {"type": "list", "elements": "dict", "default": [], "options": certificate},
        "directory": {"type": "path", "default": "/etc/aigo/pki"},
        "valid_days": {"type": "int", "default": 90},
        "renew_days": {"type": "int", "default": 30},
        "force": {"type": "bool", "default": False},
    }
