"""All SQL on user_totp and user_recovery_codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from hookvault.clock import now
from hookvault.db.pool import SystemTx

_FIND = "SELECT secret, key_version, confirmed_at, last_step FROM user_totp WHERE user_id = $1 FOR UPDATE"

# A secret that was never confirmed makes room for another.
_PUT = """
INSERT INTO user_totp (user_id, secret, key_version, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, key_version = excluded.key_version,
    created_at = excluded.created_at, last_step = 0
WHERE user_totp.confirmed_at IS NULL
"""

_CONFIRM = "UPDATE user_totp SET confirmed_at = $2, last_step = $3 WHERE user_id = $1 AND confirmed_at IS NULL"

# Of two who come with the same code, one is let in.
_USE_STEP = "UPDATE user_totp SET last_step = $2 WHERE user_id = $1 AND last_step < $2"

_DELETE = "DELETE FROM user_totp WHERE user_id = $1"

_DELETE_CODES = "DELETE FROM user_recovery_codes WHERE user_id = $1"

_INSERT_CODES = "INSERT INTO user_recovery_codes (user_id, code_hash) SELECT $1, unnest($2::bytea[])"

_USE_CODE = "UPDATE user_recovery_codes SET used_at = $3 WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL"

_LEFT = "SELECT count(*) FROM user_recovery_codes WHERE user_id = $1 AND used_at IS NULL"


@dataclass(frozen=True, slots=True)
class SealedFactor:
    """A stored second factor."""

    secret: str
    key_version: int
    confirmed_at: datetime | None
    last_step: int


async def find(tx: SystemTx, user_id: UUID) -> SealedFactor | None:
    """A user's second factor, held until the transaction ends."""
    row = await tx.fetchrow(_FIND, user_id)
    return None if row is None else SealedFactor(**row)


async def put(tx: SystemTx, user_id: UUID, secret: str, key_version: int) -> bool:
    """Stores a secret that waits for its first code; False where one is confirmed already."""
    return await tx.execute(_PUT, user_id, secret, key_version, now()) > 0


async def confirm(tx: SystemTx, user_id: UUID, step: int, code_hashes: Sequence[bytes]) -> None:
    """Puts the second factor in force, with its recovery codes."""
    await tx.execute(_CONFIRM, user_id, now(), step)
    await tx.execute(_DELETE_CODES, user_id)
    await tx.execute(_INSERT_CODES, user_id, code_hashes)


async def use_step(tx: SystemTx, user_id: UUID, step: int) -> bool:
    """Notes that a code was used; False when that one or a later one was before."""
    return await tx.execute(_USE_STEP, user_id, step) > 0


async def use_code(tx: SystemTx, user_id: UUID, code_hash: bytes) -> bool:
    """Uses up a recovery code; False when it is none, or was used before."""
    return await tx.execute(_USE_CODE, user_id, code_hash, now()) > 0


async def count_codes(tx: SystemTx, user_id: UUID) -> int:
    """How many recovery codes are left."""
    return int(await tx.fetchval(_LEFT, user_id))


async def delete(tx: SystemTx, user_id: UUID) -> bool:
    """Removes a user's second factor with its recovery codes; whether there was one."""
    await tx.execute(_DELETE_CODES, user_id)
    return await tx.execute(_DELETE, user_id) > 0
