# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of ``app_release``, which its action and its module share."""

from __future__ import annotations

from typing import Any


def argument_spec() -> dict[str, Any]:
    """Return the argument spec that the module's documentation describes."""
    return {
        "state": {"type": "str", "choices": ["present", "rolled_back"], "default": "present"},
        "source": {"type": "path"},
        "activate": {"type": "bool", "default": True},
        "keep": {"type": "int", "default": 3},
        "directory": {"type": "path", "default": "/opt/aigo"},
        "python": {"type": "path", "default": "/usr/bin/python3"},
        "cache": {"type": "path", "default": "~/.cache/aigo.onprem"},
        "wheelhouse": {"type": "path"},
    }
