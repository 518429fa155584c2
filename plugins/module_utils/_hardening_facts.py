# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hardening has to know of a host before it changes anything: who came in how, and what the kernel allows."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Runner, run_command

_NETLINK_AUDIT = 9
_AUDIT_GET = 1000
_NLM_F_REQUEST = 1
_IMMUTABLE = 2
_RUNTIMES = ("dockerd", "containerd", "podman", "libvirtd", "incusd", "lxd")


def connecting_user(environment: Mapping[str, str] | None = None) -> str:
    """The account that signed in: the one that called sudo, else the one that runs."""
    environment = os.environ if environment is None else environment
    name = environment.get("SUDO_USER") or environment.get("DOAS_USER")
    return name or pwd.getpwuid(os.getuid()).pw_name


def controller(proc: Path = Path("/proc"), pid: int | None = None) -> str:
    """The address that the session comes from, empty where there is none. sudo drops it from the environment, so the
    processes above are asked."""
    current = os.getpid() if pid is None else pid
    while current > 1:
        try:
            environment = (proc / str(current) / "environ").read_bytes().split(b"\0")
            # The name of the program, in brackets, may hold blanks.
            current = int((proc / str(current) / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return ""
        for item in environment:
            if item.startswith(b"SSH_CONNECTION="):
                return item.partition(b"=")[2].split()[0].decode()
    return ""


def parse_sshd(text: str) -> dict[str, Any]:
    """Ports and explicit addresses from C(sshd -T). Without any output: port 22 on every address."""
    ports, addresses = [], []
    for line in text.splitlines():
        key, _space, value = line.partition(" ")
        if key == "port":
            ports.append(int(value))
        elif key == "listenaddress":
            addresses.append(value.strip())
    explicit = [address for address in addresses if not address.startswith(("0.0.0.0:", "[::]:"))]
    return {"ports": ports or [22], "addresses": addresses if explicit else []}


def audit_state() -> str:
    """C(open) where audit rules can be loaded, C(locked) until the next boot, C(none) where the kernel refuses.

    Most containers are refused.
    """
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_AUDIT) as link:
            link.settimeout(2)
            link.bind((0, 0))
            link.send(struct.pack("=LHHLL", 16, _AUDIT_GET, _NLM_F_REQUEST, 1, 0))
            answer = link.recv(8192)
    except OSError:
        return "none"
    if struct.unpack_from("=LH", answer)[1] != _AUDIT_GET:
        return "none"
    # After the header of 16 bytes comes struct audit_status: mask, then enabled (2: immutable).
    return "locked" if struct.unpack_from("=LL", answer, 16)[1] == _IMMUTABLE else "open"


def _has(path: str, wanted: str) -> bool:
    try:
        return Path(path).read_text().strip() == wanted
    except OSError:
        return False


def routes_on_purpose(texts: Sequence[str]) -> bool:
    """Whether somebody wrote down that the host forwards packets. The running value alone says nothing of a purpose."""
    wanted = re.compile(r"^\s*-?net[./]ipv[46][./](?:ip_forward|conf[./]all[./]forwarding)\s*=\s*1\b", re.MULTILINE)
    return any(wanted.search(text) for text in texts)


def _sysctl_files() -> list[str]:
    found = [Path("/etc/sysctl.conf"), *Path("/etc/sysctl.d").glob("*.conf")]
    return [path.read_text(errors="replace") for path in found if path.is_file()]


def learns_routes(text: str) -> bool:
    """Whether C(ip -6 route show) has a route that a router advertised: without it, IPv6 would be cut off."""
    return any(" proto ra" in f" {line}" for line in text.splitlines())


def collect(runner: Runner = run_command, runtimes: Sequence[str] = _RUNTIMES) -> dict[str, Any]:
    """All of it. Reads only, and needs no package."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin"
    found = [name for name in runtimes if shutil.which(name, path=path)]
    return {
        "user": connecting_user(),
        "controller": controller(),
        "ssh": parse_sshd(runner(["sshd", "-T"]).out),
        "audit": audit_state(),
        "apparmor": _has("/sys/module/apparmor/parameters/enabled", "Y"),
        "runtimes": found,
        "forwards": bool(found) or routes_on_purpose(_sysctl_files()),
        "advertised_routes": learns_routes(runner(["ip", "-6", "route", "show"]).out),
        "grub": Path("/etc/default/grub").is_file(),
    }
