# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts of nftables: what is loaded, what restores, and when two listings say the same. Nothing here runs a command."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.aigo.onprem.plugins.module_utils._files import sha256

_HEADER = "# Managed by aigo.onprem: changes made here are overwritten.\n"
_TABLE = re.compile(r"^table\s+(?:(ip|ip6|inet|arp|bridge|netdev)\s+)?([A-Za-z0-9_./\\-]+)\s*\{$")
_FAMILIES = frozenset({"ip", "ip6", "inet", "arp", "bridge", "netdev"})


class NftablesError(Exception):
    """Rules that cannot be loaded or kept. C(details) becomes part of the module's result."""

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.details = details


@dataclass(frozen=True)
class Ruleset:
    """The wanted rules of the tables that are ours."""

    family: str
    tables: tuple[str, ...]
    text: str

    @property
    def document(self) -> str:
        """What C(nft -f) loads in one transaction, now and at boot: our tables away, and made again."""
        return _HEADER + "".join(_remove(self.family, table) for table in self.tables) + self.text.strip("\n") + "\n"

    @property
    def digest(self) -> str:
        """Names this ruleset between the two connections that load and confirm it."""
        return sha256(self.document.encode())


@dataclass(frozen=True)
class Memory:
    """What was last confirmed: the digest of the document, and of the listing that the kernel made of it."""

    document: str = ""
    listing: str = ""


@dataclass(frozen=True)
class Plan:
    """What has to happen."""

    load: bool
    persist: bool

    @property
    def changed(self) -> bool:
        """True where either has to happen."""
        return self.load or self.persist


def plan(wanted: Ruleset, memory: Memory, listing: str, boot_file: str | None) -> Plan:
    """Compare the wanted rules with the last confirmed ones, the kernel's listing and the file for the boot."""
    kept = memory.document == wanted.digest and memory.listing == sha256(normalise(listing).encode())
    return Plan(load=not kept, persist=boot_file != wanted.document)


def restore_document(family: str, tables: Sequence[str], listings: Sequence[str]) -> str:
    """What brings back the listed tables; a table without a listing did not exist and goes away."""
    return "".join(_remove(family, table) for table in tables) + "".join(text.strip("\n") + "\n" for text in listings)


def _remove(family: str, table: str) -> str:
    return f"table {family} {table}\ndelete table {family} {table}\n"


def check(ruleset: Ruleset) -> None:
    """Raise NftablesError unless the text defines the tables that are ours, each of them, and nothing else."""
    mistakes = [] if ruleset.family in _FAMILIES else [f"table_family {ruleset.family!r} is no family of nftables"]
    depth = 0
    seen = set()
    for number, raw in enumerate(ruleset.text.splitlines(), 1):
        line = _without_strings(raw).strip()
        if depth == 0 and line and not line.startswith("define "):
            found = _TABLE.match(line)
            if found and (found[1] or "ip") == ruleset.family and found[2] in ruleset.tables:
                seen.add(found[2])
            else:
                mistakes.append(
                    f"line {number}: {raw.strip()!r} is not `table {ruleset.family} NAME {{` of one of our tables"
                )
        depth += line.count("{") - line.count("}")
    mistakes += [f"it does not define the table {name!r}" for name in ruleset.tables if name not in seen]
    if depth:
        mistakes.append("its braces do not match")
    if mistakes:
        raise NftablesError(
            f"nftables_ruleset: only the tables {', '.join(ruleset.tables)} are managed, so that those of others stay: "
            + "; ".join(mistakes)
        )


def _without_strings(line: str) -> str:
    """The line without comments and quoted text, in which braces mean nothing."""
    return re.sub(r'"[^"]*"', '""', line).split("#")[0]


def normalise(listing: str) -> str:
    """A listing without what changes while rules are in force: the elements of sets that packets or time fill."""
    kept: list[str] = []
    block: list[str] = []
    for line in listing.splitlines():
        opens = re.match(r"^\s*(set|map|meter)\s+\S+\s*\{$", line) is not None
        if opens or block:
            block.append(line)
            if line.strip() == "}" and not opens:
                kept += _without_dynamic_elements(block)
                block = []
        else:
            kept.append(line)
    return "\n".join(line.strip() for line in [*kept, *block] if line.strip())


def _without_dynamic_elements(block: Sequence[str]) -> list[str]:
    flags = " ".join(line for line in block if line.strip().startswith(("flags", "timeout")))
    if "dynamic" not in flags and "timeout" not in flags:
        return list(block)
    kept = []
    inside = False
    for line in block:
        inside = inside or line.strip().startswith("elements = {")
        if not inside:
            kept.append(line)
        if inside and line.rstrip().endswith("}"):
            inside = False
    return kept
