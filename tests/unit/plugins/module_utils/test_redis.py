"""A member's place, and a planned failover in the order that loses nothing."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils import _redis as redis

ACCESS = redis.Access("admin", "secret", "ca.pem")
PRIMARY = {"role": "master", "connected_slaves": "2", "master_repl_offset": "90"}
REPLICA = {"role": "slave", "master_host": "192.0.2.1", "master_link_status": "up", "slave_repl_offset": "80"}


@pytest.mark.parametrize(
    ("info", "settled", "follows", "offset"),
    [
        (PRIMARY, True, None, 90),
        (REPLICA, True, "192.0.2.1", 80),
        (REPLICA | {"master_link_status": "down"}, False, "192.0.2.1", 80),
    ],
)
def test_a_replica_without_a_link_is_not_settled(
    info: dict[str, str], settled: bool, follows: str | None, offset: int
) -> None:
    member = redis.member(info)
    assert (member.settled, member.follows, member.offset) == (settled, follows, offset)


class Site:
    """Three members and a Sentinel that promotes the second one, or nobody, after being asked twice."""

    def __init__(self, promotes: bool = True, replicas: int = 2) -> None:
        self.promotes, self.replicas, self.asked = promotes, replicas, 0
        self.calls: list[tuple[str, ...]] = []

    def connection(self, host: str, port: int, _access: redis.Access) -> Any:
        site = self

        class Fake:
            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def info(self, _section: str) -> dict[str, str]:
                return PRIMARY | {"connected_slaves": str(site.replicas)}

            def call(self, *words: str) -> Any:
                if words[1] == "GET-MASTER-ADDR-BY-NAME":
                    site.asked += site.failing()
                    return ["192.0.2.2" if site.promotes and site.asked > 2 else "192.0.2.1", "6379"]
                site.calls.append((f"{host}:{port}", *words))
                return "OK"

        return Fake()

    def failing(self) -> bool:
        return any("FAILOVER" in call for call in self.calls)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    fake = Site()
    monkeypatch.setattr(redis, "Connection", fake.connection)
    return fake


def test_writes_wait_until_the_former_primary_follows_the_new_one(site: Site) -> None:
    done = redis.switch("192.0.2.3", "aigo", ACCESS, 5, sleep=lambda _: None)
    assert (done.former, done.primary) == ("192.0.2.1", "192.0.2.2")
    assert site.calls == [
        ("192.0.2.1:6379", "CLIENT", "PAUSE", "15000", "WRITE"),
        ("192.0.2.3:26379", "SENTINEL", "FAILOVER", "aigo"),
        ("192.0.2.1:6379", "REPLICAOF", "192.0.2.2", "6379"),
        ("192.0.2.1:6379", "CLIENT", "UNPAUSE"),
        ("192.0.2.1:6379", "CLIENT", "KILL", "TYPE", "normal"),
    ]


def test_writes_go_on_when_nobody_is_promoted(site: Site) -> None:
    site.promotes = False
    with pytest.raises(redis.RedisError, match=r"192\.0\.2\.1 stays primary"):
        redis.switch("192.0.2.3", "aigo", ACCESS, 0, sleep=lambda _: None)
    assert site.calls[-1] == ("192.0.2.1:6379", "CLIENT", "UNPAUSE")


def test_a_primary_without_replicas_keeps_its_place(site: Site) -> None:
    site.replicas = 0
    with pytest.raises(redis.RedisError, match="no replica"):
        redis.switch("192.0.2.3", "aigo", ACCESS, 5)
    assert site.calls == []
