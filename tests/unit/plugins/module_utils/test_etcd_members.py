"""Who joins and who leaves an etcd cluster."""

from __future__ import annotations

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils import _etcd_members as etcd
from ansible_collections.aigo.onprem.plugins.module_utils._etcd_auth import EtcdError

ONE = etcd.Member("11", "node1", ("https://192.0.2.1:2380",))
TWO = etcd.Member("22", "node2", ("https://192.0.2.2:2380",))
TWO_URL = TWO.peer_urls[0]


def test_a_new_member_is_announced() -> None:
    plan = etcd.plan_join([ONE], "node2", TWO_URL)
    assert plan == etcd.Plan((), True)
    assert etcd.after([ONE], plan, "node2", TWO_URL) == [
        {"name": "node1", "address": "192.0.2.1"},
        {"name": "node2", "address": "192.0.2.2"},
    ]


@pytest.mark.parametrize("former", [TWO, etcd.Member("22", "other", (TWO_URL,))])
def test_a_former_life_of_the_host_is_forgotten_first(former: etcd.Member) -> None:
    plan = etcd.plan_join([ONE, former], "node2", TWO_URL)
    assert plan == etcd.Plan(("22",), True)
    assert [m["name"] for m in etcd.after([ONE, former], plan, "node2", TWO_URL)] == ["node1", "node2"]


def test_one_that_was_announced_and_never_started_is_not_announced_again() -> None:
    waiting = etcd.Member("33", "", (TWO_URL,))
    plan = etcd.plan_join([ONE, waiting], "node2", TWO_URL)
    assert not plan.changed
    assert [m["name"] for m in etcd.after([ONE, waiting], plan, "node2", TWO_URL)] == ["node1", "node2"]


def test_an_address_of_the_newer_kind_loses_its_brackets() -> None:
    plan = etcd.Plan((), True)
    assert etcd.after([], plan, "n", "https://[2001:db8::1]:2380") == [{"name": "n", "address": "2001:db8::1"}]


def test_a_member_leaves_once_and_the_last_one_never() -> None:
    assert etcd.plan_leave([ONE, TWO], "node2") == etcd.Plan(("22",), False)
    assert not etcd.plan_leave([ONE], "node2").changed
    with pytest.raises(EtcdError, match="only member"):
        etcd.plan_leave([ONE], "node1")
