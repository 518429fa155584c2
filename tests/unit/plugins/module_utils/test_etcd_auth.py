"""From what etcd has to users with a key range each and authentication on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils import _etcd_auth as etcd

PATRONI = etcd.User("patroni", "patroni-secret", "/service/")
GRANT = (etcd.READWRITE, "/service/", "/service0")
SETTLED = etcd.State(
    enabled=True,
    roles={"root": frozenset(), "patroni": frozenset({GRANT})},
    users={"root": frozenset({"root"}), "patroni": frozenset({"patroni"})},
    verified=frozenset({"root", "patroni"}),
)


class FakeEtcd:
    """Keeps users, roles and passwords as etcd does, and interferes once if told to."""

    def __init__(self, interfere: str | None = None) -> None:
        self.passwords: dict[str, str] = {}
        self.user_roles: dict[str, set[str]] = {}
        self.roles: dict[str, set[etcd.Permission]] = {}
        self.enabled = False
        self.interfere = interfere
        self.calls: list[str] = []

    def read(self, _root_password: str, users: tuple[etcd.User, ...]) -> etcd.State:
        wanted = {u.name: u.password for u in users} | {"root": "root-secret"}
        return etcd.State(
            enabled=self.enabled,
            roles={name: frozenset(p) for name, p in self.roles.items()},
            users={name: frozenset(r) for name, r in self.user_roles.items()},
            verified=frozenset(n for n, p in wanted.items() if self.enabled and self.passwords.get(n) == p),
        )

    def call(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append(path)
        if self.interfere == path:
            self.interfere = None
            self._apply(path, body)
            raise etcd.EtcdError("etcdserver: user name already exists")
        self._apply(path, body)
        return {}

    def _apply(self, path: str, body: Mapping[str, Any]) -> None:
        match path:
            case "auth/role/add":
                self.roles[body["name"]] = set()
            case "auth/role/grant":
                self.roles[body["name"]].add(GRANT)
            case "auth/user/add":
                self.passwords[body["name"]] = body["password"]
                self.user_roles[body["name"]] = set()
            case "auth/user/changepw":
                self.passwords[body["name"]] = body["password"]
            case "auth/user/grant":
                self.user_roles[body["user"]].add(body["role"])
            case "auth/enable":
                self.enabled = True
            case _:
                raise AssertionError(path)


def test_a_settled_cluster_needs_nothing() -> None:
    assert not etcd.plan(SETTLED, "root-secret", [PATRONI]).changed


def test_a_new_cluster_gets_authentication_last() -> None:
    assert etcd.plan(etcd.State(), "root-secret", [PATRONI]).summary == [
        "add role root",
        "add user root",
        "give user root the role root",
        "add role patroni",
        "let role patroni write below /service/",
        "add user patroni",
        "give user patroni the role patroni",
        "enable authentication",
    ]


def test_a_password_that_etcd_refuses_is_set() -> None:
    state = etcd.State(True, SETTLED.roles, SETTLED.users, frozenset({"root"}))
    assert etcd.plan(state, "root-secret", [PATRONI]).summary == ["set the password of user patroni"]


def test_rights_beyond_the_wanted_ones_are_taken_away() -> None:
    roles = {"root": frozenset[etcd.Permission](), "patroni": frozenset({GRANT, ("READ", "/other", "")})}
    users = {"root": frozenset({"root"}), "patroni": frozenset({"patroni", "root"})}
    assert etcd.plan(etcd.State(True, roles, users, SETTLED.verified), "root-secret", [PATRONI]).summary == [
        "take READ on /other from role patroni",
        "take the role root from user patroni",
    ]


def test_summaries_hold_no_password() -> None:
    assert "secret" not in " ".join(etcd.plan(etcd.State(), "root-secret", [PATRONI]).summary)


@pytest.mark.parametrize(("prefix", "end"), [("/service/", "/service0"), ("a", "b")])
def test_the_range_ends_behind_the_last_key_of_the_prefix(prefix: str, end: str) -> None:
    assert etcd.range_end(prefix) == end


def test_an_empty_prefix_is_an_error() -> None:
    with pytest.raises(etcd.EtcdError, match="prefix is empty"):
        etcd.range_end("")


def converge(fake: FakeEtcd) -> list[str]:
    gateway: Any = fake
    return etcd.converge(gateway, "root-secret", [PATRONI], timeout=5, sleep=lambda _seconds: None)


def test_a_second_run_does_nothing() -> None:
    fake = FakeEtcd()
    assert converge(fake)
    assert converge(fake) == []


@pytest.mark.parametrize("path", ["auth/role/add", "auth/user/add"])
def test_what_another_member_was_quicker_to_make_is_no_failure(path: str) -> None:
    fake = FakeEtcd(interfere=path)
    converge(fake)
    assert fake.enabled and fake.user_roles["patroni"] == {"patroni"} and fake.roles["patroni"] == {GRANT}


def test_a_refusal_that_will_not_pass_is_raised_at_once() -> None:
    class Refusing(FakeEtcd):
        def read(self, *_arguments: Any) -> etcd.State:
            self.calls.append("read")
            raise etcd.EtcdError("etcd refuses the password of its user root")

    fake = Refusing()
    with pytest.raises(etcd.EtcdError, match="refuses the password"):
        converge(fake)
    assert fake.calls == ["read"]
