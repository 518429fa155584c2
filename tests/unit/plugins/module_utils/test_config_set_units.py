"""Each unit gets exactly what it needs, and undoing brings back how it was."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils import _config_set_units as units
from ansible_collections.aigo.onprem.plugins.module_utils._config_set import ConfigSetError, WantedUnit
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Completed, Systemd, UnitState

RUNNING: dict[str, Any] = {"load": "loaded", "active": "active", "sub": "running", "file": "enabled", "type": "notify"}


def verbs(
    *, activate: bool = False, state: dict[str, Any] | None = None, changed: Collection[str] = (), **wanted: Any
) -> tuple[str, ...]:
    unit = WantedUnit(**{"name": "a.service", "state": "started", "enabled": True, "on_change": "restart", **wanted})
    found = {"a.service": UnitState("a.service", **(RUNNING | (state or {})))}
    steps = units.plan_units([unit], found, activate, changed)
    return steps[0].verbs if steps else ()


def test_a_unit_that_runs_and_is_enabled_needs_nothing() -> None:
    assert verbs() == ()


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({"activate": True}, ("restart",)),
        ({"activate": True, "on_change": "reload"}, ("reload",)),
        ({"activate": True, "on_change": "none"}, ()),
        ({"activate": True, "on_change": "reload", "changed": ["/etc/systemd/system/a.service"]}, ("restart",)),
        ({"state": {"active": "inactive"}}, ("start",)),
        ({"state": {"active": "failed"}, "activate": True}, ("start",)),
        ({"state": {"active": "inactive"}, "on_change": "none"}, ("start",)),
        ({"state": {"file": "disabled"}}, ("enable",)),
        ({"state": {"file": "static"}}, ()),
        ({"state": {"file": "enabled-runtime"}}, ("enable",)),
        ({"enabled": False}, ("disable",)),
        ({"state": {"load": "masked", "active": "inactive", "file": "masked"}}, ("unmask", "enable", "start")),
        ({"state": {"type": "oneshot", "active": "inactive"}}, ()),
        ({"state": {"type": "oneshot", "active": "inactive"}, "activate": True}, ("restart",)),
        ({"state": {"type": "oneshot", "active": "failed"}}, ("restart",)),
        ({"state": {"type": "oneshot", "active": "inactive", "remain_after_exit": True}}, ("start",)),
    ],
)
def test_a_unit_gets_what_it_needs(options: dict[str, Any], needed: tuple[str, ...]) -> None:
    assert verbs(**options) == needed


@pytest.mark.parametrize(
    ("state", "needed"),
    [
        ({}, ("disable", "stop")),
        ({"active": "inactive", "file": "disabled"}, ()),
        ({"active": "inactive", "file": "masked", "load": "masked"}, ()),
        ({"active": "inactive", "file": "", "load": "not-found"}, ()),
        ({"active": "active", "file": "", "load": "not-found"}, ("stop",)),
    ],
)
def test_a_unit_that_is_to_be_stopped(state: dict[str, Any], needed: tuple[str, ...]) -> None:
    unit = WantedUnit("a.service", "stopped", False, "restart")
    steps = units.plan_units([unit], {"a.service": UnitState("a.service", **(RUNNING | state))}, True, [])
    assert (steps[0].verbs if steps else ()) == needed


class Recorder:
    """A systemd that says what it is told to say, and remembers what it was asked."""

    def __init__(self, show: str = "", failing: Collection[str] = ()) -> None:
        self.show = show
        self.failing = failing
        self.calls: list[str] = []

    def __call__(self, argv: Sequence[str]) -> Completed:
        self.calls.append(" ".join(part for part in argv if part != "--"))
        if argv[0] == "journalctl":
            return Completed(0, "it says why", "")
        if argv[1] == "show":
            return Completed(0, self.show, "")
        return Completed(1 if argv[1] in self.failing else 0, "", "refused")


@pytest.mark.parametrize(
    ("show", "fault"),
    [
        ("ActiveState=failed\nSubState=failed\nResult=exit-code", "did not stay active"),
        ("ActiveState=activating\nSubState=auto-restart\nResult=exit-code", "did not stay active"),
        ("ActiveState=inactive\nSubState=dead\nConditionResult=no", "Condition of the unit is not met"),
        ("ActiveState=active\nNRestarts=2", "crashed and was started again"),
        ("ActiveState=inactive\nType=oneshot\nResult=exit-code", "ended with result exit-code"),
    ],
)
def test_a_unit_that_does_not_stay_up_is_noticed(show: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "_SETTLE", 0)
    recorder = Recorder(f"LoadState=loaded\n{show}")
    with pytest.raises(ConfigSetError, match=fault) as error:
        units.confirm(Systemd(recorder), [units.Step("a.service", ("restart",))], {}, 0)
    assert error.value.details["journal"] == "it says why"


@pytest.mark.parametrize("show", ["ActiveState=active", "ActiveState=reloading", "ActiveState=inactive\nType=oneshot"])
def test_a_unit_that_is_up_or_has_done_its_work_is_fine(show: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "_SETTLE", 0)
    units.confirm(Systemd(Recorder(f"LoadState=loaded\n{show}")), [units.Step("a.service", ("start",))], {}, 0)


def test_a_refusal_of_systemd_ends_the_step_with_its_words() -> None:
    with pytest.raises(ConfigSetError, match="`systemctl restart` failed: refused"):
        units.take_step(Systemd(Recorder(failing={"restart"})), units.Step("a.service", ("enable", "restart")), 0)


@pytest.mark.parametrize(
    ("taken", "was", "undone"),
    [
        (("restart",), {}, ["reset-failed", "restart"]),
        (("reload",), {}, ["reset-failed", "reload-or-restart"]),
        (("enable", "start"), {"active": "inactive"}, ["stop", "reset-failed", "disable"]),
        (("disable", "stop"), {}, ["start", "enable"]),
        (("unmask", "start"), {"active": "inactive"}, ["stop", "reset-failed", "mask"]),
        (("restart",), {"type": "oneshot", "active": "inactive"}, ["reset-failed"]),
    ],
)
def test_undoing_brings_a_unit_back_to_how_it_was(
    taken: tuple[str, ...], was: dict[str, Any], undone: list[str]
) -> None:
    recorder = Recorder()
    state = UnitState("a.service", **(RUNNING | was))
    assert units.undo_steps(Systemd(recorder), [units.Step("a.service", taken)], {"a.service": state}) == []
    assert recorder.calls == [f"systemctl {verb} a.service" for verb in undone]


def test_units_are_undone_in_reverse_order_and_failures_are_told() -> None:
    recorder = Recorder(failing={"restart"})
    steps = [units.Step("a.service", ("restart",)), units.Step("b.service", ("restart",))]
    before = {name: UnitState(name, **RUNNING) for name in ("a.service", "b.service")}
    failures = units.undo_steps(Systemd(recorder), steps, before)
    assert [call.split()[-1] for call in recorder.calls] == ["b.service", "b.service", "a.service", "a.service"]
    assert len(failures) == 2
