# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restrictive options for file systems that are there: in fstab for the next boot, by remounting for now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# What may be asked for; a file system that lacks one of them is remounted with it.
RESTRICTIONS = ("nodev", "nosuid", "noexec")


@dataclass(frozen=True)
class WantedMount:
    """Options for a mount point. C(options) of a tmpfs that fstab does not know are written together with C(extra)."""

    path: str
    options: tuple[str, ...]
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The new fstab, mount points to remount, and those that are no file system of their own."""

    fstab: str
    remount: Mapping[str, tuple[str, ...]]
    absent: tuple[str, ...]


def parse_mounts(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Mount point to type and options, from C(/proc/self/mounts); the last mount on a point wins."""
    found = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 4:
            found[fields[1]] = (fields[2], tuple(fields[3].split(",")))
    return found


def plan(wanted: Sequence[WantedMount], fstab: str, mounts: str) -> Plan:
    """Compare what is mounted and what fstab says with what is wanted."""
    live = parse_mounts(mounts)
    lines = fstab.splitlines()
    remount: dict[str, tuple[str, ...]] = {}
    absent = []
    for item in wanted:
        if item.path not in live:
            absent.append(item.path)
            continue
        kind, options = live[item.path]
        if missing := tuple(option for option in item.options if option not in options):
            remount[item.path] = missing
        place = _line_of(lines, item.path)
        if place is not None:
            lines[place] = _with_options(lines[place], item.options)
        elif kind == "tmpfs":
            lines.append(f"tmpfs {item.path} tmpfs {','.join((*item.extra, *item.options))} 0 0")
    return Plan("".join(f"{line}\n" for line in lines), remount, tuple(absent))


def _line_of(lines: Sequence[str], path: str) -> int | None:
    for place, line in enumerate(lines):
        fields = line.split()
        if len(fields) >= 4 and not fields[0].startswith("#") and fields[1].rstrip("/") == path:
            return place
    return None


def _with_options(line: str, wanted: Sequence[str]) -> str:
    fields = line.split()
    options = fields[3].split(",")
    opposite = {"nodev": "dev", "nosuid": "suid", "noexec": "exec"}
    kept = [option for option in options if option not in {opposite[name] for name in wanted}]
    added = [option for option in wanted if option not in kept]
    if not added and kept == options:
        return line
    fields[3] = ",".join([*kept, *added])
    return " ".join(fields)
