"""All SQL on password_resets."""

from datetime import datetime
from uuid import UUID

from hookvault.clock import now
from hookvault.db.pool import SystemTx

_INSERT = "INSERT INTO password_resets (token_hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)"

_FIND = "SELECT user_id FROM password_resets WHERE token_hash = $1 AND expires_at > $2"

# Of two who come with the same link, one gets the row.
_TAKE = "DELETE FROM password_resets WHERE token_hash = $1 AND expires_at > $2 RETURNING user_id"

_DELETE_OF = "DELETE FROM password_resets WHERE user_id = $1"

_PRUNE = "DELETE FROM password_resets WHERE expires_at < $1"


async def insert(tx: SystemTx, token_hash: bytes, user_id: UUID, expires_at: datetime) -> None:
    """Stores a link's token by its hash."""
    await tx.execute(_INSERT, token_hash, user_id, now(), expires_at)


async def find(tx: SystemTx, token_hash: bytes) -> UUID | None:
    """Whose link this is; None when it is nobody's, or has run out."""
    found: UUID | None = await tx.fetchval(_FIND, token_hash, now())
    return found


async def take(tx: SystemTx, token_hash: bytes) -> UUID | None:
    """Uses a link up; whose it was."""
    found: UUID | None = await tx.fetchval(_TAKE, token_hash, now())
    return found


async def delete_of(tx: SystemTx, user_id: UUID) -> None:
    """Deletes a user's links."""
    await tx.execute(_DELETE_OF, user_id)


async def prune(tx: SystemTx) -> None:
    """Deletes links that have run out."""
    await tx.execute(_PRUNE, now())
