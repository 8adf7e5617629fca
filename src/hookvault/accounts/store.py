"""All SQL on api_keys and platform_users."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from hookvault.accounts.model import APIKey, PlatformUser, Principal
from hookvault.clock import now
from hookvault.db.pool import Row, SystemTx
from hookvault.errors import ConflictError, NotFoundError
from hookvault.paging import Page, cut, encode_cursor, time_id_cursor

_CURSOR = "api-keys"
_KEY_COLUMNS = "id, tenant_id, name, hint, scopes, created_at, created_by, last_used_at, revoked_at"
_USER_COLUMNS = "id, email, name, role, must_change_password, created_at, last_login_at, disabled_at"

_INSERT_KEY = """
INSERT INTO api_keys (id, tenant_id, name, key_hash, hint, scopes, created_at, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""

# A suspended tenant's keys still work: its calls are refused with a reason of their own.
_FIND_PRINCIPAL = "SELECT id, tenant_id, scopes FROM api_keys WHERE key_hash = $1 AND revoked_at IS NULL"

_LIST_KEYS = f"""
SELECT {_KEY_COLUMNS} FROM api_keys
WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3
"""  # noqa: S608 - constants only

_GET_KEY = f"SELECT {_KEY_COLUMNS} FROM api_keys WHERE id = $1"  # noqa: S608 - constants only

_REVOKE = "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL"

# Keeps the time of use to the minute: one write a minute and key, not one a call.
_TOUCH = """
UPDATE api_keys SET last_used_at = u.used_at FROM unnest($1::uuid[], $2::timestamptz[]) AS u (id, used_at)
WHERE api_keys.id = u.id AND (last_used_at IS NULL OR last_used_at < u.used_at)
"""

_INSERT_USER = """
INSERT INTO platform_users (id, email, password_hash, role, must_change_password, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $6)
"""

_COUNT_USERS = "SELECT count(*) FROM platform_users"

_LOCK_USERS = "LOCK TABLE platform_users IN SHARE ROW EXCLUSIVE MODE"

_FIND_USER = f"SELECT {_USER_COLUMNS} FROM platform_users WHERE lower(email) = lower($1)"  # noqa: S608 - constants only

_REPLACE_HASH = """
UPDATE platform_users SET password_hash = $2, must_change_password = true, updated_at = $3 WHERE id = $1
"""


async def insert_key(tx: SystemTx, key: APIKey, key_hash: bytes) -> None:
    """Stores a new key by its hash. Raises NotFoundError, code `tenant_not_found`."""
    try:
        await tx.execute(
            _INSERT_KEY,
            key.id,
            key.tenant_id,
            key.name,
            key_hash,
            key.hint,
            list(key.scopes),
            key.created_at,
            key.created_by,
        )
    except asyncpg.ForeignKeyViolationError:
        raise NotFoundError(f"There is no tenant {key.tenant_id}.", code="tenant_not_found") from None


async def find_principal(tx: SystemTx, key_hash: bytes) -> Principal | None:
    """Whom a key speaks for; None when it is unknown or revoked."""
    row = await tx.fetchrow(_FIND_PRINCIPAL, key_hash)
    return None if row is None else Principal(row["id"], row["tenant_id"], frozenset(row["scopes"]))


async def list_keys(tx: SystemTx, *, tenant_id: str | None, limit: int, cursor: str | None) -> Page[APIKey]:
    """A page of keys, newest first; of one tenant only when named. Raises InvalidError for a foreign cursor."""
    after = time_id_cursor(_CURSOR, cursor)
    rows = await tx.fetch(_LIST_KEYS, tenant_id, after[1] if after else None, limit + 1)
    return cut(
        [_key(row) for row in rows],
        limit,
        lambda key: encode_cursor(_CURSOR, key.created_at.isoformat(), str(key.id)),
    )


async def find_key(tx: SystemTx, key_id: UUID) -> APIKey | None:
    """A key by its id, also a revoked one."""
    row = await tx.fetchrow(_GET_KEY, key_id)
    return None if row is None else _key(row)


async def revoke_key(tx: SystemTx, key_id: UUID) -> bool:
    """Revokes a key; whether it was in force."""
    return await tx.execute(_REVOKE, key_id, now()) > 0


async def touch_keys(tx: SystemTx, uses: Sequence[tuple[UUID, datetime]]) -> None:
    """Notes when keys were last used."""
    await tx.execute(_TOUCH, [use[0] for use in uses], [use[1] for use in uses])


async def insert_user(tx: SystemTx, user: PlatformUser, password_hash: str) -> None:
    """Stores a new admin. Raises ConflictError, code `admin_exists`."""
    try:
        await tx.execute(
            _INSERT_USER,
            user.id,
            user.email,
            password_hash,
            user.role,
            user.must_change_password,
            user.created_at,
        )
    except asyncpg.UniqueViolationError:
        raise ConflictError(f"There is already an admin with the address {user.email}.", code="admin_exists") from None


async def lock_if_no_users(tx: SystemTx) -> bool:
    """Whether there is no admin yet; holds off another process that asks the same until this transaction ends."""
    await tx.execute(_LOCK_USERS)
    return bool(await tx.fetchval(_COUNT_USERS) == 0)


async def find_user(tx: SystemTx, email: str) -> PlatformUser | None:
    """An admin by e-mail address, in any letter case."""
    row = await tx.fetchrow(_FIND_USER, email)
    return None if row is None else PlatformUser(**row)


async def set_password(tx: SystemTx, user_id: UUID, password_hash: str) -> None:
    """Replaces an admin's password by a one-time one."""
    await tx.execute(_REPLACE_HASH, user_id, password_hash, now())


def _key(row: Row) -> APIKey:
    return APIKey(**{**row, "scopes": tuple(row["scopes"])})
