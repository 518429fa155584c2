"""The action confirms only over a connection that it opened after the rules were loaded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader

from ansible_collections.aigo.onprem.plugins.action import nftables_ruleset
from ansible_collections.aigo.onprem.plugins.action.nftables_ruleset import ActionModule

LOADED = {"changed": True, "loaded": True, "token": "t"}


class Controller:
    """What happened, in order, between the controller and a host that answers what it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        self.answers: list[Any] = []
        self.now = 0.0
        self.connection = connection_loader.get("ssh", PlayContext())
        monkeypatch.setattr(self.connection, "reset", lambda: self.events.append("reset"))
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self._sleep)
        monkeypatch.setattr(nftables_ruleset, "time", clock)
        monkeypatch.setattr(ActionModule, "_execute_module", self._execute)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def _execute(self, *, module_args: dict[str, Any], **_options: Any) -> dict[str, Any]:
        self.events.append(module_args.get("phase", "load"))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            self.now += 10
            raise answer
        return dict(answer)

    def run(self, *answers: Any, **options: Any) -> dict[str, Any]:
        self.answers = list(answers)
        task = Task.load({"action": "aigo.onprem.nftables_ruleset"})
        task.args = {"ruleset": "table inet aigo {\n}\n", **options}
        return ActionModule(task, self.connection, PlayContext(), DataLoader(), None, None).run(task_vars={})


@pytest.fixture
def controller(monkeypatch: pytest.MonkeyPatch) -> Controller:
    return Controller(monkeypatch)


def test_rules_are_confirmed_after_the_connection_was_reset(controller: Controller) -> None:
    result = controller.run(LOADED, {"changed": True})
    assert controller.events == ["load", "reset", "confirm"]
    assert (result["changed"], "token" in result) == (True, False)


def test_nothing_to_confirm_means_one_round_trip(controller: Controller) -> None:
    assert controller.run({"changed": False, "token": None})["changed"] is False
    assert controller.events == ["load"]


def test_a_refused_load_is_not_confirmed(controller: Controller) -> None:
    assert controller.run({"failed": True, "msg": "syntax"})["msg"] == "syntax"
    assert controller.events == ["load"]


def test_a_connection_that_fails_at_first_is_tried_again(controller: Controller) -> None:
    controller.run(LOADED, AnsibleConnectionFailure("timed out"), {"changed": True})
    assert controller.events == ["load", "reset", "confirm", "reset", "confirm"]


def test_a_host_that_took_its_rules_back_says_so(controller: Controller) -> None:
    refused = {"failed": True, "msg": "taken back"}
    result = controller.run(LOADED, *[AnsibleConnectionFailure("timed out")] * 4, refused)
    assert (result["failed"], result["msg"]) == (True, "taken back")


def test_a_host_that_never_answers_again_is_told(controller: Controller) -> None:
    with pytest.raises(AnsibleActionFail, match="from its console"):
        controller.run(LOADED, AnsibleConnectionFailure("timed out"))
    assert controller.now > 30 + 60


def test_the_internal_options_cannot_be_given_by_a_task(controller: Controller) -> None:
    controller.run({"changed": False}, phase="confirm", token="forged")
    assert controller.events == ["load"]
