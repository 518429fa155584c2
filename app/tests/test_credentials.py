"""Keys, signed requests and second factors, inside one process against real PostgreSQL and Redis."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pyotp
import pytest_asyncio

from aigo.auth.signing import sign

from .inprocess import Served, new_user, served, status, tokens
from .site import Site


@pytest_asyncio.fixture(scope="module")
async def app(inner_site: Site) -> AsyncIterator[Served]:
    async with served(inner_site) as app:
        yield app


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
