"""Tokens, sessions, roles, keys and second factors, inside one process against real PostgreSQL and Redis."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import pytest_asyncio
from argon2 import PasswordHasher
from joserfc import jwt
from joserfc.jwk import OctKey

from aigo.auth import passwords
from aigo.auth.permissions import PERMISSIONS, ROLES, Permission, Role
from aigo.auth.service import CACHE_SECONDS

from .inprocess import Served, new_user, served, socket_to, status, tokens
from .site import PASSWORD, Site

PEOPLE: dict[Role, str] = {"user": "uwe", "auditor": "olga", "admin": "root"}
ANY_ID = "01890000-0000-7000-8000-000000000000"


@pytest_asyncio.fixture(scope="module")
async def app(inner_site: Site) -> AsyncIterator[Served]:
    async with served(inner_site) as app:
        yield app


def secret(site: Site) -> str:
    return (site.directory / "secrets" / "auth.token_secret").read_text()


async def refreshed(app: Served, token: str) -> httpx2.Response:
    async with app.client() as client:
        return await client.post("/api/v1/auth/refresh", json={"refresh_token": token})


def endpoints(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return method, path and permission of every endpoint that asks for one."""
    found = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for requirement in operation.get("security", []):
                for scopes in requirement.values():
                    found += [(method.upper(), path, scope) for scope in scopes]
    return found


OPEN = {
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/auth/methods"),
    ("GET", "/api/v1/auth/oidc/start"),
    ("GET", "/api/v1/auth/oidc/callback"),
    ("POST", "/api/v1/auth/oidc/token"),
    ("POST", "/api/v1/auth/login"),
    ("POST", "/api/v1/auth/refresh"),
}


async def test_every_endpoint_asks_for_a_permission_but_those_that_must_be_open(app: Served) -> None:
    document = app.app.openapi()
    asking = {(method, path) for method, path, _ in endpoints(document)}
    every = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    assert every - asking == OPEN
    for method, path in asking:
        answers = document["paths"][path][method.lower()]["responses"]
        assert {"401", "403", "429", "503"} <= set(answers), (method, path)


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_reaches_exactly_what_the_table_says(app: Served, role: Role) -> None:
    async with await app.signed_in(PEOPLE[role]) as client:
        for method, path, permission in endpoints(app.app.openapi()):
            if path.endswith(("/logout", "/auth/sessions", "/auth/password")):
                continue
            concrete = path
            for part in path.split("/"):
                if part.startswith("{"):
                    concrete = concrete.replace(part, "0" * 12 if part == "{key_id}" else ANY_ID)
            answer = await client.request(method, concrete, json={} if method in ("POST", "PATCH", "PUT") else None)
            allowed = Permission(permission) in PERMISSIONS[role]
            assert (answer.status_code != 403) == allowed, (method, path, answer.text)


def b64(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def test_forged_expired_and_unsigned_tokens_are_refused(app: Served, inner_site: Site) -> None:
    told = await tokens(app, "uwe")
    header, body, signature = told["access_token"].split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    key, now = OctKey.import_key(secret(inner_site)), int(time.time())
    forged = [
        jwt.encode({"alg": "HS256"}, claims, OctKey.import_key("x" * 64)),
        jwt.encode({"alg": "HS256"}, claims | {"exp": now - 1}, key),
        jwt.encode({"alg": "HS256"}, {k: v for k, v in claims.items() if k != "exp"}, key),
        jwt.encode({"alg": "HS256"}, claims | {"exp": str(now + 99)}, key),
        jwt.encode({"alg": "HS512"}, claims, key, algorithms=["HS512"]),
        jwt.encode({"alg": "HS256"}, claims | {"sub": str(uuid4())}, key),
        jwt.encode({"alg": "HS256"}, claims | {"sid": str(uuid4())}, key),
        f"{b64({'alg': 'none'})}.{body}.",
        f"{b64({'alg': 'None', 'typ': 'JWT'})}.{body}.{signature}",
        f"{header}.{b64(claims | {'exp': now + 9999})}.{signature}",
        f"{header}.{body}.",
        told["refresh_token"],
    ]
    assert await status(app, told["access_token"]) == 200
    assert [await status(app, token) for token in forged] == [401] * len(forged)
    assert (await refreshed(app, told["access_token"])).status_code == 401


async def test_a_refresh_token_is_good_once_and_its_reuse_ends_the_session(app: Served, inner_site: Site) -> None:
    first = await tokens(app, "uwe")
    second = (await refreshed(app, first["refresh_token"])).json()
    # The answer may have been lost: for a moment the token before is taken as well.
    again = await refreshed(app, first["refresh_token"])
    assert again.status_code == 200
    third = (await refreshed(app, second["refresh_token"])).json()
    assert await status(app, third["access_token"]) == 200
    assert (await refreshed(app, first["refresh_token"])).status_code == 401
    for token in (first, second, third):
        assert await status(app, token["access_token"]) == 401
        assert (await refreshed(app, token["refresh_token"])).status_code == 401
    reasons = inner_site.sql("SELECT details->>'reason' FROM audit_log WHERE action = 'session.end'")
    assert ("refresh token used twice",) in reasons


async def test_the_token_before_the_newest_is_taken_for_a_moment_only(app: Served, inner_site: Site) -> None:
    first = await tokens(app, "uwe")
    second = (await refreshed(app, first["refresh_token"])).json()
    inner_site.sql("UPDATE sessions SET refreshed_at = now() - interval '11 seconds'")
    assert (await refreshed(app, first["refresh_token"])).status_code == 401
    assert await status(app, second["access_token"]) == 401


async def test_a_session_has_an_end_that_refreshing_doesnt_move(app: Served, inner_site: Site) -> None:
    told = await tokens(app, "uwe")
    inner_site.sql("UPDATE sessions SET expires_at = now() - interval '1 second'")
    assert (await refreshed(app, told["refresh_token"])).status_code == 401


async def test_sessions_are_listed_and_ended(app: Served) -> None:
    other = await tokens(app, "olga")
    async with await app.signed_in("olga") as client:
        listed = (await client.get("/api/v1/auth/sessions")).json()
        assert [row["current"] for row in listed].count(True) == 1
        strange = next(row["id"] for row in listed if not row["current"])
        assert (await client.delete(f"/api/v1/auth/sessions/{uuid4()}")).status_code == 404
        assert (await client.delete(f"/api/v1/auth/sessions/{strange}")).status_code == 204
        assert await status(app, other["access_token"]) == 401
        third = await tokens(app, "olga")
        assert (await client.delete("/api/v1/auth/sessions")).status_code == 204
        assert await status(app, third["access_token"]) == 401
        assert [row["current"] for row in (await client.get("/api/v1/auth/sessions")).json()] == [True]


async def test_nobody_ends_somebody_elses_session(app: Served) -> None:
    async with await app.signed_in("uwe") as uwe, await app.signed_in("olga") as olga:
        own = (await uwe.get("/api/v1/auth/sessions")).json()[0]["id"]
        assert (await olga.delete(f"/api/v1/auth/sessions/{own}")).status_code == 404
        assert (await uwe.get("/api/v1/auth/me")).status_code == 200


async def test_administrators_create_change_and_disable_users(app: Served) -> None:
    name = f"n{uuid4().hex[:8]}"
    async with await app.signed_in("root") as root:
        made = await root.post("/api/v1/users", json={"name": name, "password": PASSWORD, "role": "auditor"})
        assert (made.status_code, made.json()["role"], made.json()["source"]) == (201, "auditor", "local")
        assert (await root.post("/api/v1/users", json={"name": name.upper(), "password": PASSWORD})).status_code == 409
        where = made.headers["location"]
        told = await tokens(app, name)
        assert await status(app, told["access_token"], "/api/v1/audit") == 200
        assert await status(app, told["access_token"], "/api/v1/conversations") == 403
        changed = await root.patch(where, json={"role": "user", "display_name": "New"})
        assert (changed.json()["role"], changed.json()["display_name"]) == ("user", "New")
        # At once, not when the cache forgets.
        assert await status(app, told["access_token"], "/api/v1/audit") == 403
        assert await status(app, told["access_token"], "/api/v1/conversations") == 200
        assert (await root.patch(where, json={"disabled": True})).json()["disabled"] is True
        assert await status(app, told["access_token"]) == 401
        assert (await refreshed(app, told["refresh_token"])).status_code == 401
        assert (await app.login(name)).status_code == 401
        assert (await root.patch(where, json={"disabled": False, "password": "an other password"})).status_code == 200
        assert (await app.login(name, "an other password")).status_code == 200
        assert (await root.patch(where, json={})).status_code == 422
        assert (await root.patch(f"/api/v1/users/{uuid4()}", json={"role": "user"})).status_code == 404


async def test_the_last_administrator_stays(app: Served) -> None:
    async with await app.signed_in("root") as root:
        me = (await root.get("/api/v1/auth/me")).json()["id"]
        for change in ({"role": "user"}, {"disabled": True, "password": "never to be set"}):
            refused = await root.patch(f"/api/v1/users/{me}", json=change)
            assert (refused.status_code, refused.json()["code"]) == (409, "last_admin")
    assert (await app.login("root")).status_code == 200


async def test_a_user_disabled_behind_the_services_back_is_out_when_the_cache_forgets(
    app: Served, inner_site: Site
) -> None:
    name = new_user(inner_site)
    told = await tokens(app, name)
    assert await status(app, told["access_token"]) == 200
    session = json.loads(base64.urlsafe_b64decode(told["access_token"].split(".")[1] + "=="))["sid"]
    lifetime = await app.runtime.cache._quick[0].ttl(f"aigo:who:s:{session}")
    assert 0 < lifetime <= CACHE_SECONDS == 5
    inner_site.sql("UPDATE users SET disabled_at = now() WHERE name = %s", name)
    await app.runtime.cache.drop(f"aigo:who:s:{session}")
    assert await status(app, told["access_token"]) == 401


async def test_so_many_wrong_passwords_as_configured_lock_and_an_administrator_unlocks(inner_site: Site) -> None:
    name = new_user(inner_site)
    async with served(inner_site, auth={"lockout": {"attempts": 2, "minutes": 3}}) as app:
        assert (await app.login(name, "wrong")).status_code == 401
        assert (await app.login(name)).status_code == 200
        for _ in range(2):
            await app.login(name, "wrong")
        assert (await app.login(name)).status_code == 401
        [(user_id, minutes)] = inner_site.sql(
            "SELECT id, round(extract(epoch FROM locked_until - now()) / 60)::int FROM users WHERE name = %s", name
        )
        assert minutes == 3
        async with await app.signed_in("root") as root:
            await root.patch(f"/api/v1/users/{user_id}", json={"unlock": True})
        assert (await app.login(name)).status_code == 200


async def test_an_unknown_name_costs_as_much_hashing_as_a_known_one(
    app: Served, inner_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = new_user(inner_site)
    inner_site.sql("UPDATE users SET password_hash = %s WHERE name = %s", passwords.hash_password(PASSWORD), name)
    verified = []
    real = PasswordHasher.verify

    def spy(self: PasswordHasher, hashed: str, password: str) -> bool:
        verified.append(hashed)
        return real(self, hashed, password)

    monkeypatch.setattr(PasswordHasher, "verify", spy)
    answers = [await app.login(name, "wrong password") for name in (name, "no such person")]
    assert answers[0].json() == answers[1].json()
    assert len(verified) == 2
    assert verified[1] == passwords.ABSENT
    assert not PasswordHasher().check_needs_rehash(passwords.ABSENT)
    assert verified[0].split("$")[1:4] == passwords.ABSENT.split("$")[1:4]


async def test_ones_own_password_is_changed_with_the_current_one_and_ends_the_sessions(
    app: Served, inner_site: Site
) -> None:
    name = new_user(inner_site)
    told = await tokens(app, name)
    async with app.client(told["access_token"]) as client:

        async def change(current: str, new: str) -> int:
            body = {"current_password": current, "new_password": new}
            return (await client.post("/api/v1/auth/password", json=body)).status_code

        assert await change("wrong", "a better password") == 403
        assert await change(PASSWORD, "short") == 422
        assert await change(PASSWORD, "a better password") == 204
    assert await status(app, told["access_token"]) == 401
    assert (await app.login(name)).status_code == 401
    assert (await app.login(name, "a better password")).status_code == 200


async def test_without_a_provider_there_is_nothing_to_go_to(app: Served) -> None:
    async with app.client() as client:
        assert (await client.get("/api/v1/auth/oidc/start")).status_code == 404
        assert [way["kind"] for way in (await client.get("/api/v1/auth/methods")).json()] == ["password"]


async def test_a_socket_looks_again_who_is_there_at_every_command(app: Served, inner_site: Site) -> None:
    name = new_user(inner_site)
    told = await tokens(app, name)
    cancel = {"type": "cancel", "run_id": ANY_ID}
    async with socket_to(app, told["access_token"]) as socket:
        assert (await socket.outgoing.get())["type"] == "websocket.send"
        answer = await socket.ask(**cancel)
        assert isinstance(answer, dict)
        assert answer["code"] == "not_found"
        async with await app.signed_in("root") as root:
            await root.patch(f"/api/v1/users/{told['user']['id']}", json={"disabled": True})
        assert await socket.ask(**cancel) == 4401


async def test_a_socket_is_for_those_who_may_chat(app: Served) -> None:
    async with socket_to(app, (await tokens(app, "olga"))["access_token"]) as socket:
        assert (await asyncio.wait_for(socket.outgoing.get(), 20))["code"] == 4401


async def test_commands_on_a_socket_count_for_the_user(inner_site: Site) -> None:
    slow = {"per_minute": 0.5, "burst": 1000}
    limits = {"enabled": True, "address": slow, "user": slow | {"burst": 2}, "endpoints": []}
    name = new_user(inner_site)
    async with (
        served(inner_site, limits=limits) as app,
        socket_to(app, (await tokens(app, name))["access_token"]) as socket,
    ):
        await socket.outgoing.get()
        answers = [await socket.ask(type="cancel", run_id=ANY_ID) for _ in range(3)]
    assert [isinstance(answer, dict) and answer["code"] for answer in answers] == [
        "not_found",
        "not_found",
        "too_many_requests",
    ]


def test_the_table_of_roles_is_documented_as_it_is() -> None:
    text = (Path(__file__).parents[1] / "docs" / "identity.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]
    told = {row[0].strip("`"): tuple(cell == "yes" for cell in row[2:]) for row in rows}
    assert told == {
        str(permission): tuple(permission in PERMISSIONS[role] for role in ROLES) for permission in Permission
    }
