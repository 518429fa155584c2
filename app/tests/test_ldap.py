"""Signing in by a real OpenLDAP directory."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import ldap3
import pytest
import pytest_asyncio

from aigo.auth.ldap import verified_tls

from .inprocess import Served, served
from .site import PASSWORD, Site, free_port

BASE = "dc=aigo,dc=test"
PEOPLE = f"ou=people,{BASE}"
READER = f"cn=reader,{BASE}"
GROUPS = {"admins": ["lena"], "auditors": ["lena", "lars"], "staff": ["lena", "lars", "liv", "uwe"]}


@pytest.fixture(scope="module")
def directory() -> Iterator[Any]:
    """The manager's connection to a directory with a few people and groups in it."""
    url, ca = os.environ.get("AIGO_TEST_LDAP_URL"), os.environ.get("AIGO_TEST_LDAP_CA")
    if not url or not ca:
        pytest.exit("AIGO_TEST_LDAP_URL isn't set: lab/services.py starts a directory to test against", returncode=4)
    parts = urlsplit(url)
    server = ldap3.Server(f"ldap://{parts.hostname}:{parts.port}", tls=verified_tls(ca))
    manager = ldap3.Connection(server, unquote(parts.username or ""), parts.password, raise_exceptions=True)
    manager.start_tls()
    manager.bind()
    manager.add(BASE, ["dcObject", "organization"], {"dc": "aigo", "o": "aigo"})
    for unit in ("people", "groups"):
        manager.add(f"ou={unit},{BASE}", "organizationalUnit")
    secret = {"userPassword": PASSWORD}
    manager.add(READER, ["organizationalRole", "simpleSecurityObject"], secret)
    for name in ("lena", "lars", "liv", "lost", "uwe", "a*b"):
        manager.add(f"uid={name},{PEOPLE}", "inetOrgPerson", {"cn": f"{name.title()} L", "sn": "L"} | secret)
    for group, members in GROUPS.items():
        entry = {"member": [f"uid={name},{PEOPLE}" for name in members]}
        manager.add(f"cn={group},ou=groups,{BASE}", "groupOfNames", entry)
    yield manager
    manager.unbind()


@pytest.fixture(scope="module")
def settings(directory: Any, inner_site: Site) -> dict[str, Any]:
    """The application's configuration for it; the password is a secret in a file."""
    inner_site.secret("auth.ldap.bind_password", PASSWORD)
    return {
        "url": f"ldap://{directory.server.host}:{directory.server.port}",
        "ca": os.environ["AIGO_TEST_LDAP_CA"],
        "bind_dn": READER,
        "base_dn": BASE,
        "roles": {"admin": ["admins"], "auditor": [f"cn=auditors,ou=groups,{BASE}"], "user": ["STAFF"]},
    }


@pytest_asyncio.fixture(scope="module")
async def app(inner_site: Site, settings: dict[str, Any]) -> AsyncIterator[Served]:
    async with served(inner_site, auth={"ldap": settings}) as app:
        yield app
    (inner_site.directory / "secrets" / "auth.ldap.bind_password").unlink()


async def test_the_directory_vouches_for_people_and_groups_make_roles(app: Served) -> None:
    roles = {}
    for name in ("lena", "lars", "LIV"):
        told = (await app.login(name)).json()["user"]
        roles[told["name"]] = (told["role"], told["source"], told["display_name"])
    assert roles == {
        "lena": ("admin", "ldap", "Lena L"),
        "lars": ("auditor", "ldap", "Lars L"),
        "liv": ("user", "ldap", "Liv L"),
    }


async def test_tls_from_the_beginning_serves_as_well(inner_site: Site, settings: dict[str, Any], app: Served) -> None:
    secure = settings | {"url": settings["url"].replace("ldap://", "ldaps://").replace(":389", ":636")}
    async with served(inner_site, auth={"ldap": secure}) as other:
        assert (await other.login("liv")).json()["user"]["role"] == "user"


async def test_who_is_in_no_group_stays_outside(app: Served) -> None:
    refused = await app.login("lost")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_entitled")


@pytest.mark.parametrize("name", ["lena", "nobody", "*", "l*", "lena)(uid=*", "a*b)(|(uid=lena"])
async def test_wrong_passwords_and_filters_in_names_are_refused_alike(app: Served, name: str) -> None:
    answer = await app.login(name, "not the password")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("name", ["*", "l*na", "lena)(cn=*"])
async def test_a_name_is_taken_literally(app: Served, name: str) -> None:
    assert (await app.login(name)).status_code == 401


async def test_a_local_user_comes_before_the_directory(app: Served) -> None:
    told = (await app.login("uwe")).json()["user"]
    assert (told["source"], told["display_name"]) == ("local", "Uwe")


async def test_the_password_of_a_directory_user_isnt_changed_here(app: Served) -> None:
    async with await app.signed_in("liv") as client, await app.signed_in("root") as root:
        body = {"current_password": PASSWORD, "new_password": "another password"}
        assert (await client.post("/api/v1/auth/password", json=body)).status_code == 409
        me = (await client.get("/api/v1/auth/me")).json()["id"]
        assert (await root.patch(f"/api/v1/users/{me}", json={"role": "admin"})).json()["code"] == "managed_elsewhere"
        assert (await root.patch(f"/api/v1/users/{me}", json={"disabled": True})).status_code == 200
        assert (await client.get("/api/v1/auth/me")).status_code == 401
        assert (await app.login("liv")).status_code == 401
        assert (await root.patch(f"/api/v1/users/{me}", json={"disabled": False})).status_code == 200


async def test_refreshing_follows_the_directory(app: Served, directory: Any) -> None:
    told = (await app.login("lars")).json()
    group = f"cn=auditors,ou=groups,{BASE}"
    member = {"member": [(ldap3.MODIFY_DELETE, [f"uid=lars,{PEOPLE}"])]}

    async def refresh(token: str) -> Any:
        async with app.client() as client:
            return await client.post("/api/v1/auth/refresh", json={"refresh_token": token})

    directory.modify(group, member)
    second = (await refresh(told["refresh_token"])).json()
    assert second["user"]["role"] == "user"
    directory.modify(f"cn=staff,ou=groups,{BASE}", member)
    assert (await refresh(second["refresh_token"])).status_code == 401
    assert (await app.login("lars")).status_code == 403


async def test_a_new_person_with_an_old_name_doesnt_inherit(app: Served, directory: Any) -> None:
    assert (await app.login("lena")).status_code == 200
    dn = f"uid=lena,{PEOPLE}"
    directory.delete(dn)
    directory.add(dn, "inetOrgPerson", {"cn": "Another Lena", "sn": "L", "userPassword": PASSWORD})
    refused = await app.login("lena")
    assert (refused.status_code, refused.json()["code"]) == (409, "name_taken")


@pytest.mark.parametrize("flaw", ["away", "another authority", "wrong reader"])
async def test_an_unusable_directory_stops_its_people_only(
    inner_site: Site, settings: dict[str, Any], app: Served, flaw: str, tmp_path: Path
) -> None:
    change: dict[str, Any] = {"bind_dn": f"cn=nobody,{BASE}"}
    if flaw == "away":
        change = {"url": f"ldap://127.0.0.1:{free_port()}"}
    elif flaw == "another authority":
        import certifi

        change = {"ca": certifi.where()}
    async with served(inner_site, auth={"ldap": settings | change}) as broken:
        refused = await broken.login("lena")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert (await broken.login("uwe")).status_code == 200
