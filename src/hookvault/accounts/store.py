"""All SQL on api_keys and platform_users."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from hookvault.accounts.model import APIKey, PlatformUser, Principal, Role
from hookvault.clock import now
from hookvault.db.pool import Row, SystemTx
from hookvault.errors import ConflictError, NotFoundError
from hookvault.paging import Page, cut, encode_cursor, time_id_cursor

_CURSOR = "api-keys"
_USERS_CURSOR = "users"
_KEY_COLUMNS = "id, tenant_id, name, hint, scopes, created_at, created_by, last_used_at, revoked_at"
USER_COLUMNS = "u.id, u.email, u.name, u.role, u.must_change_password, u.created_at, u.last_login_at, u.disabled_at"
_USERS = f"""
SELECT {USER_COLUMNS}, t.confirmed_at IS NOT NULL AS has_totp
FROM platform_users u LEFT JOIN user_totp t ON t.user_id = u.id
"""  # noqa: S608 - constants only

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
INSERT INTO platform_users (id, email, name, password_hash, role, must_change_password, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
"""

_COUNT_USERS = "SELECT count(*) FROM platform_users"

_LOCK_USERS = "LOCK TABLE platform_users IN SHARE ROW EXCLUSIVE MODE"

_FIND_USER = f"{_USERS} WHERE lower(u.email) = lower($1)"

_GET_USER = f"{_USERS} WHERE u.id = $1 FOR UPDATE OF u"

_LIST_USERS = f"{_USERS} WHERE $1::uuid IS NULL OR u.id > $1 ORDER BY u.id LIMIT $2"

_NAMED_USERS = f"{_USERS} WHERE u.id = ANY($1::uuid[])"

_FIND_LOGIN = f"""
SELECT {USER_COLUMNS}, t.confirmed_at IS NOT NULL AS has_totp, u.password_hash
FROM platform_users u LEFT JOIN user_totp t ON t.user_id = u.id WHERE lower(u.email) = lower($1)
"""  # noqa: S608 - constants only

_REPLACE_HASH = """
UPDATE platform_users SET password_hash = $2, must_change_password = $3, updated_at = $4 WHERE id = $1
"""

# Only while the password is the one that was proved.
_REPLACE_OWN = """
UPDATE platform_users SET password_hash = $3, must_change_password = false, updated_at = $4
WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL
"""

_REHASH = "UPDATE platform_users SET password_hash = $2 WHERE id = $1"

# Held, so that whoever disables the user or changes the password waits, and then ends this session too.
_IS_STILL = """
SELECT true FROM platform_users WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL FOR NO KEY UPDATE
"""

_NOTE_LOGIN = "UPDATE platform_users SET last_login_at = $2 WHERE id = $1"

# All of them are held until the end: of two who each take one owner away, the second sees what the first left.
_OWNERS = "SELECT id FROM platform_users WHERE role = 'owner' AND disabled_at IS NULL ORDER BY id FOR UPDATE"

_CHANGE_USER = """
UPDATE platform_users SET role = $2, name = $3, disabled_at = $4, updated_at = $5 WHERE id = $1
"""

_DELETE_USER = "DELETE FROM platform_users WHERE id = $1"


@dataclass(frozen=True, slots=True)
class Login:
    """What a sign-in is checked by."""

    user: PlatformUser
    password_hash: str


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
            user.name,
            password_hash,
            user.role,
            user.must_change_password,
            user.created_at,
        )
    except asyncpg.UniqueViolationError:
        raise ConflictError(f"There is already an admin with the address {user.email}.", code="admin_exists") from None


async def count_users(tx: SystemTx) -> int:
    """How many admins there are."""
    return int(await tx.fetchval(_COUNT_USERS))


async def lock_if_no_users(tx: SystemTx) -> bool:
    """Whether there is no admin yet; holds off another process that asks the same until this transaction ends."""
    await tx.execute(_LOCK_USERS)
    return bool(await tx.fetchval(_COUNT_USERS) == 0)


async def find_user(tx: SystemTx, email: str) -> PlatformUser | None:
    """An admin by e-mail address, in any letter case."""
    row = await tx.fetchrow(_FIND_USER, email)
    return None if row is None else PlatformUser(**row)


async def get_user(tx: SystemTx, user_id: UUID) -> PlatformUser:
    """An admin, held until the transaction ends. Raises NotFoundError, code `admin_not_found`."""
    row = await tx.fetchrow(_GET_USER, user_id)
    if row is None:
        raise NotFoundError("There is no such admin.", code="admin_not_found")
    return PlatformUser(**row)


async def list_users(tx: SystemTx, *, limit: int, cursor: str | None) -> Page[PlatformUser]:
    """A page of admins, the oldest first. Raises InvalidError for a foreign cursor."""
    after = time_id_cursor(_USERS_CURSOR, cursor)
    rows = await tx.fetch(_LIST_USERS, after[1] if after else None, limit + 1)
    users = [PlatformUser(**row) for row in rows]
    return cut(users, limit, lambda user: encode_cursor(_USERS_CURSOR, user.created_at.isoformat(), str(user.id)))


async def named_users(tx: SystemTx, ids: Collection[UUID]) -> list[PlatformUser]:
    """Those of the admins with these ids whom there still are."""
    return [PlatformUser(**row) for row in await tx.fetch(_NAMED_USERS, list(ids))]


async def find_login(tx: SystemTx, email: str) -> Login | None:
    """What a sign-in under an address is checked by."""
    row = await tx.fetchrow(_FIND_LOGIN, email)
    if row is None:
        return None
    fields = dict(row)
    password_hash = fields.pop("password_hash")
    return Login(PlatformUser(**fields), password_hash)


async def is_still(tx: SystemTx, user_id: UUID, password_hash: str) -> bool:
    """Whether a user is enabled and has this password still; both stay so until the transaction ends."""
    return bool(await tx.fetchval(_IS_STILL, user_id, password_hash))


async def set_password(tx: SystemTx, user_id: UUID, password_hash: str, *, must_change: bool) -> None:
    """Replaces an admin's password."""
    await tx.execute(_REPLACE_HASH, user_id, password_hash, must_change, now())


async def replace_password(tx: SystemTx, user_id: UUID, old_hash: str, new_hash: str) -> bool:
    """Replaces a password by its owner; False when the old one is not what it was."""
    return await tx.execute(_REPLACE_OWN, user_id, old_hash, new_hash, now()) > 0


async def rehash(tx: SystemTx, user_id: UUID, password_hash: str) -> None:
    """Stores the same password's hash with other parameters."""
    await tx.execute(_REHASH, user_id, password_hash)


async def note_login(tx: SystemTx, user_id: UUID) -> None:
    """Notes that somebody signed in."""
    await tx.execute(_NOTE_LOGIN, user_id, now())


async def lock_owners(tx: SystemTx) -> list[UUID]:
    """The owners who may sign in. They stay owners until the transaction ends."""
    return [row["id"] for row in await tx.fetch(_OWNERS)]


async def change_user(tx: SystemTx, user_id: UUID, role: Role, name: str, disabled_at: datetime | None) -> None:
    """Stores what may be changed of an admin."""
    await tx.execute(_CHANGE_USER, user_id, role, name, disabled_at, now())


async def delete_user(tx: SystemTx, user_id: UUID) -> None:
    """Deletes an admin with all sessions and factors."""
    await tx.execute(_DELETE_USER, user_id)


def _key(row: Row) -> APIKey:
    return APIKey(**{**row, "scopes": tuple(row["scopes"])})
