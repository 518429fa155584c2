"""The second factor: time-based codes, each good once, and recovery codes."""

from __future__ import annotations

import hashlib
import secrets
import time
from hmac import compare_digest
from uuid import UUID

import pyotp

from aigo.auth.sealing import Sealer
from aigo.db import Database, Row

_ISSUER = "aigo"
_PERIOD = 30
_RECOVERY_CODES = 10


class SecondFactors:
    """Sets up, checks and removes second factors."""

    def __init__(self, db: Database, sealer: Sealer) -> None:
        self._db, self._sealer = db, sealer

    async def begin(self, user_id: UUID, name: str) -> tuple[str, str] | None:
        """Make a secret, which counts once it is confirmed; return it and its URI, or None when one is in use."""
        secret = pyotp.random_base32()
        rows = await self._db.write(
            "UPDATE users SET totp_secret = %s, totp_last_step = 0 WHERE id = %s AND totp_confirmed_at IS NULL"
            " RETURNING id",
            (self._sealer.seal(secret.encode(), str(user_id)), user_id),
        )
        return (secret, pyotp.TOTP(secret, name=name, issuer=_ISSUER).provisioning_uri()) if rows else None

    async def confirm(self, user_id: UUID) -> list[str]:
        """Make the secret count; return the recovery codes, which are nowhere else."""
        codes = ["-".join(secrets.token_hex(2) for _ in range(5)) for _ in range(_RECOVERY_CODES)]
        async with self._db.transaction() as connection:
            await connection.execute("UPDATE users SET totp_confirmed_at = now() WHERE id = %s", (user_id,))
            await connection.execute("DELETE FROM recovery_codes WHERE user_id = %s", (user_id,))
            await connection.execute(
                "INSERT INTO recovery_codes SELECT %s, unnest(%s::bytea[])", (user_id, [_hash(code) for code in codes])
            )
        return codes

    async def accepts(self, user: Row, code: str) -> bool:
        """Whether a code is right and hasn't been used; ``user`` is the whole row."""
        sealed = user["totp_secret"]
        secret = self._sealer.open(sealed, str(user["id"])) if sealed else None
        step = _step(secret.decode(), code) if secret and code.isascii() and code.isdigit() else None
        if step is not None:
            rows = await self._db.write(
                "UPDATE users SET totp_last_step = %s WHERE id = %s AND totp_last_step < %s RETURNING id",
                (step, user["id"], step),
            )
            return bool(rows)
        rows = await self._db.write(
            "DELETE FROM recovery_codes WHERE user_id = %s AND code_hash = %s RETURNING user_id",
            (user["id"], _hash(code.strip().lower())),
        )
        return bool(rows)


def _step(secret: str, code: str) -> int | None:
    """Return the step that a code belongs to: the current one, the one before or the one after."""
    now, totp = int(time.time()) // _PERIOD, pyotp.TOTP(secret)
    good = [step for step in (now - 1, now, now + 1) if compare_digest(totp.generate_otp(step), code)]
    return good[-1] if good else None


def _hash(code: str) -> bytes:
    # 80 random bits: a fast hash is enough.
    return hashlib.sha256(code.encode()).digest()
