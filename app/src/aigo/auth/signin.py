"""Signing in, staying signed in, and the second factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from aigo.audit.log import AuditLog
from aigo.auth.directory import Person, role_of
from aigo.auth.ldap import Directory
from aigo.auth.origin import Origin
from aigo.auth.passwords import PasswordPool
from aigo.auth.service import Auth, unauthenticated
from aigo.auth.store import Source, User
from aigo.auth.tokens import Claims, Refresh
from aigo.config.identity import Auth as AuthSettings
from aigo.config.identity import Mapping
from aigo.db import Row
from aigo.problems import Problem

log = structlog.get_logger()
_WRONG = "The name or the password is wrong, or the account is locked for a while."
_ENDED = "The session has ended: sign in again."


@dataclass(frozen=True)
class Grant:
    """What a client gets: who it is, a token for requests and one to renew it."""

    user: User
    access: str
    refresh: str
    seconds: int


class SignIn:
    """Passwords, directories and refresh tokens in, grants out. Everything is written to the audit log."""

    def __init__(self, auth: Auth, settings: AuthSettings, audit: AuditLog) -> None:
        self._auth, self._settings, self._audit = auth, settings, audit
        self._passwords = PasswordPool()
        self._directory = Directory(settings.ldap) if settings.ldap else None

    def close(self) -> None:
        """Stop the threads."""
        self._passwords.close()
        if self._directory:
            self._directory.close()

    async def login(self, name: str, password: str, code: str | None, origin: Origin) -> Grant:
        """Return a grant; :raises Problem: 401, the same for every reason but a missing second factor."""
        row, method = await self._identified(name, password, origin)
        strong = False
        if row["totp_confirmed_at"]:
            if code is None:
                raise unauthenticated("Send the code of your second factor, too.", "second_factor_required")
            if not await self._auth.factors.accepts(row, code):
                await self._refused(row, "login", origin, reason="code")
                raise unauthenticated("That code is wrong, or was used already.", "second_factor_wrong")
            strong = True
        return await self.open(row, method, strong, origin)

    async def open(self, row: Row, method: Source, strong: bool, origin: Origin) -> Grant:
        """Open a session for somebody who has shown who they are."""
        session = await self._begin(row, method, strong, origin, 1)
        return await self._grant(row["id"], session["id"], session)

    async def open_pending(self, row: Row, method: Source, strong: bool, origin: Origin) -> UUID:
        """As :meth:`open`, for a browser that is on its way: return the session's id, to be claimed once."""
        session_id: UUID = (await self._begin(row, method, strong, origin, 0))["id"]
        return session_id

    async def claim(self, session_id: UUID, origin: Origin) -> Grant:
        """Return the grant of a pending session; :raises Problem: 401 the second time."""
        row = await self._auth.sessions.renew(session_id, 0, origin)
        if row is None:
            raise unauthenticated(_ENDED)
        return await self._grant(row["id"], session_id, row)

    async def adopt(self, person: Person, source: Source, mapping: Mapping, origin: Origin) -> Row:
        """Take over what a directory says of a person; :raises Problem: 403 without a role, 401 when disabled here."""
        role = role_of(person.groups, mapping)
        if role is None:
            await self._audit.record(
                "login", actor=(None, person.name), origin=origin, outcome="failure", method=source, reason="no role"
            )
            raise Problem(403, "not_entitled", "You are known, but none of your groups may use this service.")
        row = await self._auth.users.adopt(source, person.external_id, person.name, person.display_name, role)
        if row["disabled_at"] or row["locked"]:
            await self._refused(row, "login", origin, count=False, reason="disabled or locked")
            raise unauthenticated(_WRONG)
        await self._auth.forget(row["id"])
        return row

    async def refresh(self, token: str, origin: Origin) -> Grant:
        """Renew a session; a token that comes back after its use ends the session of whoever has it."""
        refresh = self._auth.signer.read_refresh(token)
        if refresh is None:
            raise unauthenticated(_ENDED)
        row = await self._auth.sessions.renew(refresh.session_id, refresh.generation, origin)
        if row is None:
            row = await self._auth.sessions.standing(refresh.session_id)
            if row is None:
                raise unauthenticated(_ENDED)
            if not (row["recent"] and row["generation"] == refresh.generation + 1):
                await self._end(row, refresh.session_id, origin, "refresh token used twice")
                raise unauthenticated(_ENDED)
        await self._look_up_again(row, refresh.session_id, origin)
        return await self._grant(row["id"], refresh.session_id, row)

    async def logout(self, user: User, origin: Origin) -> None:
        """End the session that is used."""
        if user.session_id:
            await self._auth.sessions.end(user.id, user.session_id)
            await self._auth.forget_session(user.session_id)
            await self._audit.record("logout", actor=(user.id, user.name), origin=origin)

    async def change_password(self, user: User, current: str, new: str, origin: Origin) -> None:
        """Replace one's own password and end one's other sessions."""
        row = await self._whole(user)
        if row["source"] != "local":
            raise Problem(409, "managed_elsewhere", "Your password belongs to your organisation's directory.")
        if row["locked"] or not await self._passwords.matches(row["password_hash"], current):
            await self._refused(row, "password.change", origin, count=not row["locked"])
            raise Problem(403, "wrong_password", "The current password is wrong, or the account is locked.")
        await self.set_password(row["name"], new)
        await self._audit.record("password.change", actor=(user.id, user.name), origin=origin)

    async def set_password(self, name: str, password: str) -> None:
        """Replace a local user's password and end all sessions; :raises Problem: 422 for a bad password."""
        hashed = await self.hash(password)
        row = await self._auth.users.by_name(name)
        if row is None or not await self._auth.users.set_password(name, hashed):
            raise Problem(409, "managed_elsewhere", "That password belongs to the organisation's directory.")
        await self._auth.forget(row["id"])

    async def hash(self, password: str) -> str:
        """Hash a password in the bounded pool; :raises Problem: 422 for a bad one."""
        try:
            return await self._passwords.hash(password)
        except ValueError as error:
            raise Problem(422, "weak_password", f"{error}.") from None

    async def enrol(self, user: User) -> tuple[str, str]:
        """Begin to set up a second factor; return its secret and its URI."""
        made = await self._auth.factors.begin(user.id, user.name)
        if made is None:
            raise Problem(409, "enrolled", "There is a second factor already: remove it first.")
        return made

    async def confirm(self, user: User, code: str, origin: Origin) -> list[str]:
        """Finish setting up; return the recovery codes."""
        row = await self._whole(user)
        if row["totp_confirmed_at"] or not row["totp_secret"]:
            raise Problem(409, "not_begun", "Begin with POST /api/v1/auth/mfa.")
        await self._check(row, code, "mfa.enrol", origin)
        codes = await self._auth.factors.confirm(user.id)
        await self._strengthen(user)
        await self._audit.record("mfa.enrol", actor=(user.id, user.name), origin=origin)
        return codes

    async def step_up(self, user: User, code: str, origin: Origin) -> None:
        """Show the second factor in a session that began without it."""
        await self._check(await self._whole(user), code, "mfa.verify", origin)
        await self._strengthen(user)

    async def remove_factor(self, user: User, code: str, origin: Origin) -> None:
        """Give the second factor up, which takes a code."""
        await self._check(await self._whole(user), code, "mfa.remove", origin)
        await self._auth.users.remove_factor(user.name)
        await self._auth.forget(user.id)
        await self._audit.record("mfa.remove", actor=(user.id, user.name), origin=origin)

    async def _identified(self, name: str, password: str, origin: Origin) -> tuple[Row, Source]:
        row = await self._auth.users.by_name(name)
        local = row is not None and row["source"] == "local"
        barred = row is not None and bool(row["disabled_at"] or row["locked"])
        # Hashing happens whatever the name is, so that the time it takes tells nothing about it.
        good = await self._passwords.matches(row["password_hash"] if row and local else None, password)
        person = None
        if self._directory and not barred and (row is None or row["source"] == "ldap"):
            person = await self._directory.authenticate(name, password)
            good = person is not None
        if not good or barred:
            await self._refused(row, "login", origin, count=not barred, reason="barred" if barred else "password")
            raise unauthenticated(_WRONG)
        if person is not None:
            assert self._settings.ldap is not None
            return await self.adopt(person, "ldap", self._settings.ldap, origin), "ldap"
        assert row is not None
        return row, "local"

    async def _look_up_again(self, row: Row, session_id: UUID, origin: Origin) -> None:
        """Let the directory say whether somebody is still in it, and what their role is now."""
        if row["source"] != "ldap" or self._directory is None or self._settings.ldap is None:
            return
        try:
            person = await self._directory.find(row["name"])
        except Problem:
            # The session has its end; until then an absent directory keeps nobody from working.
            log.warning("a session was renewed without the directory", user_id=str(row["id"]))
            return
        if person is None or role_of(person.groups, self._settings.ldap) is None:
            await self._end(row, session_id, origin, "gone from the directory")
            raise unauthenticated(_ENDED)
        await self.adopt(person, "ldap", self._settings.ldap, origin)

    async def _begin(self, row: Row, method: Source, strong: bool, origin: Origin, generation: int) -> Row:
        kind = "password" if method == "local" else method
        session = await self._auth.sessions.open(
            row["id"], self._settings.session_hours, origin, method=kind, strong=strong, generation=generation
        )
        await self._audit.record("login", actor=(row["id"], row["name"]), origin=origin, method=kind, strong=strong)
        return session

    async def _grant(self, user_id: UUID, session_id: UUID, session: Row) -> Grant:
        await self._auth.forget_session(session_id)
        access = self._auth.signer.issue(Claims(user_id, session_id))
        user = await self._auth.user_of(access)
        refresh = self._auth.signer.issue_refresh(Refresh(session_id, session["generation"]), session["expires_at"])
        return Grant(user, access, refresh, self._auth.signer.seconds)

    async def _whole(self, user: User) -> Row:
        row = await self._auth.users.by_id(user.id)
        if row is None:
            raise unauthenticated(_ENDED)
        return row

    async def _check(self, row: Row, code: str, action: str, origin: Origin) -> None:
        if row["locked"] or not await self._auth.factors.accepts(row, code):
            await self._refused(row, action, origin, count=not row["locked"], reason="code")
            raise Problem(403, "second_factor_wrong", "That code is wrong, was used already, or the account is locked.")

    async def _strengthen(self, user: User) -> None:
        if user.session_id:
            await self._auth.sessions.strengthen(user.session_id)
        await self._auth.forget(user.id)

    async def _refused(
        self, row: Row | None, action: str, origin: Origin, *, count: bool = True, **details: Any
    ) -> None:
        if row is not None and count:
            lockout = self._settings.lockout
            await self._auth.users.login_failed(row["id"], lockout.attempts, lockout.minutes)
        # What was typed as a name may have been a password, so an unknown one isn't written down.
        actor = (row["id"], row["name"]) if row else (None, "unknown")
        await self._audit.record(action, actor=actor, origin=origin, outcome="failure", **details)

    async def _end(self, row: Row, session_id: UUID, origin: Origin, reason: str) -> None:
        await self._auth.sessions.end(row["id"], session_id)
        await self._auth.forget_session(session_id)
        actor = (row["id"], row["name"])
        await self._audit.record("session.end", actor=actor, origin=origin, outcome="failure", reason=reason)
