"""All SQL on data_keys and key_history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hookvault.clock import now
from hookvault.db.pool import SystemTx, Tx

# Times of data keys are compared with each other and with a rekeying's, so they are of one clock, the database's.
_INSERT_KEY = """
INSERT INTO data_keys (tenant_id, version, wrapped, key_fingerprint, created_at) VALUES ($1, $2, $3, $4, clock_timestamp())
"""

# Held to the end of a transaction that seals: a data key is destroyed only when nobody may still be writing with it. A statement
# of its own, since one that waits for a lock goes on with what it saw before it waited.
_LOCK_SEALING = "SELECT pg_advisory_xact_lock_shared(hashtextextended('hookvault data keys ' || $1, 0))"

_LOCK_KEYS = "SELECT pg_advisory_xact_lock(hashtextextended('hookvault data keys ' || $1, 0))"

_TRY_LOCK_KEYS = "SELECT pg_try_advisory_xact_lock(hashtextextended('hookvault data keys ' || $1, 0))"

# Whoever wraps a data key shares this one, whoever makes another master key the active one has it alone.
_LOCK_WRAPPING = "SELECT pg_advisory_xact_lock_shared(hashtextextended('hookvault master key', 0))"

_LOCK_MASTER = "SELECT pg_advisory_xact_lock(hashtextextended('hookvault master key', 0))"

_ACTIVE_KEY = "SELECT version, wrapped, key_fingerprint FROM data_keys WHERE tenant_id = $1 AND state = 'active'"

_KEY_AT = "SELECT version, wrapped, key_fingerprint FROM data_keys WHERE tenant_id = $1 AND version = $2"

_KEYS_AT = """
SELECT k.tenant_id, k.version, k.wrapped, k.key_fingerprint
FROM unnest($1::text[], $2::int[]) AS wanted (tenant_id, version)
JOIN data_keys k ON k.tenant_id = wanted.tenant_id AND k.version = wanted.version
"""

# A destroyed key's row keeps its version from being used again.
_LAST_VERSION = "SELECT coalesce(max(version), 0) FROM data_keys WHERE tenant_id = $1"

_DELETE_KEYS = "DELETE FROM data_keys WHERE tenant_id = $1"

_ACTIVE_FINGERPRINT = "SELECT fingerprint FROM key_history WHERE state = 'active'"

# Two processes may start on an empty database at once: the first one's key wins and the other then compares.
_FIRST_FINGERPRINT = """
INSERT INTO key_history (fingerprint, state, first_seen_at, activated_at) VALUES ($1, 'active', $2, $2) ON CONFLICT DO NOTHING
"""

_HISTORY = """
SELECT fingerprint, state, first_seen_at, activated_at, superseded_at, retired_at, retired_by, retired_why FROM key_history
ORDER BY first_seen_at
"""

# By pages, so that the keys of many tenants never stand in memory at once. The transaction is one all the same.
_TO_REWRAP = """
SELECT tenant_id, version, wrapped, key_fingerprint FROM data_keys
WHERE state <> 'destroyed' AND key_fingerprint <> $1 AND (tenant_id, version) > ($2, $3)
ORDER BY tenant_id, version LIMIT $4
"""

_REWRAPPED = """
UPDATE data_keys k SET wrapped = g.wrapped, key_fingerprint = $4
FROM unnest($1::text[], $2::int[], $3::text[]) AS g (tenant_id, version, wrapped)
WHERE k.tenant_id = g.tenant_id AND k.version = g.version
"""

_SUPERSEDE_MASTER = "UPDATE key_history SET state = 'previous', superseded_at = $1 WHERE state = 'active'"

_ACTIVATE_MASTER = """
INSERT INTO key_history (fingerprint, state, first_seen_at, activated_at) VALUES ($1, 'active', $2, $2)
ON CONFLICT (fingerprint) DO UPDATE SET state = 'active', activated_at = excluded.activated_at, superseded_at = NULL
"""

_RETIRE_MASTER = """
UPDATE key_history SET state = 'retired', retired_at = $2, retired_by = $3, retired_why = $4
WHERE fingerprint = $1 AND state = 'previous'
"""

_SUPERSEDE_KEYS = """
UPDATE data_keys SET state = 'decrypt_only', superseded_at = clock_timestamp()
WHERE tenant_id = ANY($1::text[]) AND state = 'active'
"""

_INSERT_KEYS = """
INSERT INTO data_keys (tenant_id, version, wrapped, key_fingerprint, created_at)
SELECT g.tenant_id, g.version, g.wrapped, $4, clock_timestamp()
FROM unnest($1::text[], $2::int[], $3::text[]) AS g (tenant_id, version, wrapped)
"""

_LAST_VERSIONS = "SELECT tenant_id, max(version) AS version FROM data_keys WHERE tenant_id = ANY($1::text[]) GROUP BY 1"

# The row stays: its version is not used again, and it tells that there was a key.
_DESTROY = "UPDATE data_keys SET state = 'destroyed', wrapped = '' WHERE tenant_id = $1 AND version < $2 AND state <> 'destroyed'"

# What a scan found of the secret itself. Whether its key is there is seen better by looking at the key.
_ROW_FAULTS = """
SELECT row_id, field, reason, key_needed FROM secret_faults
WHERE tenant_id = $1 AND table_name = $2 AND reason IN ('does_not_open', 'malformed')
"""

_MENDED = "DELETE FROM secret_faults WHERE tenant_id = $1 AND table_name = $2 AND row_id = $3"

_STATES_AT = "SELECT version, state, key_fingerprint FROM data_keys WHERE tenant_id = $1 AND version = ANY($2::int[])"

_USAGE = "SELECT key_fingerprint, count(*) AS data_keys FROM data_keys WHERE state <> 'destroyed' GROUP BY 1"


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A tenant's data key as stored: wrapped under the master key of that fingerprint. Of a destroyed one nothing is left."""

    version: int
    wrapped: str
    key_fingerprint: str


@dataclass(frozen=True, slots=True)
class MasterKeyRecord:
    """What is known for ever of a master key."""

    fingerprint: str
    state: str
    first_seen_at: datetime
    activated_at: datetime | None
    superseded_at: datetime | None
    retired_at: datetime | None
    retired_by: str | None
    retired_why: str | None


async def lock_sealing(tx: Tx, tenant_id: str) -> None:
    """Keeps a tenant's data keys as they are until the transaction ends; many may do so at once."""
    await tx.fetchval(_LOCK_SEALING, tenant_id)


async def lock_keys(tx: SystemTx, tenant_id: str) -> None:
    """Waits until nobody seals anything of a tenant, and lets nobody begin before the transaction ends."""
    await tx.fetchval(_LOCK_KEYS, tenant_id)


async def try_lock_keys(tx: SystemTx, tenant_id: str) -> bool:
    """As `lock_keys`, without waiting; whether it could."""
    return bool(await tx.fetchval(_TRY_LOCK_KEYS, tenant_id))


async def lock_wrapping(tx: SystemTx) -> None:
    """Keeps the active master key active until the transaction ends."""
    await tx.fetchval(_LOCK_WRAPPING)


async def lock_master(tx: SystemTx) -> None:
    """Waits until nobody wraps a data key, and lets nobody begin before the transaction ends."""
    await tx.fetchval(_LOCK_MASTER)


async def insert_key(tx: SystemTx, tenant_id: str, key: WrappedKey) -> None:
    """Stores a tenant's new active data key."""
    await tx.execute(_INSERT_KEY, tenant_id, key.version, key.wrapped, key.key_fingerprint)


async def find_active_key(tx: Tx, tenant_id: str) -> WrappedKey | None:
    """The data key that new secrets of the tenant are sealed under."""
    row = await tx.fetchrow(_ACTIVE_KEY, tenant_id)
    return None if row is None else WrappedKey(**row)


async def find_key(tx: Tx, tenant_id: str, version: int) -> WrappedKey | None:
    """A tenant's data key of one version, None when it is unknown."""
    row = await tx.fetchrow(_KEY_AT, tenant_id, version)
    return None if row is None else WrappedKey(**row)


async def find_keys(tx: SystemTx, wanted: Sequence[tuple[str, int]]) -> dict[tuple[str, int], WrappedKey]:
    """Data keys of many tenants and versions at once; unknown ones are missing."""
    rows = await tx.fetch(_KEYS_AT, [pair[0] for pair in wanted], [pair[1] for pair in wanted])
    return {
        (row["tenant_id"], row["version"]): WrappedKey(row["version"], row["wrapped"], row["key_fingerprint"])
        for row in rows
    }


async def last_version(tx: SystemTx, tenant_id: str) -> int:
    """The highest version of a tenant's data keys so far; 0 when it never had one."""
    return int(await tx.fetchval(_LAST_VERSION, tenant_id))


async def delete_keys(tx: SystemTx, tenant_id: str) -> None:
    """Deletes a tenant's data keys, with the tenant."""
    await tx.execute(_DELETE_KEYS, tenant_id)


async def active_fingerprint(tx: SystemTx) -> str | None:
    """The fingerprint of the master key that this database is sealed under; None on a new database."""
    found: str | None = await tx.fetchval(_ACTIVE_FINGERPRINT)
    return found


async def claim_fingerprint(tx: SystemTx, fingerprint: str) -> None:
    """Makes this key the database's, unless it has one already."""
    await tx.execute(_FIRST_FINGERPRINT, fingerprint, now())


async def list_master_keys(tx: SystemTx) -> list[MasterKeyRecord]:
    """Every master key that this database has known, oldest first."""
    return [MasterKeyRecord(**row) for row in await tx.fetch(_HISTORY)]


async def list_to_rewrap(
    tx: SystemTx, fingerprint: str, after: tuple[str, int], limit: int
) -> list[tuple[str, WrappedKey]]:
    """Data keys that another master key than this one wraps, after one: each with its tenant."""
    rows = await tx.fetch(_TO_REWRAP, fingerprint, *after, limit)
    return [(row["tenant_id"], WrappedKey(row["version"], row["wrapped"], row["key_fingerprint"])) for row in rows]


async def store_rewrapped(tx: SystemTx, keys: Sequence[tuple[str, int, str]], fingerprint: str) -> None:
    """Stores data keys (tenant, version, wrapped) as wrapped under another master key."""
    await tx.execute(_REWRAPPED, *zip(*keys, strict=True), fingerprint)


async def activate_master(tx: SystemTx, fingerprint: str) -> None:
    """Makes a master key the active one; the one before becomes the previous."""
    await tx.execute(_SUPERSEDE_MASTER, now())
    await tx.execute(_ACTIVATE_MASTER, fingerprint, now())


async def retire_master(tx: SystemTx, fingerprint: str, author: str, why: str | None) -> bool:
    """Retires a previous master key; whether it was one."""
    return await tx.execute(_RETIRE_MASTER, fingerprint, now(), author, why) > 0


async def last_versions(tx: SystemTx, tenant_ids: Sequence[str]) -> dict[str, int]:
    """The highest version of the data keys of each tenant."""
    return {row["tenant_id"]: row["version"] for row in await tx.fetch(_LAST_VERSIONS, tenant_ids)}


async def supersede_keys(tx: SystemTx, keys: Sequence[tuple[str, int, str]], fingerprint: str) -> None:
    """Gives tenants new active data keys (tenant, version, wrapped); those before open what they sealed, and seal nothing."""
    await tx.execute(_SUPERSEDE_KEYS, [key[0] for key in keys])
    await tx.execute(_INSERT_KEYS, *zip(*keys, strict=True), fingerprint)


async def destroy_keys(tx: SystemTx, tenant_id: str, *, below: int) -> int:
    """Destroys a tenant's data keys of all versions below one; how many."""
    return await tx.execute(_DESTROY, tenant_id, below)


async def key_states(tx: Tx, tenant_id: str, versions: Sequence[int]) -> dict[int, tuple[str, str]]:
    """State and master key's fingerprint of a tenant's data keys, by version."""
    rows = await tx.fetch(_STATES_AT, tenant_id, versions)
    return {row["version"]: (row["state"], row["key_fingerprint"]) for row in rows}


async def list_row_faults(tx: Tx, tenant_id: str, table: str) -> dict[tuple[str, str], tuple[str, str | None]]:
    """A tenant's secrets of a table that did not open when last tried: reason and key needed, by row and field."""
    rows = await tx.fetch(_ROW_FAULTS, tenant_id, table)
    return {(row["row_id"], row["field"]): (row["reason"], row["key_needed"]) for row in rows}


async def forget_row_faults(tx: Tx, tenant_id: str, table: str, row_id: str) -> None:
    """Forgets what did not open of a row that was saved anew; the next scan tells what still does not."""
    await tx.execute(_MENDED, tenant_id, table, row_id)


async def count_data_keys(tx: SystemTx) -> dict[str, int]:
    """The number of data keys wrapped under each master key, by its fingerprint."""
    return {row["key_fingerprint"]: row["data_keys"] for row in await tx.fetch(_USAGE)}
