# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration set as one transaction: validate, swap, activate, or put everything back."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.aigo.onprem.plugins.module_utils._config_set import (
    Accounts,
    Change,
    ConfigSetError,
    Plan,
    WantedSet,
    plan,
)
from ansible_collections.aigo.onprem.plugins.module_utils._config_set_journal import Memory
from ansible_collections.aigo.onprem.plugins.module_utils._config_set_units import (
    Step,
    confirm,
    plan_units,
    take_step,
)
from ansible_collections.aigo.onprem.plugins.module_utils._config_set_validate import (
    Stage,
    missing_program,
    run_staged,
)
from ansible_collections.aigo.onprem.plugins.module_utils._files import ABSENT, entry_diff, put_entry
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Systemd, UnitState, mask_keyed_secrets


@dataclass(frozen=True)
class Context:
    """What a run works with; tests put their own things in."""

    memory: Memory
    systemd: Systemd
    accounts: Accounts
    check_mode: bool = False
    diff: bool = False


def converge(wanted: WantedSet, context: Context) -> dict[str, Any]:
    """Bring the host to the set. Returns the module's result; raises ConfigSetError when nothing could be changed."""
    if context.check_mode:
        return _predict(wanted, context)
    with context.memory.locked():
        recovered = _recover(wanted, context)
        planned = plan(wanted, context.memory.digest, context.accounts)
        if planned.unknown_accounts:
            raise ConfigSetError(
                f"config_set {wanted.name}: the host has no {', no '.join(planned.unknown_accounts)}. "
                "Mend: install the package or make the account first, or correct `owner` and `group`",
                step="plan",
            )
        states = context.systemd.show([unit.name for unit in wanted.units])
        steps = plan_units(wanted.units, states, planned.activate, planned.paths)
        if planned.changes or planned.activate:
            _validate(wanted, planned.changes)
        if planned.changes or steps:
            steps = _change(wanted, planned, steps, states, context)
        if planned.changes or steps or planned.activate:
            context.memory.succeed(planned.digest, planned.managed)
    return _result(wanted, planned, steps, states, context, recovered)


def _recover(wanted: WantedSet, context: Context) -> list[str]:
    if not context.memory.interrupted:
        return []
    outcome = context.memory.restore(context.systemd)
    if outcome.files_failed:
        raise ConfigSetError(
            f"config_set {wanted.name}: an earlier run was killed, and these of its changes cannot be put back: "
            f"{'; '.join(outcome.files_failed)}. Mend: see why the paths cannot be written, and run again",
            step="recover",
        )
    return outcome.restored


def _predict(wanted: WantedSet, context: Context) -> dict[str, Any]:
    planned = plan(wanted, context.memory.digest, context.accounts)
    states = context.systemd.show([unit.name for unit in wanted.units])
    steps = plan_units(wanted.units, states, planned.activate, planned.paths)
    result = _result(wanted, planned, steps, states, context, [])
    if context.memory.interrupted:
        result["changed"] = True
    present = [command for command in wanted.validate if not missing_program(command)]
    if planned.changes and not planned.unknown_accounts and present:
        try:
            _run_validators(wanted, planned.changes, present)
        except (ConfigSetError, OSError) as error:
            result["warnings"] = [f"not a check-mode error, as earlier tasks changed nothing: {error}"]
    return result


def _validate(wanted: WantedSet, changes: tuple[Change, ...]) -> None:
    missing = [program for command in wanted.validate if (program := missing_program(command))]
    if missing:
        raise ConfigSetError(
            f"config_set {wanted.name}: the validator {missing[0]!r} is not on this host, nothing was changed. "
            "Mend: install its package first, or correct `validate`",
            step="validate",
        )
    _run_validators(wanted, changes, list(wanted.validate))


def _run_validators(wanted: WantedSet, changes: tuple[Change, ...], commands: list[str]) -> None:
    if not commands:
        return
    directory = Path(tempfile.mkdtemp(prefix="config_set-"))
    try:
        stage = Stage(directory / "stage")
        stage.add(changes)
        for command in commands:
            done = run_staged(command, stage.binds)
            if done.rc:
                output = mask_secrets(f"{done.out}\n{done.err}".strip(), wanted)
                raise ConfigSetError(
                    f"config_set {wanted.name}: `{command}` refuses the new files (exit code {done.rc}), nothing was "
                    f"changed:\n{output}\nMend: correct the variables or templates that the lines above speak of",
                    step="validate",
                )
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _change(
    wanted: WantedSet, planned: Plan, steps: list[Step], states: Mapping[str, UnitState], context: Context
) -> list[Step]:
    """Swap the files and activate the units; on any failure put everything back. Returns the steps really taken."""
    since = time.time()
    context.memory.begin(planned.changes, states)
    stopped = {unit.name for unit in wanted.units if unit.state == "stopped"}
    stops = [step for step in steps if step.unit in stopped]
    starts = [step for step in steps if step.unit not in stopped]
    phase = "activate"
    try:
        _take(stops, since, context)  # while their unit files are still there
        phase = "write"
        for change in planned.changes:
            put_entry(change.path, change.after)
        phase = "activate"
        if planned.daemon_reload or any(state.need_reload for state in states.values()):
            context.systemd.daemon_reload()
            running = [unit for unit in wanted.units if unit.name not in stopped]
            fresh = context.systemd.show([unit.name for unit in running])
            starts = plan_units(running, fresh, planned.activate, planned.paths)
        _take(starts, since, context)
        confirm(context.systemd, starts, states, since)
    except (ConfigSetError, OSError) as error:
        raise _undone(wanted, error, phase, context) from error
    return stops + starts


def _take(steps: list[Step], since: float, context: Context) -> None:
    for step in steps:
        context.memory.touch(step)
        take_step(context.systemd, step, since)


def _undone(wanted: WantedSet, error: Exception, phase: str, context: Context) -> ConfigSetError:
    details = dict(error.details) if isinstance(error, ConfigSetError) else {"step": phase}
    outcome = context.memory.restore(context.systemd)
    lines = [f"config_set {wanted.name}: {error}"]
    if journal := details.pop("journal", None):
        lines.append(f"The last lines of its journal:\n{journal}")
    lines.append(outcome.describe())
    lines.append("Mend: correct what the lines above speak of and run again; the activation will be repeated.")
    return ConfigSetError(mask_secrets("\n".join(lines), wanted), **{**details, "restored": outcome.restored})


def mask_secrets(text: str, wanted: WantedSet) -> str:
    """Take values of hidden files, and whatever follows a word like "password", out of a program's output.

    A token of a hidden file is masked when it looks like a secret. A file whose whole content is one token is one.
    """
    secrets: set[str] = set()
    for file in wanted.files:
        if file.content is None or not file.hidden(ABSENT):
            continue
        tokens = [
            token for token in re.split(r"[\s\"',;<>(){}\[\]=]+", file.content.decode("utf-8", "replace")) if token
        ]
        secrets.update(token for token in tokens if _looks_secret(token))
        if len(tokens) == 1 and len(tokens[0]) >= 4:
            secrets.add(tokens[0])
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "********")
    return mask_keyed_secrets(text)


def _looks_secret(token: str) -> bool:
    """Generated secrets mix kinds of characters; words, paths, host names and addresses do so less."""
    lower, upper, digit = (re.search(kind, token) is not None for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    if len(token) < 8 or not digit:
        return False
    if lower and upper:
        return True
    return (lower or upper) and len(token) >= 12 and re.fullmatch(r"[A-Za-z0-9]+", token) is not None


def _result(
    wanted: WantedSet,
    planned: Plan,
    steps: list[Step],
    states: Mapping[str, UnitState],
    context: Context,
    recovered: list[str],
) -> dict[str, Any]:
    result: dict[str, Any] = {
        "changed": bool(planned.changes or steps or recovered),
        "files": planned.paths,
        "activated": [step.unit for step in steps if step.starts],
    }
    if recovered:
        result["warnings"] = [
            f"an earlier run of {wanted.name} was killed; its changes to {', '.join(recovered)} were put back"
        ]
    if context.diff:
        result["diff"] = [entry_diff(c.path, c.before, c.after, c.hidden) for c in planned.changes]
        result["diff"] += [_unit_diff(step, states.get(step.unit, UnitState(step.unit))) for step in steps]
    return result


def _unit_diff(step: Step, before: UnitState) -> dict[str, str]:
    return {
        "before_header": step.unit,
        "after_header": step.unit,
        "before": f"{before.describe()}\n",
        "after": f"{', '.join(step.verbs)}\n",
    }
