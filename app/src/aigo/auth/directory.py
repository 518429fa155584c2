"""What directories and providers tell about a person, and which role that makes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from aigo.auth.permissions import ROLES, Role
from aigo.config.identity import Mapping


@dataclass(frozen=True)
class Person:
    """Somebody for whom a directory vouches; groups are in lower case."""

    external_id: str
    name: str
    display_name: str
    groups: frozenset[str]


def role_of(groups: Collection[str], mapping: Mapping) -> Role | None:
    """Return the mightiest role that the groups make, else the default one; None keeps the person out."""
    for role in reversed(ROLES):
        if any(group.lower() in groups for group in mapping.roles.get(role, [])):
            return role
    return mapping.default_role
