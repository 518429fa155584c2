"""Who may do what: permissions, and the table that says which role has them."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, get_args

Role = Literal["user", "auditor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)


class Permission(StrEnum):
    """What an endpoint can ask for. A key's scopes are some of these."""

    ACCOUNT = "account"  # one's own name, sessions, password and second factor
    KEYS = "keys"  # one's own keys
    CHAT = "chat"  # one's own conversations, runs, jobs and documents
    USERS_READ = "users.read"
    USERS_WRITE = "users.write"
    AUDIT_READ = "audit.read"
    SYSTEM_READ = "system.read"  # what the service stands on


_OWN = frozenset({Permission.ACCOUNT, Permission.KEYS})
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    "user": _OWN | {Permission.CHAT},
    "auditor": _OWN | {Permission.USERS_READ, Permission.AUDIT_READ, Permission.SYSTEM_READ},
    "admin": frozenset(Permission),
}


def effective(role: Role, scopes: list[str] | None = None, enrolled: bool = True) -> frozenset[Permission]:
    """Return what a role may do, cut down to a key's scopes, or to one's own account until a second factor is there."""
    granted = PERMISSIONS[role]
    if scopes is not None:
        granted &= frozenset(scopes)
    return granted if enrolled else granted & {Permission.ACCOUNT}
