# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``backup_ssh_key``."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Any

from ansible.errors import AnsibleFilterError

try:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
except ImportError:
    Ed25519PrivateKey = None  # type: ignore[assignment,misc]

_TYPE = b"ssh-ed25519"
_BLOCK = 8
_LINE = 70
_SHORTEST = 32


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def backup_ssh_key(seed: str, comment: str = "aigo-backup") -> dict[str, str]:
    """Make the Ed25519 key that a secret text stands for; always the same, in OpenSSH's own form.

    cryptography's serialisation draws a random number for each call, which would be a change at every run.
    """
    if Ed25519PrivateKey is None:
        raise AnsibleFilterError("backup_ssh_key: the control node lacks the Python library cryptography: install it")
    if len(seed) < _SHORTEST:
        raise AnsibleFilterError(f"backup_ssh_key: the seed has {len(seed)} characters, {_SHORTEST} are needed")
    secret = hashlib.sha256(b"aigo.onprem backup ssh key " + seed.encode()).digest()
    public = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    blob = _string(_TYPE) + _string(public)
    check = hashlib.sha256(b"check" + secret).digest()[:4]
    private = check + check + blob + _string(secret + public) + _string(comment.encode())
    private += bytes(range(1, -len(private) % _BLOCK + 1))
    document = b"openssh-key-v1\0" + _string(b"none") + _string(b"none") + _string(b"") + struct.pack(">I", 1)
    text = base64.b64encode(document + _string(blob) + _string(private)).decode()
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return {
        "private": "\n".join(["-----BEGIN OPENSSH PRIVATE KEY-----", *lines, "-----END OPENSSH PRIVATE KEY-----", ""]),
        "public": f"{_TYPE.decode()} {base64.b64encode(blob).decode()} {comment}",
    }


class FilterModule:
    """Offer the filter to Ansible."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"backup_ssh_key": backup_ssh_key}
