# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight: what is looked at, what is found, and how it is told."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HIDDEN = "(hidden)"
_WIDTH = 100


@dataclass(frozen=True)
class Problem:
    """One finding: where it is, what is wrong, how to mend it. ``host`` is empty where it concerns the whole site."""

    host: str
    variable: str
    value: str
    wrong: str
    mend: str
    warning: bool = False


@dataclass(frozen=True)
class Unresolved:
    """Stands for the value of a variable that could not be evaluated."""

    reason: str


@dataclass(frozen=True)
class Host:
    """A host of the inventory: its groups, and the variables that are set for it (evaluated where they are ours)."""

    name: str
    groups: tuple[str, ...]
    variables: Mapping[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """Value of a variable, or ``default`` where it is absent or could not be evaluated."""
        value = self.variables.get(name, default)
        return default if isinstance(value, Unresolved) else value


@dataclass(frozen=True)
class Role:
    """A role's contract: its options and its defaults."""

    name: str
    options: Mapping[str, Mapping[str, Any]]
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Site:
    """All that is known about a site without a connection to any of its hosts."""

    hosts: Sequence[Host]
    groups: Mapping[str, Sequence[str]]
    roles: Mapping[str, Role]
    variables: Mapping[str, Mapping[str, Any]]
    wiring: frozenset[str] = frozenset()
    computed: frozenset[str] = frozenset()
    overridden: frozenset[str] = frozenset()
    connection_variables: frozenset[str] = frozenset()
    variable_files: Sequence[tuple[str, str, str]] = ()
    ports: Sequence[tuple[str, tuple[str, ...], int]] = ()

    def host(self, name: str) -> Host:
        """A host by its name."""
        return next(host for host in self.hosts if host.name == name)

    def value(self, name: str, default: Any = None) -> Any:
        """A variable of the whole site: its first usable value."""
        for host in self.hosts:
            value = host.get(name)
            if value is not None:
                return value
        return default


def show(value: Any) -> str:
    """A value as people write it: short, on one line."""
    if isinstance(value, Unresolved):
        return "(can't be evaluated)"
    text = repr(value) if isinstance(value, str) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known name that is most like ``name``, or nothing."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint for the end of a mend: empty where nothing is near."""
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def _merged(problems: Sequence[Problem]) -> list[tuple[list[str], Problem]]:
    """Problems that differ in nothing but the host, together."""
    found: dict[Problem, list[str]] = {}
    for problem in problems:
        key = Problem("", problem.variable, problem.value, problem.wrong, problem.mend, problem.warning)
        hosts = found.setdefault(key, [])
        if problem.host and problem.host not in hosts:
            hosts.append(problem.host)
    return [(hosts, problem) for problem, hosts in found.items()]


def _block(number: int, hosts: Sequence[str], problem: Problem) -> str:
    rows = [("host", ", ".join(hosts) or "the whole site")]
    rows += [("variable", problem.variable)] if problem.variable else []
    rows += [("value", problem.value)] if problem.value else []
    rows += [("wrong", problem.wrong), ("mend", problem.mend)]
    lines: list[str] = []
    for label, text in rows:
        head = f"{number:>3}. " if not lines else " " * 5
        wrapped = textwrap.wrap(text, _WIDTH - 15, break_long_words=False, break_on_hyphens=False) or [""]
        lines.append(f"{head}{label:<10}{wrapped[0]}")
        lines += [" " * 15 + line for line in wrapped[1:]]
    return "\n".join(lines)


def render(problems: Sequence[Problem], what: str) -> str:
    """All problems as aligned blocks under one heading; ``what`` says what was looked at."""
    merged = _merged(problems)
    count = f"{len(merged)} mistake{'s' if len(merged) != 1 else ''}"
    if all(problem.warning for problem in problems):
        count = f"{len(merged)} warning{'s' if len(merged) != 1 else ''}"
    blocks = [_block(number, hosts, problem) for number, (hosts, problem) in enumerate(merged, 1)]
    return "\n\n".join([f"{count} in {what}", *blocks])
