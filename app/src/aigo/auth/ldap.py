"""An LDAP directory or Active Directory: find a person, let the directory judge the password, read the groups.

The one file that knows ldap3, which blocks: every question runs in a thread of a small pool.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from aigo.auth.directory import Person
from aigo.config.identity import Ldap
from aigo.config.load import reveal
from aigo.problems import Problem, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

log = structlog.get_logger()
T = TypeVar("T")
_PARALLEL = 4


class Directory:
    """Asks the configured directory."""

    def __init__(self, settings: Ldap) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="ldap")

    async def authenticate(self, name: str, password: str) -> Person | None:
        """Return the person if the directory knows the name and takes the password; :raises Problem: 503."""
        return await self._ask(lambda: self._authenticate(name, password))

    async def find(self, name: str) -> Person | None:
        """Return the person of a name, as the directory knows it now; :raises Problem: 503."""
        return await self._ask(lambda: self._find(name))

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, question: Callable[[], T]) -> T:
        from ldap3.core.exceptions import LDAPException

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, question)
        except (LDAPException, OSError) as error:
            log.warning("the directory can't be asked", error=f"{type(error).__name__}: {error}"[:300])
            raise unavailable("The directory can't be asked at the moment.", 5) from None

    def _authenticate(self, name: str, password: str) -> Person | None:
        if not password:
            # The protocol takes an empty password for an anonymous bind, which succeeds.
            return None
        with self._service() as service:
            found = self._entry(service, name)
            # A name that isn't there costs a bind as well, so that the time tells nothing.
            dn = found["dn"] if found else f"cn={secrets.token_hex(8)},{self._settings.base_dn}"
            good = self._takes(dn, password)
            return self._person(service, found) if found and good else None

    def _find(self, name: str) -> Person | None:
        with self._service() as service:
            found = self._entry(service, name)
            return self._person(service, found) if found else None

    def _takes(self, dn: str, password: str) -> bool:
        connection = self._connection(dn, password)
        try:
            self._secure(connection)
            return bool(connection.bind())
        finally:
            connection.unbind()

    @contextmanager
    def _service(self) -> Iterator[Any]:
        connection = self._connection(self._settings.bind_dn, reveal(self._settings.bind_password) or "")
        try:
            self._secure(connection)
            if not connection.bind():
                log.error("the directory refuses auth.ldap.bind_dn", result=connection.result["description"])
                raise unavailable("The directory can't be asked at the moment.", 5)
            yield connection
        finally:
            connection.unbind()

    def _connection(self, dn: str, password: str) -> Any:
        import ldap3

        settings = self._settings
        tls = verified_tls(settings.ca)
        server = ldap3.Server(
            settings.url, tls=tls, get_info=ldap3.NONE, connect_timeout=max(int(settings.timeout_seconds), 1)
        )
        return ldap3.Connection(
            server,
            dn,
            password,
            authentication=ldap3.SIMPLE,
            client_strategy=ldap3.SYNC,
            receive_timeout=settings.timeout_seconds,
            auto_referrals=False,
        )

    def _secure(self, connection: Any) -> None:
        connection.open()
        if self._settings.start_tls and not self._settings.url.startswith("ldaps:") and not connection.start_tls():
            raise OSError("the directory refuses StartTLS")

    def _entry(self, service: Any, name: str) -> dict[str, Any] | None:
        settings = self._settings
        wanted = [settings.name_attribute, settings.display_name_attribute, settings.id_attribute]
        found = self._search(service, settings.base_dn, settings.user_filter.replace("{name}", _escaped(name)), wanted)
        return found[0] if len(found) == 1 else None

    def _person(self, service: Any, entry: dict[str, Any]) -> Person:
        settings = self._settings
        query = settings.group_filter.replace("{dn}", _escaped(entry["dn"]))
        groups = self._search(service, settings.group_base_dn or settings.base_dn, query, ["cn"])
        names = {group["dn"] for group in groups} | {_text(group, "cn") for group in groups}
        name, identifier = _text(entry, settings.name_attribute), _text(entry, settings.id_attribute)
        if not name or not identifier:
            log.error("the directory's entry lacks a name or an id", dn=entry["dn"])
            raise Problem(403, "not_entitled", "The directory's entry for you is incomplete.")
        shown = _text(entry, settings.display_name_attribute) or name
        return Person(identifier, name, shown, frozenset(group.lower() for group in names if group))

    def _search(self, service: Any, base: str, query: str, attributes: list[str]) -> list[dict[str, Any]]:
        seconds = max(int(self._settings.timeout_seconds), 1)
        done = service.search(base, query, attributes=attributes, time_limit=seconds)
        if not done and service.result["description"] not in ("success", "noSuchObject"):
            raise OSError(f"the search in {base} failed: {service.result['description']}")
        return [entry for entry in service.response or [] if entry["type"] == "searchResEntry"]


def verified_tls(ca: str | None) -> Any:
    """Return the library's TLS settings: the authority of a file, or the system's, and names really checked."""
    import ldap3

    class Verified(ldap3.Tls):  # type: ignore[misc]
        """Lets OpenSSL check the name: the library's own check takes no addresses on newer Pythons."""

        def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
            context = ssl.create_default_context(cafile=ca)
            connection.socket = context.wrap_socket(
                connection.socket, server_hostname=connection.server.host, do_handshake_on_connect=do_handshake
            )

    return Verified(validate=ssl.CERT_REQUIRED, ca_certs_file=ca)


def _escaped(value: str) -> str:
    from ldap3.utils.conv import escape_filter_chars

    return str(escape_filter_chars(value))


def _text(entry: dict[str, Any], attribute: str) -> str:
    """Return an attribute's first value; an id in bytes becomes hexadecimal."""
    values = entry["raw_attributes"].get(attribute) or [b""]
    try:
        return bytes(values[0]).decode()
    except UnicodeDecodeError:
        return bytes(values[0]).hex()
