# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which generation of the application runs, and how the next one takes over without a lost request.

A template unit such as ``aigo-api@.service`` runs as the instance ``main``. Its sockets belong to systemd, so a second
instance, ``bridge``, accepts from them while ``main`` is exchanged.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Systemd, UnitState

_JOURNAL_LINES = 40


class GenerationError(Exception):
    """A unit did not start; the message says which, what still serves, and what its journal says."""


@dataclass(frozen=True)
class Service:
    """A unit to care for: ``name`` is a service, or a template that is exchanged by a bridge."""

    name: str
    sockets: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()

    @property
    def main(self) -> str:
        """The unit that runs in the steady state."""
        return self.name.replace("@.", "@main.")

    @property
    def bridge(self) -> str:
        """The unit that serves while ``main`` is exchanged; empty for a plain service."""
        return self.name.replace("@.", "@bridge.") if "@." in self.name else ""

    def digests(self) -> dict[str, str]:
        """Digest what the service and its sockets are started with, separately."""
        files = [f"/etc/systemd/system/{socket}{suffix}" for socket in self.sockets for suffix in ("", ".d")]
        return {"watch": digest(self.watch), "sockets": digest(files)}

    @property
    def units(self) -> list[str]:
        """All units, in the order in which they are asked about."""
        return [unit for unit in (self.main, self.bridge, *self.sockets) if unit]


@dataclass(frozen=True)
class Plan:
    """What is due for one service. ``action`` is what happens to ``main``: none, start, restart, hand_over or rebind.

    ``bind`` names sockets that are (re)started; a running ``main`` has to be stopped for that, which is a rebind.
    """

    action: str
    reason: str = ""
    stop_bridge: bool = False
    enable: tuple[str, ...] = ()
    bind: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything happens."""
        return bool(self.action != "none" or self.stop_bridge or self.enable or self.bind)


def digest(paths: Sequence[str]) -> str:
    """Digest what the paths hold: content of files (of all below a directory), targets of links.

    A link counts by where it points and not by what is there, so that a release counts by its name. An absent path
    counts too: its appearance is a change.
    """
    total = hashlib.sha256()
    for path in paths:
        for entry in _entries(Path(path)):
            total.update(json.dumps(entry).encode())
    return total.hexdigest()


def _entries(path: Path) -> Iterator[list[str]]:
    if path.is_symlink():
        yield [str(path), "link", str(path.readlink())]
    elif path.is_dir():
        yield [str(path), "directory", ""]
        for child in sorted(path.iterdir()):
            yield from _entries(child)
    elif path.is_file():
        yield [str(path), "file", hashlib.sha256(path.read_bytes()).hexdigest()]
    else:
        yield [str(path), "absent", ""]


def plan(
    service: Service, states: Mapping[str, UnitState], recorded: Mapping[str, str] | None, wanted: Mapping[str, str]
) -> Plan:
    """Decide what is due. ``recorded`` are the digests with which ``main`` was last started, ``wanted`` the present."""
    main = states[service.main]
    bridging = bool(service.bridge) and states[service.bridge].active not in ("inactive", "failed")
    redefined = recorded is not None and recorded.get("sockets") != wanted["sockets"]
    bind = tuple(unit for unit in service.sockets if redefined or not states[unit].running)
    if not main.running:
        action, reason = "start", f"{service.main} is {main.active}"
    elif bind:
        action, reason = "rebind", "a socket has changed" if redefined else "a socket does not listen"
    elif recorded != wanted:
        action = "hand_over" if service.bridge else "restart"
        reason = "what it was started with has changed" if recorded else "it was not started by this module"
    else:
        action, reason = "none", ""
    return Plan(
        action=action,
        reason=reason or (f"{service.bridge} was left running" if bridging else ""),
        stop_bridge=bridging,
        enable=tuple(unit for unit in (*service.sockets, service.main) if not states[unit].enabled),
        bind=bind,
    )


class Generations:
    """Carries plans out and remembers, for each service, what its running generation was started with."""

    def __init__(self, systemd: Systemd, record: Path) -> None:
        self._systemd = systemd
        self._record = record

    def recorded(self) -> dict[str, dict[str, str]]:
        """Return the digests by service; a missing or damaged record means that nothing is known."""
        try:
            known: Any = json.loads(self._record.read_text())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def states(self, services: Sequence[Service]) -> dict[str, UnitState]:
        """Ask systemd about all units at once."""
        return self._systemd.show(list(dict.fromkeys(unit for service in services for unit in service.units)))

    def apply(self, service: Service, plan: Plan, wanted: Mapping[str, str]) -> None:
        """Carry the plan out. What goes wrong leaves something serving wherever that is possible."""
        if plan.enable:
            self._act("enable", *plan.enable)
        if plan.bind:
            # systemd refuses to start a socket whose service runs, and a port is free only when nobody holds it.
            self._act("stop", *filter(None, (service.main, service.bridge)))
            for socket in plan.bind:
                self._start(socket, "restart")
        if plan.action in ("start", "rebind"):
            self._start(service.main)
        elif plan.action == "restart":
            self._start(service.main, "restart")
        elif plan.action == "hand_over":
            self._hand_over(service, left_running=plan.stop_bridge)
        if (plan.stop_bridge and not plan.bind) or plan.action == "hand_over":
            self._act("stop", service.bridge)
        if plan.action != "none":
            self._remember(service, wanted)

    def reload_if_needed(self, states: Mapping[str, UnitState]) -> None:
        """Let systemd read changed unit files, or no start would use them."""
        if any(state.need_reload for state in states.values()):
            done = self._systemd.daemon_reload()
            if done.rc != 0:
                raise GenerationError(f"systemctl daemon-reload failed: {done.err.strip()}")

    def _hand_over(self, service: Service, *, left_running: bool) -> None:
        try:
            # A bridge that an interrupted run left may be of any generation.
            self._start(service.bridge, "restart" if left_running else "start")
        except GenerationError as error:
            self._systemd.act("stop", service.bridge)
            self._systemd.act("reset-failed", service.bridge)
            raise GenerationError(
                f"{service.main} goes on unchanged, because the next generation failed: {error}"
            ) from None
        try:
            self._start(service.main, "restart")
        except GenerationError as error:
            raise GenerationError(f"{service.bridge} serves in its place, leave it running: {error}") from None

    def _start(self, unit: str, verb: str = "start") -> None:
        begun = time.time()
        done = self._systemd.act(verb, unit)
        if done.rc != 0:
            journal = self._systemd.journal(unit, since=begun, lines=_JOURNAL_LINES)
            raise GenerationError(f"systemctl {verb} {unit} failed: {done.err.strip()}\nits journal:\n{journal}")

    def _act(self, verb: str, *units: str) -> None:
        done = self._systemd.act(verb, *units)
        if done.rc != 0:
            raise GenerationError(f"systemctl {verb} {' '.join(units)} failed: {done.err.strip()}")

    def _remember(self, service: Service, wanted: Mapping[str, str]) -> None:
        self._record.parent.mkdir(parents=True, exist_ok=True)
        new = self._record.with_name(f".{self._record.name}.new")
        new.write_text(json.dumps({**self.recorded(), service.name: dict(wanted)}, indent=1))
        new.chmod(0o600)
        new.replace(self._record)
