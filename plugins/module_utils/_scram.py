# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SCRAM-SHA-256 verifiers as PostgreSQL stores them (RFC 5802, RFC 7677).

Made here, so that a password reaches neither the server's log nor its statistics.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re

ITERATIONS = 4096
_VERIFIER = re.compile(r"^SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)$")


def verifier(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """What to store for `password`. :raises ValueError: for characters that would need normalising."""
    # Beyond printable ASCII the standard asks for SASLprep; a client without it would compute another key.
    if not password or not all(" " <= c <= "~" for c in password):
        raise ValueError("must be printable ASCII and not empty")
    salt = os.urandom(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${iterations}:{salt_text}${stored_text}:{server_text}"


def matches(password: str, stored: str | None) -> bool:
    """Whether a stored verifier belongs to `password`; anything that is no SCRAM verifier does not."""
    found = _VERIFIER.match(stored or "")
    if not found:
        return False
    try:
        wanted = verifier(password, base64.b64decode(found[2]), int(found[1]))
    except ValueError:
        return False
    return hmac.compare_digest(wanted, found[0])
