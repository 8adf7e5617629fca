"""All SQL on user_invitations."""

from datetime import datetime
from uuid import UUID

import asyncpg

from hookvault.accounts.model import Invitation
from hookvault.clock import now
from hookvault.db.pool import SystemTx
from hookvault.errors import ConflictError, NotFoundError
from hookvault.paging import Page, cut, encode_cursor, time_id_cursor

_CURSOR = "invitations"

# $1 is the present moment.
_COLUMNS = """id, email, role, created_at, created_by, sent_at, expires_at, CASE WHEN accepted_at IS NOT NULL THEN 'accepted'
WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= $1 THEN 'expired' ELSE 'pending' END AS state"""

_INSERT = """
INSERT INTO user_invitations (id, email, role, token_hash, created_at, created_by, sent_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""

# One that has run out must not stand in another's way.
_END_EXPIRED = """
UPDATE user_invitations SET revoked_at = $2
WHERE lower(email) = lower($1) AND expires_at <= $2 AND accepted_at IS NULL AND revoked_at IS NULL
"""

_LIST = f"SELECT {_COLUMNS} FROM user_invitations WHERE $2::uuid IS NULL OR id < $2 ORDER BY id DESC LIMIT $3"  # noqa: S608 - constants only

_GET = f"SELECT {_COLUMNS} FROM user_invitations WHERE id = $2 FOR UPDATE"  # noqa: S608 - constants only

_FIND = f"""
SELECT {_COLUMNS} FROM user_invitations
WHERE token_hash = $2 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $1
"""  # noqa: S608 - constants only

# Of two who come with the same link, one changes the row.
_ACCEPT = """
UPDATE user_invitations SET accepted_at = $1
WHERE token_hash = $2 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $1
"""

_RESEND = "UPDATE user_invitations SET token_hash = $2, sent_at = $3, expires_at = $4 WHERE id = $1"

_REVOKE = "UPDATE user_invitations SET revoked_at = $2 WHERE id = $1 AND accepted_at IS NULL AND revoked_at IS NULL"

# What became of it is in the audit log.
_PRUNE = "DELETE FROM user_invitations WHERE expires_at < $1"


async def insert(tx: SystemTx, invitation: Invitation, token_hash: bytes) -> None:
    """Stores a new invitation. Raises ConflictError, code `invitation_exists`."""
    await tx.execute(_END_EXPIRED, invitation.email, now())
    fields = [getattr(invitation, name) for name in ("created_at", "created_by", "sent_at", "expires_at")]
    try:
        await tx.execute(_INSERT, invitation.id, invitation.email, invitation.role, token_hash, *fields)
    except asyncpg.UniqueViolationError:
        message = f"{invitation.email} is invited already. Send that invitation again, or revoke it."
        raise ConflictError(message, code="invitation_exists") from None


async def list_page(tx: SystemTx, *, limit: int, cursor: str | None) -> Page[Invitation]:
    """A page of invitations, the newest first. Raises InvalidError for a foreign cursor."""
    after = time_id_cursor(_CURSOR, cursor)
    rows = await tx.fetch(_LIST, now(), after[1] if after else None, limit + 1)
    found = [Invitation(**row) for row in rows]
    return cut(found, limit, lambda one: encode_cursor(_CURSOR, one.created_at.isoformat(), str(one.id)))


async def get(tx: SystemTx, invitation_id: UUID) -> Invitation:
    """An invitation, held until the transaction ends. Raises NotFoundError, code `invitation_not_found`."""
    row = await tx.fetchrow(_GET, now(), invitation_id)
    if row is None:
        raise NotFoundError("There is no such invitation.", code="invitation_not_found")
    return Invitation(**row)


async def find(tx: SystemTx, token_hash: bytes) -> Invitation | None:
    """The invitation of a token, while it can be accepted."""
    row = await tx.fetchrow(_FIND, now(), token_hash)
    return None if row is None else Invitation(**row)


async def accept(tx: SystemTx, token_hash: bytes) -> bool:
    """Uses an invitation up; False when it can't be accepted, or was just now."""
    return await tx.execute(_ACCEPT, now(), token_hash) > 0


async def resend(tx: SystemTx, invitation_id: UUID, token_hash: bytes, sent_at: datetime, expires_at: datetime) -> None:
    """Gives an invitation another token; the one before is nobody's any more."""
    await tx.execute(_RESEND, invitation_id, token_hash, sent_at, expires_at)


async def revoke(tx: SystemTx, invitation_id: UUID) -> bool:
    """Revokes an invitation; whether it was open."""
    return await tx.execute(_REVOKE, invitation_id, now()) > 0


async def prune(tx: SystemTx, before: datetime) -> None:
    """Deletes invitations that ran out before a moment."""
    await tx.execute(_PRUNE, before)
