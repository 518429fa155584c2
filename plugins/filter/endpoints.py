# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``endpoints``: addresses with a port, as configuration files write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def endpoints(addresses: Iterable[str], port: int) -> list[str]:
    """Return ``address:port`` for each address; an IPv6 address stands in brackets."""
    return [f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address in addresses]


class FilterModule:
    """Offer the filter to Ansible."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"endpoints": endpoints}
