"""Small parts by themselves."""

from __future__ import annotations

import socket
import time
import uuid

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from aigo.agent.tools import calculator, current_time
from aigo.auth.tokens import Claims, TokenSigner, hash_secret, new_key, split_key
from aigo.config.schema import Database, Server
from aigo.db.pool import connection_string
from aigo.ids import new_id
from aigo.obs.context import request_id
from aigo.server.sockets import listeners
from aigo.text import storable

from .site import free_port

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("6 * 7", "42"),
        ("(2 + 3) * 4 / sqrt(16)", "5"),
        ("2 ** 10 - 24", "1000"),
        ("7 // 2 % 2", "1"),
        ("-0.5 + 1", "0.5"),
        ("round(pi)", "3"),
    ],
)
def test_the_calculator_calculates(expression: str, result: str) -> None:
    assert calculator(expression) == result


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "().__class__",
        "9 ** 9 ** 9 ** 9",
        "1 / 0",
        "sqrt(-1)",
        "1 +",
        "True",
        "'a' * 99",
        "(" * 300 + ")" * 300,
        "1" * 501,
    ],
)
def test_the_calculator_refuses_everything_else(expression: str) -> None:
    assert calculator(expression).startswith("error: ")


def test_the_clock_knows_zones_and_says_when_it_does_not() -> None:
    assert current_time("UTC").endswith("+00:00")
    assert current_time("Mars/Base") == "error: 'Mars/Base' is not a time zone"
    assert current_time("../../etc/passwd").startswith("error: ")


def test_a_token_gives_back_its_claims() -> None:
    signer, claims = TokenSigner(SECRET, 5), Claims(uuid.uuid4(), uuid.uuid4())
    assert signer.read(signer.issue(claims)) == claims


def test_forged_expired_and_malformed_tokens_are_refused() -> None:
    signer = TokenSigner(SECRET, 5)
    body = {"sub": str(uuid.uuid4()), "sid": str(uuid.uuid4()), "iat": 0, "exp": int(time.time()) + 60}
    other, own = OctKey.import_key("x" * 32), OctKey.import_key(SECRET)
    bad = [
        jwt.encode({"alg": "HS256"}, body, other),
        jwt.encode({"alg": "HS384"}, body, own, algorithms=["HS384"]),
        jwt.encode({"alg": "HS256"}, body | {"exp": int(time.time()) - 1}, own),
        jwt.encode({"alg": "HS256"}, {key: value for key, value in body.items() if key != "exp"}, own),
        jwt.encode({"alg": "HS256"}, body | {"sub": "me"}, own),
        "eyJhbGciOiJub25lIn0." + jwt.encode({"alg": "HS256"}, body, own).split(".")[1] + ".",
        "a.b.c",
        "",
    ]
    assert [signer.read(token) for token in bad] == [None] * len(bad)


def test_a_key_splits_into_what_is_stored() -> None:
    identifier, text, stored = new_key()
    parts = split_key(text)
    assert parts is not None
    assert parts[0] == identifier
    assert hash_secret(parts[1]) == stored
    assert split_key("aigo_only") is None
    assert split_key("bearer") is None
    assert split_key("aigo_\x00_x") is None


def test_ids_are_uuid7_and_sort_by_time() -> None:
    first = new_id()
    time.sleep(0.002)
    second = new_id()
    assert first.version == second.version == 7
    assert first < second


def test_every_database_host_is_tried_for_the_one_that_writes() -> None:
    settings = Database(hosts=["10.0.0.1:5432", "[fd00::2]:5433"], user="app", migration_user="owner")
    text = connection_string(settings)
    assert "host=10.0.0.1,fd00::2" in text
    assert "port=5432,5433" in text
    assert "target_session_attrs=read-write" in text
    assert "user=owner" in connection_string(settings, migration=True)


def test_request_ids_from_outside_are_kept_only_when_harmless() -> None:
    assert request_id("abc-123") == "abc-123"
    assert request_id('x"\n{').startswith("req-")
    assert request_id("x" * 65).startswith("req-")


def test_nul_characters_never_reach_the_database() -> None:
    assert storable({"a\x00": ["b\x00", 1, "\ud800"]}) == {"a": ["b", 1, "?"]}


def test_accepted_connections_send_small_answers_at_once() -> None:
    sockets = listeners(Server(api_port=free_port(), ws_port=free_port()))
    try:
        for sock in sockets.values():
            with socket.create_connection(sock.getsockname()):
                sock.setblocking(True)
                accepted, _ = sock.accept()
                with accepted:
                    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        for sock in sockets.values():
            sock.close()


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port} can't be bound"):
            listeners(Server(api_port=port))


def test_oddly_named_activation_sockets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_FDNAMES", "web")
    with pytest.raises(ValueError, match="api and ws"):
        listeners(Server())
