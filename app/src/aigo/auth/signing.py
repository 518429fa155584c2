"""Signed requests: a signing key's secret never travels, and what was recorded can't be sent again.

``Authorization: AIGO-HMAC-SHA256 Key=<id>, Time=<unix seconds>, Nonce=<16 to 64 letters and digits>,
Signature=<hexadecimal>``, the signature being the HMAC-SHA-256, with the key's secret (the part of its text after the
last underscore), of these lines joined by line feeds: ``AIGO-HMAC-SHA256``, time, nonce, method, path with query,
SHA-256 of the body in hexadecimal.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from dataclasses import dataclass

SCHEME = "AIGO-HMAC-SHA256"
# How far the clocks of client and server may be apart; nonces are remembered twice as long.
SKEW_SECONDS = 300
_FORM = re.compile(r"^Key=([0-9a-f]{12}), *Time=([0-9]{1,12}), *Nonce=([A-Za-z0-9]{16,64}), *Signature=([0-9a-f]{64})$")


@dataclass(frozen=True)
class Signature:
    """What the header of a signed request says."""

    key_id: str
    time: int
    nonce: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Signature | None:
        """Read what follows the scheme; None when it hasn't the form."""
        match = _FORM.match(text)
        return cls(match[1], int(match[2]), match[3], match[4]) if match else None

    @property
    def timely(self) -> bool:
        """Whether it was made about now."""
        return abs(time.time() - self.time) <= SKEW_SECONDS

    def matches(self, secret: bytes, method: str, target: str, body: bytes) -> bool:
        """Whether the secret made it for this request."""
        return hmac.compare_digest(self.value, sign(secret, self.time, self.nonce, method, target, body))


def sign(secret: bytes, when: int, nonce: str, method: str, target: str, body: bytes) -> str:
    """Return the signature of a request; ``target`` is the path with its query, as it is sent."""
    lines = [SCHEME, str(when), nonce, method, target, hashlib.sha256(body).hexdigest()]
    return hmac.new(secret, "\n".join(lines).encode(), hashlib.sha256).hexdigest()
