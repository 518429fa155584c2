# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controls, and what a host has of them: read from what is in force, never from what was meant to be written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

ABSENT = "absent"
# Keys of a control that say what is wanted of the value that was found.
EXPECTATIONS = ("equals", "any_of", "at_most", "at_least", "has", "lacks")


class ComplianceError(Exception):
    """A control that cannot be judged because it is written wrongly."""


class Host(Protocol):
    """What controls ask a host. A value that is not there is None."""

    def sysctl(self, key: str) -> str | None: ...
    def sshd(self, key: str) -> str | None: ...
    def setting(self, path: str, key: str) -> str | None: ...
    def lines(self, path: str) -> Sequence[str] | None: ...
    def mode(self, path: str) -> tuple[int, str, str] | None: ...
    def unit(self, name: str) -> tuple[str, str] | None: ...
    def package(self, name: str) -> bool: ...
    def refuses_module(self, name: str) -> bool: ...
    def mount_options(self, path: str) -> Sequence[str] | None: ...


@dataclass(frozen=True)
class Finding:
    """What was wanted and what was found. C(status): pass, fail or not_applicable."""

    wanted: str
    found: str
    status: str


def judge(control: Mapping[str, Any], host: Host) -> Finding:
    """Judge one control. Raises ComplianceError where its kind or expectation is unknown."""
    kinds = [kind for kind in _KINDS if kind in control]
    if len(kinds) != 1:
        raise ComplianceError(f"control {control.get('id')}: it needs exactly one of {', '.join(_KINDS)}")
    return _KINDS[kinds[0]](control, host)


def _value(control: Mapping[str, Any], found: str | None) -> Finding:
    wanted = [name for name in EXPECTATIONS if name in control]
    if len(wanted) != 1:
        raise ComplianceError(f"control {control.get('id')}: it needs exactly one of {', '.join(EXPECTATIONS)}")
    name, value = wanted[0], control[wanted[0]]
    text = f"{name.replace('_', ' ')} {', '.join(map(str, value)) if isinstance(value, list) else value}"
    if found is None:
        return Finding(text, ABSENT, "pass" if name == "lacks" else "fail")
    return Finding(text, found, "pass" if _meets(name, value, found) else "fail")


def _meets(name: str, value: Any, found: str) -> bool:
    if name == "equals":
        return found == str(value)
    if name == "any_of":
        return found in [str(item) for item in value]
    if name in ("has", "lacks"):
        return (re.search(str(value), found, re.MULTILINE) is not None) is (name == "has")
    try:
        return int(found) <= int(value) if name == "at_most" else int(found) >= int(value)
    except ValueError:
        return False


def _sysctl(control: Mapping[str, Any], host: Host) -> Finding:
    found = host.sysctl(control["sysctl"])
    finding = _value(control, found)
    # A kernel without the feature has nothing to switch off.
    return finding if found is not None else Finding(finding.wanted, ABSENT, "not_applicable")


def _sshd(control: Mapping[str, Any], host: Host) -> Finding:
    return _value(control, host.sshd(control["sshd"]))


def _setting(control: Mapping[str, Any], host: Host) -> Finding:
    path, key = control["setting"]
    return _value(control, host.setting(path, key))


def _line(control: Mapping[str, Any], host: Host) -> Finding:
    lines = host.lines(control["line"])
    pattern = control.get("has", control.get("lacks"))
    if lines is None or pattern is None:
        return _value(control, None)
    matching = [line for line in lines if re.search(str(pattern), line)]
    if "lacks" in control:
        return Finding(f"no line {pattern}", matching[0] if matching else ABSENT, "fail" if matching else "pass")
    return Finding(f"line {pattern}", matching[0] if matching else ABSENT, "pass" if matching else "fail")


def _mode(control: Mapping[str, Any], host: Host) -> Finding:
    limit, owner = int(str(control["at_most"]), 8), str(control.get("owner", "root"))
    wanted = f"at most {limit:04o}, owner {owner}"
    found = host.mode(control["mode"])
    if found is None:
        return Finding(wanted, ABSENT, "not_applicable")
    mode, user, group = found
    good = not mode & ~limit and user == owner
    return Finding(wanted, f"{mode:04o} {user}:{group}", "pass" if good else "fail")


def _unit(control: Mapping[str, Any], host: Host) -> Finding:
    wanted = str(control.get("equals", "active"))
    found = host.unit(control["unit"])
    if found is None:
        return Finding(wanted, ABSENT, "pass" if wanted == "inactive" else "fail")
    active, enabled = found
    good = active == wanted if wanted != "active" else active == "active" and enabled not in ("disabled", "masked")
    return Finding(wanted, f"{active}, {enabled}", "pass" if good else "fail")


def _package(control: Mapping[str, Any], host: Host) -> Finding:
    wanted = str(control.get("equals", "installed"))
    found = "installed" if host.package(control["package"]) else ABSENT
    return Finding(wanted, found, "pass" if found == wanted else "fail")


def _module(control: Mapping[str, Any], host: Host) -> Finding:
    refused = host.refuses_module(control["module"])
    return Finding("refused", "refused" if refused else "can be loaded", "pass" if refused else "fail")


def _mount(control: Mapping[str, Any], host: Host) -> Finding:
    options = host.mount_options(control["mount"])
    wanted = ",".join(control["options"])
    if options is None:
        return Finding(wanted, "no file system of its own", "not_applicable")
    missing = [option for option in control["options"] if option not in options]
    return Finding(wanted, ",".join(options), "fail" if missing else "pass")


_KINDS: dict[str, Callable[[Mapping[str, Any], Host], Finding]] = {
    "sysctl": _sysctl,
    "sshd": _sshd,
    "setting": _setting,
    "line": _line,
    "mode": _mode,
    "unit": _unit,
    "package": _package,
    "module": _module,
    "mount": _mount,
}
