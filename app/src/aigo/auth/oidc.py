"""An OpenID Connect provider: the code flow with PKCE, state and nonce.

What must be remembered between the two steps travels in a sealed cookie, so that an answer counts only in the browser
that asked, on whichever host it arrives.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
import time
from collections.abc import Mapping
from hmac import compare_digest
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import structlog
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from aigo.auth.directory import Person
from aigo.auth.sealing import Sealer
from aigo.config.identity import Oidc
from aigo.config.load import reveal
from aigo.problems import Problem, unavailable

if TYPE_CHECKING:
    import httpx2

log = structlog.get_logger()
CALLBACK = "/api/v1/auth/oidc/callback"
# Symmetric algorithms and "none" are no proof of where a token comes from.
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
_STRONG = {"mfa", "otp", "hwk", "swk", "fido", "sc"}
_FLOW_SECONDS = 600
_LEEWAY = 60
_METADATA_SECONDS = 3600
_REFETCH_SECONDS = 5
_OWNER = "oidc flow"


class Provider:
    """Sends people to the configured provider, and judges what they come back with."""

    def __init__(self, settings: Oidc, public_url: str, sealer: Sealer) -> None:
        self._settings, self._sealer = settings, sealer
        self._redirect = public_url.rstrip("/") + CALLBACK
        self._client: httpx2.AsyncClient | None = None
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._client:
            await self._client.aclose()

    async def start(self) -> tuple[str, str]:
        """Return the address to send the browser to, and the cookie that it must bring back."""
        state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._redirect,
            "scope": " ".join(self._settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = (await self._about())["authorization_endpoint"]
        flow = {"state": state, "nonce": nonce, "verifier": verifier}
        separator = "&" if "?" in endpoint else "?"
        return f"{endpoint}{separator}{urlencode(query)}", seal_cookie(self._sealer, flow, _FLOW_SECONDS)

    async def finish(self, cookie: str | None, answer: Mapping[str, str]) -> tuple[Person, bool]:
        """Return the person, and whether the provider saw a second factor; :raises Problem: 400, 403, 503."""
        flow = open_cookie(self._sealer, cookie)
        if flow is None or not compare_digest(flow["state"].encode(), answer.get("state", "").encode()):
            raise _refused("sign_in_expired", "This sign-in was not begun in this browser, or too long ago.")
        about = await self._about()
        issuer_told = about.get("authorization_response_iss_parameter_supported") is True
        if answer.get("iss", None if issuer_told else self._settings.issuer) != self._settings.issuer:
            raise _refused("provider_mismatch", "The answer comes from another provider.")
        if "code" not in answer:
            log.warning("the provider refused", error=answer.get("error", "")[:100])
            raise _refused("provider_refused", "The provider didn't let you in.")
        tokens = await self._redeem(answer["code"], flow["verifier"])
        claims = await self._claims(str(tokens.get("id_token", "")), flow["nonce"])
        strong = bool(_STRONG & set(_texts(claims.get("amr"))))
        return await self._person(claims, str(tokens.get("access_token", ""))), strong

    async def _redeem(self, code: str, verifier: str) -> dict[str, Any]:
        settings, about = self._settings, await self._about()
        body = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "code_verifier": verifier,
            "client_id": settings.client_id,
        }
        headers, secret = {}, reveal(settings.client_secret)
        if secret and "client_secret_basic" in about.get(
            "token_endpoint_auth_methods_supported", ["client_secret_basic"]
        ):
            headers["Authorization"] = _basic(settings.client_id, secret)
        elif secret:
            body["client_secret"] = secret
        return await self._ask("POST", about["token_endpoint"], "provider_refused", data=body, headers=headers)

    async def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        try:
            claims = await self._verified(token)
            audience, now = claims["aud"], time.time()
            good = (
                claims["iss"] == self._settings.issuer
                and self._settings.client_id in (audience if isinstance(audience, list) else [audience])
                and (not isinstance(audience, list) or len(audience) == 1 or "azp" in claims)
                and claims.get("azp", self._settings.client_id) == self._settings.client_id
                and claims["exp"] > now - _LEEWAY
                and claims["iat"] < now + _LEEWAY
                and compare_digest(claims["nonce"].encode(), nonce.encode())
                and isinstance(claims["sub"], str)
                and claims["sub"] != ""
            )
        except (JoseError, KeyError, TypeError, ValueError, AttributeError) as error:
            log.warning("the provider's token is wrong", error=f"{type(error).__name__}: {error}"[:200])
            good = False
        if not good:
            raise _refused("bad_id_token", "The provider's token can't be trusted.")
        return claims

    async def _verified(self, token: str) -> dict[str, Any]:
        try:
            return jwt.decode(token, await self._key_set(), algorithms=_ALGORITHMS).claims
        except (InvalidKeyIdError, ValueError):
            # The provider may have new keys.
            return jwt.decode(token, await self._key_set(fresh=True), algorithms=_ALGORITHMS).claims

    async def _person(self, claims: dict[str, Any], access_token: str) -> Person:
        settings = self._settings
        wanted = (settings.name_claim, settings.role_claim)
        endpoint = (await self._about()).get("userinfo_endpoint")
        if endpoint and access_token and any(_claim(claims, name) is None for name in wanted):
            headers = {"Authorization": f"Bearer {access_token}"}
            more = await self._ask("GET", endpoint, "provider_refused", headers=headers)
            if more.get("sub") == claims["sub"]:
                claims = more | claims
        name = _claim(claims, settings.name_claim)
        if not isinstance(name, str) or not 0 < len(name.strip()) <= 200:
            raise Problem(403, "not_entitled", f"The provider didn't tell your name (the claim {settings.name_claim}).")
        groups = frozenset(group.lower() for group in _texts(_claim(claims, settings.role_claim)))
        shown = claims.get("name")
        shown = shown[:200] if isinstance(shown, str) and shown.strip() else name
        return Person(f"{settings.issuer}|{claims['sub']}", name.strip(), shown, groups)

    async def _about(self) -> dict[str, Any]:
        if self._metadata and time.monotonic() - self._metadata[0] < _METADATA_SECONDS:
            return self._metadata[1]
        address = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        about = await self._ask("GET", address)
        needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        if about.get("issuer") != self._settings.issuer or not all(isinstance(about.get(key), str) for key in needed):
            log.error("the provider describes itself wrongly", told=str(about.get("issuer"))[:200])
            raise unavailable("The sign-in provider is set up wrongly.", 60)
        self._metadata = (time.monotonic(), about)
        return about

    async def _key_set(self, fresh: bool = False) -> KeySet:
        age = time.monotonic() - self._keys[0] if self._keys else float("inf")
        if self._keys and (age < _REFETCH_SECONDS or not (fresh or age > _METADATA_SECONDS)):
            return self._keys[1]
        told: Any = await self._ask("GET", (await self._about())["jwks_uri"])
        keys = [key for key in told.get("keys", []) if key.get("kty") != "oct" and key.get("use", "sig") == "sig"]
        self._keys = (time.monotonic(), KeySet.import_key_set({"keys": keys}))
        return self._keys[1]

    async def _ask(self, method: str, address: str, refused: str | None = None, **request: Any) -> dict[str, Any]:
        """Ask the provider; an answer of 4xx is a refusal where that can be the person's doing."""
        import httpx2

        if self._client is None:
            context = ssl.create_default_context(cafile=self._settings.ca)
            self._client = httpx2.AsyncClient(verify=context, timeout=self._settings.timeout_seconds)
        try:
            answer = await self._client.request(method, address, **request)
            if refused and 400 <= answer.status_code < 500:
                log.warning("the provider refused", address=address, status=answer.status_code)
                raise _refused(refused, "The provider didn't let you in.")
            answer.raise_for_status()
            told = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            log.warning("the provider can't be asked", address=address, error=f"{type(error).__name__}: {error}"[:200])
            raise unavailable("The sign-in provider can't be asked at the moment.", 5) from None
        if not isinstance(told, dict):
            raise unavailable("The sign-in provider answers with nonsense.", 5)
        return told


def seal_cookie(sealer: Sealer, value: dict[str, str], seconds: int) -> str:
    """Return a value as a cookie that nobody can read or change, and that ends."""
    text = json.dumps(value | {"until": str(int(time.time()) + seconds)})
    return base64.urlsafe_b64encode(sealer.seal(text.encode(), _OWNER)).decode()


def open_cookie(sealer: Sealer, cookie: str | None) -> dict[str, str] | None:
    """Return what :func:`seal_cookie` was given, or None when it is foreign or over."""
    try:
        opened = sealer.open(base64.urlsafe_b64decode(cookie or ""), _OWNER)
    except ValueError:
        return None
    value: dict[str, str] = json.loads(opened) if opened else {"until": "0"}
    return value if int(value["until"]) > time.time() else None


def _refused(code: str, detail: str) -> Problem:
    return Problem(400, code, detail)


def _basic(name: str, secret: str) -> str:
    from urllib.parse import quote_plus

    return "Basic " + base64.b64encode(f"{quote_plus(name)}:{quote_plus(secret)}".encode()).decode()


def _claim(claims: Any, path: str) -> Any:
    """Return a claim; first under its whole name, then a dot goes deeper."""
    if isinstance(claims, dict) and path in claims:
        return claims[path]
    for part in path.split("."):
        claims = claims.get(part) if isinstance(claims, dict) else None
    return claims


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str)]
