# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The units of a configuration set: what each needs, and whether it really runs afterwards."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.aigo.onprem.plugins.module_utils._config_set import (
    ConfigSetError,
    WantedUnit,
    belongs_to_unit,
)
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Systemd, UnitState

# A service of Type=simple is "active" the moment it was forked; this long it has to stay so.
_SETTLE = 1.5
_STARTING = frozenset({"start", "restart", "reload"})


@dataclass(frozen=True)
class Step:
    """What happens to one unit, in order: any of unmask, enable, disable, then start, restart, reload or stop."""

    unit: str
    verbs: tuple[str, ...]

    @property
    def starts(self) -> bool:
        """True where the unit is to run after the step."""
        return bool(_STARTING.intersection(self.verbs))


def plan_units(
    wanted: Sequence[WantedUnit], states: Mapping[str, UnitState], activate: bool, changed_paths: Collection[str]
) -> list[Step]:
    """The steps that bring the units where they are wanted; units with nothing to do have no step."""
    steps = []
    for unit in wanted:
        verbs = _verbs(unit, states.get(unit.name, UnitState(unit.name)), activate, changed_paths)
        if verbs:
            steps.append(Step(unit.name, tuple(verbs)))
    return steps


def _verbs(unit: WantedUnit, state: UnitState, activate: bool, changed_paths: Collection[str]) -> list[str]:
    if unit.state == "stopped":
        off = ["disable"] if unit.enabled is False and state.file in ("enabled", "enabled-runtime") else []
        return off + (["stop"] if state.running or state.active == "activating" else [])
    verbs = ["unmask"] if state.masked else []
    if unit.enabled and not state.enabled:
        verbs.append("enable")
    elif unit.enabled is False and state.file in ("enabled", "enabled-runtime"):
        verbs.append("disable")
    return verbs + _activation(unit, state, activate, changed_paths)


def _activation(unit: WantedUnit, state: UnitState, activate: bool, changed_paths: Collection[str]) -> list[str]:
    due = activate and unit.on_change != "none"
    if state.runs_once:
        return ["restart"] if due or state.active == "failed" else []
    if not state.running:
        return ["start"]
    if not due:
        return []
    own_file = any(belongs_to_unit(path, unit.name) for path in changed_paths)
    return ["restart" if own_file else unit.on_change]


def take_step(systemd: Systemd, step: Step, since: float) -> None:
    """Do one step. Raises ConfigSetError with the unit's journal when systemd refuses."""
    for verb in step.verbs:
        done = systemd.act(verb, step.unit)
        if done.rc:
            raise unit_error(systemd, step.unit, f"`systemctl {verb}` failed: {done.err.strip()}", since)


def confirm(systemd: Systemd, steps: Sequence[Step], before: Mapping[str, UnitState], since: float) -> None:
    """See that what was started stays up. Raises ConfigSetError for the first unit that does not."""
    started = [step for step in steps if step.starts]
    if not started:
        return
    if any(step.unit.endswith(".service") for step in started):
        time.sleep(_SETTLE)
    after = systemd.show([step.unit for step in started])
    for step in started:
        problem = _problem(step, before.get(step.unit, UnitState(step.unit)), after[step.unit])
        if problem:
            raise unit_error(systemd, step.unit, problem, since)


def _problem(step: Step, before: UnitState, after: UnitState) -> str | None:
    if after.runs_once and after.active != "failed":
        return None if after.result == "success" else f"it ended with result {after.result}"
    if not after.running:
        if not after.condition:
            return "a Condition of the unit is not met (see `systemctl status`), so systemd did not start it"
        return f"it did not stay active: {after.active} ({after.sub}), result {after.result}"
    if after.restarts > (before.restarts if "reload" in step.verbs else 0):
        return f"it crashed and was started again by systemd ({after.restarts} times)"
    return None


def unit_error(systemd: Systemd, unit: str, problem: str, since: float) -> ConfigSetError:
    """An error about a unit, with what it logged since the set was swapped."""
    return ConfigSetError(f"{unit}: {problem}", step="activate", unit=unit, journal=systemd.journal(unit, since))


def undo_steps(systemd: Systemd, steps: Sequence[Step], before: Mapping[str, UnitState]) -> list[str]:
    """Bring touched units back to how they were, now that their old files are in place. Returns what did not work."""
    failures = []
    for step in reversed(steps):
        was = before.get(step.unit, UnitState(step.unit))
        for verb in _undo_verbs(step, was):
            done = systemd.act(verb, step.unit)
            if done.rc and verb != "reset-failed":
                failures.append(f"`systemctl {verb} {step.unit}`: {done.err.strip()}")
    return failures


def _undo_verbs(step: Step, was: UnitState) -> list[str]:
    verbs = []
    if step.starts and was.runs_once:
        verbs.append("reset-failed")
    elif step.starts:
        # A reload that failed may have left the service dead: restart unless it only has to read its files again.
        back = "reload-or-restart" if "reload" in step.verbs else "restart"
        verbs += ["reset-failed", back] if was.running else ["stop", "reset-failed"]
    elif "stop" in step.verbs and was.running:
        verbs.append("start")
    if "enable" in step.verbs:
        verbs.append("disable")
    elif "disable" in step.verbs:
        verbs.append("enable")
    if "unmask" in step.verbs:
        verbs.append("mask")
    return verbs
