"""Signing in by a real OpenID Connect provider: the code flow with PKCE, as a browser goes through it."""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import secrets
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx2
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

from aigo.auth.oidc import Provider, open_cookie, seal_cookie
from aigo.auth.sealing import Sealer
from aigo.config.identity import Oidc
from aigo.problems import Problem

from .inprocess import Served, served
from .site import Site, free_port, wait_for

PUBLIC = "http://aigo.test"
CALLBACK = f"{PUBLIC}/api/v1/auth/oidc/callback"
PROGRAM = Path(__file__).parents[2] / "lab" / "oidc" / "provider.mjs"
SECRET = secrets.token_urlsafe(24)


@contextmanager
def running(issuer: str, log: Path) -> Iterator[None]:
    """Run the provider; each start brings new signing keys."""
    modules = os.environ.get("AIGO_TEST_OIDC_MODULES")
    if not modules:
        pytest.exit("AIGO_TEST_OIDC_MODULES isn't set: lab/services.py installs the provider", returncode=4)
    with log.open("wb") as output:
        command = ["node", str(PROGRAM), issuer, "aigo", SECRET, CALLBACK]
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "OIDC_MODULES": modules})
        try:
            wait_for("the provider is ready", lambda: process.poll() is not None or b"ready" in log.read_bytes())
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="module")
def issuer() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def provider(issuer: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(issuer, tmp_path_factory.mktemp("provider") / "log"):
        yield issuer


def signing_in_by(site: Site, issuer: str) -> AbstractAsyncContextManager[Served]:
    site.secret("auth.oidc.client_secret", SECRET)
    oidc = {
        "issuer": issuer,
        "client_id": "aigo",
        "scopes": ["openid", "profile"],
        "roles": {"auditor": ["operators"], "user": ["staff"]},
    }
    return served(site, auth={"oidc": oidc}, server={"public_url": PUBLIC})


@pytest_asyncio.fixture(scope="module")
async def app(inner_site: Site, issuer: str) -> AsyncIterator[Served]:
    async with signing_in_by(inner_site, issuer) as app:
        yield app
    (inner_site.directory / "secrets" / "auth.oidc.client_secret").unlink()


async def at_the_provider(address: str, name: str) -> str:
    """Sign in there and consent, as a person does; return the address that leads back."""
    async with httpx2.AsyncClient(timeout=20) as browser:
        answer = await browser.get(address)
        for _ in range(12):
            if answer.is_redirect:
                address = str(answer.next_request.url) if answer.next_request else ""
                if address.startswith(CALLBACK):
                    return address
                answer = await browser.get(address)
                continue
            assert answer.status_code == 200, answer.text
            action = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
            prompt = re.search(r'name="prompt" value="([a-z]+)"', answer.text)
            assert action, answer.text
            assert prompt, answer.text
            form = {"prompt": prompt[1], "login": name, "password": "x"}
            answer = await browser.post(action[1], data=form)
    raise AssertionError("the provider doesn't send anybody back")


def changed(address: str, **parameters: str | None) -> str:
    """Return an address with other parameters."""
    parts = urlsplit(address)
    query = dict(parse_qsl(parts.query)) | parameters
    return urlunsplit(parts._replace(query=urlencode({key: value for key, value in query.items() if value})))


async def go(app: Served, browser: httpx2.AsyncClient, name: str, **tampered: str | None) -> str:
    """Go through the flow; return where the page is sent in the end."""
    started = await browser.get("/api/v1/auth/oidc/start")
    assert started.status_code == 303
    back = await at_the_provider(started.headers["location"], name)
    answer = await browser.get(changed(back, **tampered))
    assert answer.status_code == 303
    return str(answer.headers["location"])


def browser_of(app: Served) -> httpx2.AsyncClient:
    client = app.client()
    client.base_url = httpx2.URL(PUBLIC)
    return client


async def test_a_person_signs_in_and_groups_make_the_role(app: Served, provider: str, inner_site: Site) -> None:
    async with browser_of(app) as browser:
        methods = (await browser.get("/api/v1/auth/methods")).json()
        assert methods[1] == {"kind": "oidc", "label": "Single sign-on", "url": "/api/v1/auth/oidc/start"}
        started = await browser.get("/api/v1/auth/oidc/start")
        sent = dict(parse_qsl(urlsplit(started.headers["location"]).query))
        assert (sent["code_challenge_method"], sent["response_type"], sent["redirect_uri"]) == (
            "S256",
            "code",
            CALLBACK,
        )
        cookie = started.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert await go(app, browser, "ina") == "/#signed-in"
        told = (await browser.post("/api/v1/auth/oidc/token")).json()
        assert (told["user"]["name"], told["user"]["role"], told["user"]["source"]) == ("ina", "auditor", "oidc")
        assert told["user"]["display_name"] == "ina by OIDC"
        # The cookie that the callback has set is good once.
        assert (await browser.post("/api/v1/auth/oidc/token")).status_code == 401
        assert await go(app, browser, "ivo") == "/#signed-in"
        cookies = dict(browser.cookies)
        assert (await browser.post("/api/v1/auth/oidc/token")).json()["user"]["role"] == "user"
    async with browser_of(app) as thief:
        stolen = {"Cookie": f"aigo_oidc_result={cookies['aigo_oidc_result']}"}
        assert (await thief.post("/api/v1/auth/oidc/token", headers=stolen)).status_code == 401
    assert inner_site.sql("SELECT count(*) FROM sessions WHERE method = 'oidc' AND strong") == [(0,)]
    assert (await app.login("ina", "any password")).status_code == 401


async def test_who_is_in_no_group_stays_outside(app: Served, provider: str) -> None:
    async with browser_of(app) as browser:
        assert await go(app, browser, "nobody") == "/#sign-in-failed=not_entitled"
        assert (await browser.post("/api/v1/auth/oidc/token")).status_code == 401


@pytest.mark.parametrize(
    ("tampered", "code"),
    [
        ({"state": "another"}, "sign_in_expired"),
        ({"state": None}, "sign_in_expired"),
        ({"iss": "https://evil.test"}, "provider_mismatch"),
        ({"iss": None}, "provider_mismatch"),
        ({"code": "made-up"}, "provider_refused"),
        ({"code": None, "error": "access_denied"}, "provider_refused"),
    ],
)
async def test_a_tampered_answer_signs_nobody_in(
    app: Served, provider: str, tampered: dict[str, str | None], code: str
) -> None:
    async with browser_of(app) as browser:
        assert await go(app, browser, "ina", **tampered) == f"/#sign-in-failed={code}"


async def test_an_answer_counts_only_in_the_browser_that_asked(app: Served, provider: str) -> None:
    async with browser_of(app) as victim, browser_of(app) as attacker:
        started = await attacker.get("/api/v1/auth/oidc/start")
        back = await at_the_provider(started.headers["location"], "ina")
        await victim.get("/api/v1/auth/oidc/start")
        answer = await victim.get(back)
        assert answer.headers["location"] == "/#sign-in-failed=sign_in_expired"
        assert (await attacker.get(back)).headers["location"] == "/#signed-in"
        assert (await attacker.get(back)).headers["location"] == "/#sign-in-failed=sign_in_expired"


async def test_new_keys_of_the_provider_are_fetched(
    inner_site: Site, app: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aigo.auth.oidc._REFETCH_SECONDS", 0)
    issuer = f"http://127.0.0.1:{free_port()}"
    async with signing_in_by(inner_site, issuer) as other:
        for start in ("first", "second"):
            with running(issuer, tmp_path / start):
                async with browser_of(other) as browser:
                    assert await go(other, browser, "iris") == "/#signed-in", start


async def test_an_absent_provider_is_a_problem_of_its_people_only(inner_site: Site) -> None:
    oidc = {"issuer": f"http://127.0.0.1:{free_port()}", "client_id": "aigo", "default_role": "user"}
    async with (
        served(inner_site, auth={"oidc": oidc}, server={"public_url": PUBLIC}) as app,
        browser_of(app) as browser,
    ):
        answer = await browser.get("/api/v1/auth/oidc/start")
        assert answer.headers["location"] == "/#sign-in-failed=unavailable"
        assert (await app.login("uwe")).status_code == 200


KEY = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    told = {"iss": "https://idp.test", "aud": "aigo", "sub": "s", "nonce": "n", "iat": now, "exp": now + 300}
    return {key: value for key, value in (told | more).items() if value is not None}


def rs256(body: dict[str, Any], key: RSAKey = KEY) -> str:
    return jwt.encode({"alg": "RS256", "kid": "k1"}, body, key)


def hs256(body: dict[str, Any], secret: bytes) -> str:
    """Sign by hand: the library refuses to use a public key so."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "HS256"}, body)]
    value = hmac.digest(secret, b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(value).rstrip(b"=")]).decode()


FORGED: dict[str, Callable[[], str]] = {
    "another key": lambda: rs256(claims(), OTHER),
    "no signature": lambda: rs256(claims()).rsplit(".", 1)[0] + ".",
    "algorithm none": lambda: "eyJhbGciOiJub25lIn0." + rs256(claims()).split(".")[1] + ".",
    "the client's secret as the key": lambda: jwt.encode({"alg": "HS256"}, claims(), OctKey.import_key("s" * 40)),
    "the public key as a secret": lambda: hs256(claims(), KEY.as_pem(private=False)),
    "another issuer": lambda: rs256(claims(iss="https://evil.test")),
    "another audience": lambda: rs256(claims(aud="other")),
    "several audiences without a party": lambda: rs256(claims(aud=["aigo", "other"])),
    "another party": lambda: rs256(claims(azp="other")),
    "another nonce": lambda: rs256(claims(nonce="x")),
    "no nonce": lambda: rs256(claims(nonce=None)),
    "expired": lambda: rs256(claims(exp=int(time.time()) - 120)),
    "no expiry": lambda: rs256(claims(exp=None)),
    "from the future": lambda: rs256(claims(iat=int(time.time()) + 600)),
    "no subject": lambda: rs256(claims(sub=None)),
    "nonsense": lambda: "a.b.c",
}


@pytest.fixture
def judge() -> Provider:
    """A provider that knows its keys already."""
    settings = Oidc(issuer="https://idp.test", client_id="aigo", default_role="user")
    judge = Provider(settings, PUBLIC, Sealer("x" * 40))
    now = time.monotonic()
    judge._metadata = (now, {"issuer": "https://idp.test", "jwks_uri": "https://idp.test/jwks"})
    judge._keys = (now, KeySet([KEY]))
    return judge


async def test_a_good_id_token_is_taken(judge: Provider) -> None:
    assert (await judge._claims(rs256(claims()), "n"))["sub"] == "s"
    assert (await judge._claims(rs256(claims(aud=["aigo", "b"], azp="aigo")), "n"))["sub"] == "s"


@pytest.mark.parametrize("flaw", FORGED)
async def test_a_forged_id_token_is_refused(judge: Provider, flaw: str) -> None:
    with pytest.raises(Problem) as caught:
        await judge._claims(FORGED[flaw](), "n")
    assert caught.value.code == "bad_id_token"


def test_cookies_are_sealed_and_end() -> None:
    sealer = Sealer("x" * 40)
    assert (open_cookie(sealer, seal_cookie(sealer, {"a": "b"}, 60)) or {})["a"] == "b"
    assert open_cookie(sealer, seal_cookie(sealer, {"a": "b"}, 0)) is None
    assert open_cookie(sealer, seal_cookie(Sealer("y" * 40), {"a": "b"}, 60)) is None
    assert [open_cookie(sealer, text) for text in (None, "", "!", "AQID")] == [None] * 4
