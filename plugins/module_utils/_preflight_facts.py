# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight reads on a host: it only looks, starts nothing and writes nothing."""

from __future__ import annotations

import os
import re
import shutil
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

LISTEN = "0A"
DISK_PATHS = ("/", "/var", "/opt")
_UNIT = re.compile(r"([^/]+\.(?:service|socket|scope))")
_UNIT_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def read_os(root: Path = Path("/")) -> dict[str, str]:
    """Id, version and full name of the operating system."""
    values: dict[str, str] = {}
    path = root / "etc/os-release"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        key, found, value = line.partition("=")
        if found:
            values[key] = value.strip().strip("\"'")
    return {
        "id": values.get("ID", "unknown"),
        "version": values.get("VERSION_ID", ""),
        "name": values.get("PRETTY_NAME", values.get("ID", "unknown")),
    }


def read_memory_mb(root: Path = Path("/")) -> int:
    """Memory of the host."""
    for line in (root / "proc/meminfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 0


def read_disks(paths: Sequence[str] = DISK_PATHS) -> list[dict[str, Any]]:
    """Total and free space behind each path, and which file system that is."""
    disks = []
    for path in paths:
        there = Path(path)
        while not there.exists():
            there = there.parent
        usage = shutil.disk_usage(there)
        disks.append(
            {
                "path": path,
                "device": str(there.stat().st_dev),
                "total_mb": usage.total // 1048576,
                "free_mb": usage.free // 1048576,
            }
        )
    return disks


def decode_address(text: str) -> str:
    """An address as ``/proc/net/tcp`` writes it: words of four bytes in the machine's own order."""
    import socket

    packed = bytes.fromhex(text)
    words = struct.unpack(f"{len(packed) // 4}I", packed)
    network = struct.pack(f">{len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(network) == 4 else socket.AF_INET6, network)


def parse_listening(table: str) -> Iterator[tuple[str, int, str]]:
    """Address, port and inode of every listening socket of a ``/proc/net/tcp`` table."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == LISTEN:
            address, _colon, port = fields[1].partition(":")
            yield decode_address(address), int(port, 16), fields[9]


def unit_of(cgroup: str) -> str:
    """The systemd unit in the text of ``/proc/<pid>/cgroup``; empty where there is none."""
    units = _UNIT.findall(cgroup)
    return _UNIT_ESCAPE.sub(lambda match: chr(int(match[1], 16)), units[-1]) if units else ""


def _owners(inodes: set[str], proc: Path) -> dict[str, tuple[str, str]]:
    """Process name and unit behind each socket. Process 1 holds a socket for a unit that may not have started yet."""
    owners: dict[str, tuple[str, str]] = {}
    for directory in sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name), reverse=True):
        try:
            links = [str(link.readlink()) for link in (directory / "fd").iterdir()]
            held = {link[8:-1] for link in links if link.startswith("socket:[")} & inodes
            if not held:
                continue
            name = (directory / "comm").read_text(encoding="utf-8").strip()
            unit = unit_of((directory / "cgroup").read_text(encoding="utf-8"))
        except OSError:
            continue  # the process has ended meanwhile
        for inode in held:
            if inode not in owners:
                owners[inode] = (name, unit)
    return owners


def read_listening(socket_units: Mapping[int, str], proc: Path = Path("/proc")) -> list[dict[str, Any]]:
    """Every listening TCP socket with its process and unit.

    :param socket_units: socket unit by port, for sockets that systemd holds itself.
    """
    found = []
    for name in ("tcp", "tcp6"):
        table = proc / "net" / name
        if table.exists():
            found += list(parse_listening(table.read_text(encoding="utf-8")))
    owners = _owners({inode for _address, _port, inode in found}, proc)
    sockets = []
    for address, port, inode in found:
        process, unit = owners.get(inode, ("", ""))
        if process == "systemd":
            unit = socket_units.get(port, unit)
        sockets.append({"address": address, "port": port, "process": process, "unit": unit})
    return sorted(sockets, key=lambda item: (item["port"], item["address"]))


def parse_socket_units(listing: str) -> dict[int, str]:
    """Port to socket unit, from ``systemctl list-sockets --no-legend``."""
    units = {}
    for line in listing.splitlines():
        match = re.match(r"\S*?(\d+)\s+(\S+\.socket)", line)
        if match:
            units[int(match[1])] = match[2]
    return units


def read_machine_id(root: Path = Path("/")) -> str:
    """The machine-id; empty where there is none."""
    path = root / "etc/machine-id"
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def read_init(root: Path = Path("/")) -> str:
    """Name of process 1."""
    path = root / "proc/1/comm"
    return path.read_text(encoding="utf-8").strip() if path.exists() else "unknown"


def read_host(root: Path = Path("/")) -> dict[str, Any]:
    """Everything that needs neither a process nor a connection."""
    return {
        "os": read_os(root),
        "architecture": os.uname().machine,
        "python": list(sys.version_info[:3]),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": read_memory_mb(root),
        "disks": read_disks(),
        "init": read_init(root),
        "systemd": (root / "run/systemd/system").is_dir(),
        "uid": os.geteuid(),
        "machine_id": read_machine_id(root),
        # Made by the first role, before anything listens: what listens later may be the collection's own.
        "managed": (root / "etc/aigo").is_dir(),
    }
