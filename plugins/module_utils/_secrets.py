# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a site's secrets must be, and which of them have to be made: no files, no Ansible."""

from __future__ import annotations

import base64
import hashlib
import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

KINDS = ("password", "hex", "base64key")

WEAK_WORDS = frozenset(
    (
        *("admin", "administrator", "aigo", "changeit", "changeme", "default", "letmein", "passphrase", "password"),
        *("passw0rd", "placeholder", "postgres", "qwerty", "redis", "root", "secret", "todo", "welcome"),
    )
)

_ALPHABET = string.ascii_letters + string.digits


class SecretsError(Exception):
    """A secret, or the file that holds them, is not usable; the message says how to mend it."""


@dataclass(frozen=True)
class SecretSpec:
    """How one secret is generated, and how short a supplied one may be.

    ``length`` counts characters and is ignored by the kind ``base64key`` (always 32 random bytes, 44 characters).
    """

    length: int = 32
    kind: str = "password"
    minimum: int = 16


@dataclass(frozen=True)
class SecretsPlan:
    """The file's content before and after, and the names (never the values) of what differs."""

    before: Mapping[str, str] = field(repr=False)
    after: Mapping[str, str] = field(repr=False)
    created: tuple[str, ...]
    rotated: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether the file has to be written."""
        return bool(self.created or self.rotated)


def generate(spec: SecretSpec) -> str:
    """Return a new random secret.

    A password has letters and digits alone (so that it needs no quoting in any file, URL or shell), among them at
    least one lower-case letter, one capital and one digit.
    """
    if spec.kind == "hex":
        return secrets.token_hex((spec.length + 1) // 2)[: spec.length]
    if spec.kind == "base64key":
        return base64.b64encode(secrets.token_bytes(32)).decode()
    while True:
        value = "".join(secrets.choice(_ALPHABET) for _unused in range(spec.length))
        if all(any(test(char) for char in value) for test in (str.islower, str.isupper, str.isdigit)):
            return value


def placeholder(name: str, kind: str = "password") -> str:
    """Return a well-formed stand-in for a secret that does not exist yet; the same for the same name."""
    digest = hashlib.sha256(b"aigo.onprem placeholder " + name.encode()).digest()
    if kind == "base64key":
        return base64.b64encode(digest).decode()
    return digest.hex()[:32]


def weakness(value: str, spec: SecretSpec) -> str | None:
    """Say why a supplied secret is too weak, or return None; the reason never contains the value."""
    if len(value) < spec.minimum:
        return f"has {len(value)} characters, at least {spec.minimum} are needed"
    if value.lower().strip(string.digits + string.punctuation) in WEAK_WORDS:
        return "is a well-known word"
    if len(set(value)) < 5:
        return "repeats fewer than five different characters"
    if spec.kind == "hex" and not all(char in string.hexdigits for char in value):
        return "is not hexadecimal"
    if spec.kind == "base64key" and not _is_key(value):
        return "is not the base64 form of 32 bytes"
    return None


def check_specs(specs: Mapping[str, SecretSpec]) -> None:
    """Raise SecretsError for a specification that would generate what the check would then refuse."""
    for name, spec in specs.items():
        if spec.kind in ("password", "hex") and spec.length < max(spec.minimum, 8):
            raise SecretsError(
                f"secrets.{name}: length {spec.length} is shorter than its minimum of {max(spec.minimum, 8)}: "
                "raise length, or lower minimum"
            )


def plan(current: Mapping[str, str], specs: Mapping[str, SecretSpec], rotate: Sequence[str] = ()) -> SecretsPlan:
    """Decide which secrets are missing or replaced; what the file holds beyond ``specs`` stays as it is.

    Raises SecretsError that lists *every* weak supplied secret, or every name in ``rotate`` that nobody declared.
    """
    check_specs(specs)
    unknown = [name for name in rotate if name not in specs]
    if unknown:
        raise SecretsError(
            f"rotate names {', '.join(unknown)}, which secrets does not declare; declared: {', '.join(sorted(specs))}"
        )
    weak = [
        f"{name} {reason}"
        for name, spec in specs.items()
        if name in current and name not in rotate and (reason := weakness(current[name], spec))
    ]
    if weak:
        raise SecretsError(
            "weak secrets: "
            + "; ".join(weak)
            + ". Replace each by a long random value, or remove it so that one is generated"
        )

    created = tuple(name for name in specs if name not in current)
    rotated = tuple(name for name in dict.fromkeys(rotate) if name in current)
    after = dict(current)
    for name in rotated:
        after[f"{name}_previous"] = current[name]
    for name in created + rotated:
        after[name] = generate(specs[name])
    return SecretsPlan(before=dict(current), after=after, created=created, rotated=rotated)


def _is_key(value: str) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == 32
    except ValueError:
        return False
