"""The filters ``capacity_plan``, ``host_budget`` and ``flows_for`` as templates see them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.aigo.onprem.plugins.filter import capacity_plan, flows_for, host_budget

ONE_HOST: dict[str, Any] = {"host": "a", "groups": {"edge": ["a"]}, "addresses": {"a": "192.0.2.1"}}


def registered(module: Any, name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = module.FilterModule().filters()[name]
    return function


def test_filters_are_registered_under_their_own_names() -> None:
    assert registered(capacity_plan, "capacity_plan")(10)["tier"] == "single"
    facts = {"cores": 2, "memory_mb": 8192}
    assert "nginx" in registered(host_budget, "host_budget")(facts, ["edge"], "single")["services"]
    assert registered(flows_for, "flows_for")([], **ONE_HOST) == {"inbound": [], "outbound": []}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: capacity_plan.capacity_plan("x"), "capacity_plan: users is 'x'"),
        (lambda: host_budget.host_budget({}, [], "single"), "host_budget: the host's number of cores is not known"),
        (lambda: flows_for.flows_for([{"name": "x"}], **ONE_HOST), "flows_for: flow x: 'from' is missing"),
    ],
)
def test_a_mistake_names_the_filter_and_the_value(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        call()
