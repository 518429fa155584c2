"""Tokens, sessions, roles, keys and second factors, inside one process against real PostgreSQL and Redis."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pyotp
import pytest
import pytest_asyncio
from argon2 import PasswordHasher
from joserfc import jwt
from joserfc.jwk import OctKey

from aigo.auth import passwords
from aigo.auth.permissions import PERMISSIONS, ROLES, Permission, Role
from aigo.auth.service import CACHE_SECONDS
from aigo.auth.signing import sign

from .inprocess import Served, served, socket_to
from .site import PASSWORD, Site

PEOPLE: dict[Role, str] = {"user": "uwe", "auditor": "olga", "admin": "root"}
ANY_ID = "01890000-0000-7000-8000-000000000000"


@pytest_asyncio.fixture(scope="module")
async def app(inner_site: Site) -> AsyncIterator[Served]:
    async with served(inner_site) as app:
        yield app


def secret(site: Site) -> str:
    return (site.directory / "secrets" / "auth.token_secret").read_text()


def new_user(site: Site, role: str = "user") -> str:
    """Make a user with the usual password and return the name."""
    name = f"p{uuid4().hex[:8]}"
    site.sql(
        "INSERT INTO users (id, name, display_name, role, password_hash)"
        " SELECT %s, %s, %s, %s, password_hash FROM users WHERE name = 'uwe'",
        uuid4(),
        name,
        name,
        role,
    )
    return name


async def tokens(app: Served, name: str, **more: Any) -> dict[str, Any]:
    answer = await app.login(name, **more)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def status(app: Served, credential: str, path: str = "/api/v1/auth/me") -> int:
    async with app.client(credential) as client:
        return (await client.get(path)).status_code


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


async def make_key(app: Served, name: str, **body: Any) -> dict[str, Any]:
    async with await app.signed_in(name) as client:
        answer = await client.post("/api/v1/keys", json={"name": "k", **body})
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_key_does_what_its_scopes_say_and_makes_no_other_keys(app: Served) -> None:
    key = await make_key(app, "root", scopes=["audit.read", "keys"])
    assert key["scopes"] == ["audit.read", "keys"]
    assert await status(app, key["key"], "/api/v1/audit") == 200
    assert await status(app, key["key"], "/api/v1/users") == 403
    assert await status(app, key["key"], "/api/v1/conversations") == 403
    async with app.client(key["key"]) as program:
        refused = await program.post("/api/v1/keys", json={"name": "another"})
    assert (refused.status_code, refused.json()["code"]) == (403, "session_needed")


async def test_nobody_gives_a_key_what_they_dont_have_and_a_lost_role_is_lost_for_keys(
    app: Served, inner_site: Site
) -> None:
    async with await app.signed_in("uwe") as client:
        refused = await client.post("/api/v1/keys", json={"name": "k", "scopes": ["users.write"]})
        assert refused.status_code == 403
        assert (await client.post("/api/v1/keys", json={"name": "k", "scopes": []})).status_code == 422
        naive = await client.post("/api/v1/keys", json={"name": "k", "expires_at": "2030-01-01T00:00:00"})
        assert naive.status_code == 422
    name = new_user(inner_site, "auditor")
    key = await make_key(app, name, scopes=["audit.read"])
    inner_site.sql("UPDATE users SET role = 'user' WHERE name = %s", name)
    assert await status(app, key["key"], "/api/v1/audit") == 403


def signed(
    key: str, method: str, target: str, body: bytes = b"", when: int | None = None, nonce: str | None = None
) -> dict[str, str]:
    when, nonce = when or int(time.time()), nonce or uuid4().hex
    _, key_id, shared = key.split("_")
    value = sign(shared.encode(), when, nonce, method, target, body)
    return {"Authorization": f"AIGO-HMAC-SHA256 Key={key_id}, Time={when}, Nonce={nonce}, Signature={value}"}


async def test_signed_requests_are_taken_once_and_only_as_they_were_signed(app: Served) -> None:
    key = (await make_key(app, "uwe", signing=True))["key"]
    path, body, kind = "/api/v1/conversations", b'{"title": "signed"}', {"Content-Type": "application/json"}
    async with app.client() as client:

        async def post(headers: dict[str, str], content: bytes = body, target: str = path) -> int:
            return (await client.post(target, content=content, headers=headers | kind)).status_code

        good = signed(key, "POST", path, body)
        assert await post(good) == 201
        assert await post(good) == 401
        assert await post(signed(key, "POST", path, body), b'{"title": "another"}') == 401
        assert await post(signed(key, "GET", path, body)) == 401
        assert await post(signed(key, "POST", path + "?x=1", body)) == 401
        now = int(time.time())
        assert [await post(signed(key, "POST", path, body, now + off)) for off in (-301, 301)] == [401, 401]
        assert await post(signed(key[:-1] + ("0" if key[-1] != "0" else "1"), "POST", path, body)) == 401
        assert await post({"Authorization": "AIGO-HMAC-SHA256 Key=x"}) == 401
        assert await post({"Authorization": f"Bearer {key}"}) == 401
        listed = await client.get(f"{path}?limit=1", headers=signed(key, "GET", f"{path}?limit=1"))
        assert listed.json()[0]["title"] == "signed"


async def test_a_key_that_doesnt_sign_cant_be_used_for_signing(app: Served) -> None:
    key = (await make_key(app, "uwe"))["key"]
    async with app.client() as client:
        answer = await client.get("/api/v1/auth/me", headers=signed(key, "GET", "/api/v1/auth/me"))
    assert answer.status_code == 401


async def test_signing_secrets_are_sealed_where_they_are_kept(app: Served, inner_site: Site) -> None:
    key = await make_key(app, "uwe", signing=True)
    [(sealed,)] = inner_site.sql("SELECT signing_secret FROM api_keys WHERE id = %s", key["id"])
    shared = key["key"].split("_")[2].encode()
    assert shared not in bytes(sealed)
    assert app.runtime.auth.sealer.open(sealed, key["id"]) == shared
    assert app.runtime.auth.sealer.open(sealed, "another owner") is None


async def enrolled(app: Served, name: str) -> tuple[pyotp.TOTP, list[str], httpx2.AsyncClient]:
    """Set up a second factor with the code of the step before, so that the current one is still unused."""
    client = await app.signed_in(name)
    begun = (await client.post("/api/v1/auth/mfa")).json()
    totp = pyotp.TOTP(begun["secret"])
    assert begun["uri"].startswith("otpauth://totp/aigo:")
    confirmed = await client.post("/api/v1/auth/mfa/confirm", json={"code": totp.at(time.time() - 30)})
    assert confirmed.status_code == 200, confirmed.text
    return totp, confirmed.json()["recovery_codes"], client


async def test_a_second_factor_is_asked_for_once_it_is_confirmed(app: Served, inner_site: Site) -> None:
    name = new_user(inner_site)
    totp, recovery, client = await enrolled(app, name)
    async with aclosing(client):
        missing = await app.login(name)
        assert (missing.status_code, missing.json()["code"]) == (401, "second_factor_required")
        assert (await app.login(name, "wrong", code=totp.now())).json()["code"] == "unauthenticated"
        wrong = await app.login(name, code="000000" if totp.now() != "000000" else "000001")
        assert (wrong.status_code, wrong.json()["code"]) == (401, "second_factor_wrong")
        code = totp.now()
        assert (await app.login(name, code=code)).status_code == 200
        assert (await app.login(name, code=code)).json()["code"] == "second_factor_wrong"
        assert (await app.login(name, code=recovery[0].upper())).status_code == 200
        assert (await app.login(name, code=recovery[0])).status_code == 401
        assert (await client.post("/api/v1/auth/mfa")).status_code == 409
        assert (await client.post("/api/v1/auth/mfa/remove", json={"code": recovery[1]})).status_code == 204
        assert (await app.login(name)).status_code == 200


async def test_wrong_codes_lock_the_account_too(app: Served, inner_site: Site) -> None:
    name = new_user(inner_site)
    _, recovery, client = await enrolled(app, name)
    async with aclosing(client):
        for _ in range(5):
            assert (await client.post("/api/v1/auth/mfa/verify", json={"code": "aaaa-bbbb-cccc-dddd-eeee"})).is_error
        assert (await client.post("/api/v1/auth/mfa/verify", json={"code": recovery[0]})).status_code == 403
    assert (await app.login(name, code=recovery[0])).json()["code"] == "unauthenticated"


async def test_where_a_role_needs_a_second_factor_it_can_do_nothing_before(inner_site: Site) -> None:
    name = new_user(inner_site, "admin")
    async with served(inner_site, auth={"mfa": {"required_roles": ["admin"]}}) as app:
        async with await app.signed_in(name) as client:
            assert (await client.get("/api/v1/auth/me")).json()["permissions"] == ["account"]
            for path in ("/api/v1/users", "/api/v1/conversations", "/api/v1/keys"):
                refused = await client.get(path)
                assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_needed")
        other = await tokens(app, name)
        _, recovery, client = await enrolled(app, name)
        async with aclosing(client):
            assert (await client.get("/api/v1/users")).status_code == 200
        # A session from before has to show the factor itself.
        async with app.client(other["access_token"]) as before:
            assert (await before.get("/api/v1/users")).status_code == 403
            assert (await before.post("/api/v1/auth/mfa/verify", json={"code": recovery[2]})).status_code == 204
            assert (await before.get("/api/v1/users")).status_code == 200
            assert (await before.post("/api/v1/keys", json={"name": "k"})).status_code == 201
        assert (await app.login("uwe")).status_code == 200
    inner_site.sql("UPDATE users SET disabled_at = now() WHERE name = %s", name)


async def test_an_administrator_removes_a_lost_second_factor(app: Served, inner_site: Site) -> None:
    name = new_user(inner_site)
    _, _, client = await enrolled(app, name)
    await client.aclose()
    [(user_id,)] = inner_site.sql("SELECT id FROM users WHERE name = %s", name)
    assert isinstance(user_id, UUID)
    async with await app.signed_in("root") as root:
        changed = await root.patch(f"/api/v1/users/{user_id}", json={"remove_second_factor": True})
        assert changed.json()["enrolled"] is False
    assert (await app.login(name)).status_code == 200


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
