"""The action keeps changes to signing in only over a session that it opened after them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader

from ansible_collections.aigo.onprem.plugins.action import hardening_guard
from ansible_collections.aigo.onprem.plugins.action.hardening_guard import ActionModule

CHANGED = {"changed": False, "proof_needed": True}
KEPT = {"changed": False, "proof_needed": True, "kept": True}
NO_ROOT = {"failed": True, "msg": "MODULE FAILURE", "module_stderr": "sudo: a password is required"}


class Controller:
    """What happened, in order, between the controller and a host that answers what it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        self.answers: list[Any] = []
        self.now = 0.0
        self.connection = connection_loader.get("ssh", PlayContext())
        monkeypatch.setattr(self.connection, "reset", lambda: self.events.append("reset"))
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self._sleep)
        monkeypatch.setattr(hardening_guard, "time", clock)
        monkeypatch.setattr(ActionModule, "_execute_module", self._execute)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def _execute(self, *, module_args: dict[str, Any], **_options: Any) -> dict[str, Any]:
        self.events.append("prove" if module_args.get("proven") else module_args["state"])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            self.now += 10
            raise answer
        return dict(answer)

    def run(self, *answers: Any, **options: Any) -> dict[str, Any]:
        self.answers = list(answers)
        task = Task.load({"action": "aigo.onprem.hardening_guard"})
        task.args = {"state": "confirmed", **options}
        return ActionModule(task, self.connection, PlayContext(), DataLoader(), None, None).run(task_vars={})


@pytest.fixture
def controller(monkeypatch: pytest.MonkeyPatch) -> Controller:
    return Controller(monkeypatch)


def test_arming_is_one_round_trip(controller: Controller) -> None:
    controller.run({"changed": False, "proof_needed": False}, state="armed")
    assert controller.events == ["armed"]


def test_without_a_change_there_is_no_new_session(controller: Controller) -> None:
    controller.run({"changed": False, "proof_needed": False})
    assert controller.events == ["confirmed"]


def test_a_change_is_kept_after_the_connection_was_reset(controller: Controller) -> None:
    assert controller.run(CHANGED, KEPT)["kept"] is True
    assert controller.events == ["confirmed", "reset", "prove"]


def test_a_session_without_root_is_no_proof(controller: Controller) -> None:
    taken_back = {"failed": True, "msg": "taken back", "sign_in_guard": True}
    result = controller.run(CHANGED, NO_ROOT, NO_ROOT, taken_back)
    assert (result["failed"], result["msg"]) == (True, "taken back")
    assert controller.events == ["confirmed", *["reset", "prove"] * 3]


def test_root_that_is_lost_on_the_old_session_waits_for_the_timer(controller: Controller) -> None:
    taken_back = {"failed": True, "msg": "taken back", "sign_in_guard": True}
    assert controller.run(NO_ROOT, NO_ROOT, taken_back)["msg"] == "taken back"
    assert controller.events == ["confirmed", *["reset", "prove"] * 2]


def test_a_password_that_sudo_suddenly_wants_waits_for_the_timer(controller: Controller) -> None:
    taken_back = {"failed": True, "msg": "taken back", "sign_in_guard": True}
    wants = AnsibleError("Missing sudo password")
    assert controller.run(wants, wants, taken_back)["msg"] == "taken back"
    assert controller.events == ["confirmed", *["reset", "prove"] * 2]


def test_arming_that_fails_is_not_tried_again(controller: Controller) -> None:
    assert controller.run(NO_ROOT, state="armed")["failed"] is True
    assert controller.events == ["armed"]


def test_a_host_that_never_answers_again_is_told(controller: Controller) -> None:
    with pytest.raises(AnsibleActionFail, match="from its console"):
        controller.run(CHANGED, AnsibleConnectionFailure("refused"), timeout=30)
    assert controller.now > 30 + 60


def test_the_proof_cannot_be_given_by_a_task(controller: Controller) -> None:
    controller.run({"changed": False, "proof_needed": False}, proven=True)
    assert controller.events == ["confirmed"]
