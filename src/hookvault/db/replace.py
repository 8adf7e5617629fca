"""Replaces all data of a database, as its owner, in one transaction: afterwards everything is new, or nothing is."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date

import asyncpg

from hookvault.clock import now
from hookvault.db.content import EMPTIED, SAVED, UNITED
from hookvault.db.owner import owner_connection
from hookvault.db.pool import SystemTx, as_system
from hookvault.db.snapshot import audit_heads, count

_REPLACED = (*SAVED, *EMPTIED)
_BATCH = 1000
ALIVE_S = 15  # a process that was not seen for longer is dead

_ACTIVE = "SELECT fingerprint FROM key_history WHERE state = 'active'"

_LIVING = """
SELECT kind || ' at ' || host AS name FROM key_holders WHERE seen_at > clock_timestamp() - make_interval(secs => $1) ORDER BY 1
"""

_COLUMNS = """
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attgenerated = ''
"""

_IDENTITIES = """
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY($1) AND a.attidentity <> '' AND NOT a.attisdropped
"""

# Both sides' keys are known from now on. What was retired here stays so, and none is active before _ACTIVATE says which.
_UNITE_KEYS = """
INSERT INTO key_history AS h SELECT * FROM jsonb_populate_recordset(NULL::key_history, $1::text::jsonb)
ON CONFLICT (fingerprint) DO UPDATE SET first_seen_at = least(h.first_seen_at, excluded.first_seen_at),
    activated_at = coalesce(h.activated_at, excluded.activated_at),
    superseded_at = coalesce(excluded.superseded_at, h.superseded_at),
    state = CASE WHEN excluded.state = 'retired' THEN 'retired' ELSE h.state END,
    retired_at = coalesce(excluded.retired_at, h.retired_at), retired_by = coalesce(excluded.retired_by, h.retired_by),
    retired_why = coalesce(excluded.retired_why, h.retired_why)
"""

_DEMOTED = """
SELECT coalesce(jsonb_agg(CASE WHEN k ->> 'state' = 'active' THEN k || '{"state": "previous"}' ELSE k END), '[]')::text
FROM jsonb_array_elements($1::text::jsonb) AS k
"""

_NONE_ACTIVE = (
    "UPDATE key_history SET state = 'previous', superseded_at = $2 WHERE state = 'active' AND fingerprint <> $1"
)

_ACTIVATE = """
INSERT INTO key_history AS h (fingerprint, state, first_seen_at, activated_at) VALUES ($1, 'active', $2, $2)
ON CONFLICT (fingerprint) DO UPDATE SET state = 'active', activated_at = coalesce(h.activated_at, excluded.activated_at),
    superseded_at = NULL, retired_at = NULL, retired_by = NULL, retired_why = NULL
"""

# Tombstones that the backup does not have are of tenants that were shredded after it: what it has of their data keys must not
# come back. One that it has did its work there, and the data key that the tenant was given in the same moment is a good one.
_SHRED = """
UPDATE data_keys k SET state = 'destroyed', wrapped = '' WHERE state <> 'destroyed' AND EXISTS (
    SELECT FROM jsonb_populate_recordset(NULL::shredded_tenants, $1::text::jsonb) s
    WHERE s.tenant_id = k.tenant_id AND s.shredded_at >= k.created_at AND NOT EXISTS (
        SELECT FROM shredded_tenants d WHERE d.tenant_id = s.tenant_id AND d.shredded_at = s.shredded_at))
RETURNING tenant_id
"""

# An API key that was revoked here stays so: going back must not let anybody in again.
_NOTE_REVOKED = """
CREATE TEMPORARY TABLE hookvault_revoked ON COMMIT DROP AS SELECT id, revoked_at FROM api_keys WHERE revoked_at IS NOT NULL
"""

_REVOKE = """
UPDATE api_keys k SET revoked_at = r.revoked_at FROM hookvault_revoked r WHERE k.id = r.id AND k.revoked_at IS NULL
"""

_OTHER = """
SELECT tenant_id, version, wrapped, key_fingerprint FROM data_keys
WHERE state <> 'destroyed' AND key_fingerprint <> $1 AND (tenant_id, version) > ($2, $3) ORDER BY tenant_id, version LIMIT $4
"""

_REWRAP = """
UPDATE data_keys k SET wrapped = n.wrapped, key_fingerprint = $1
FROM unnest($2::text[], $3::int[], $4::text[]) AS n (tenant_id, version, wrapped)
WHERE k.tenant_id = n.tenant_id AND k.version = n.version
"""

# The workers that had them are none of this database's: what was being called is called again.
_NO_LEASES = """
UPDATE delivery_queue SET ready = true, due_at = now(), leased_by = NULL WHERE leased_by IS NOT NULL
"""

_TELL = "SELECT pg_notify('hookvault_changes', ''), pg_notify('hookvault_deliveries', '')"


class RolledBackError(Exception):
    """Raised by a dry run to end its transaction; nobody else sees it."""


@dataclass(frozen=True, slots=True)
class Present:
    """What a restore would replace: rows by table, the active master key, data keys, columns, and who is at work."""

    rows: Mapping[str, int]
    active: str | None
    columns: Mapping[str, frozenset[str]]
    living: Sequence[str]


@dataclass(frozen=True, slots=True)
class OtherKey:
    """A data key that is wrapped under another master key than the active one."""

    tenant_id: str
    version: int
    wrapped: str
    fingerprint: str


async def look(dsn: str) -> Present:
    """What is in a database now, all of it, and which processes work on it.

    Raises:
        UnavailableError: code `database_unavailable`.
    """
    async with owner_connection(dsn) as connection, connection.transaction(readonly=True):
        await as_system(connection)
        columns: dict[str, set[str]] = {}
        for table, column in await connection.fetch(_COLUMNS, SAVED):
            columns.setdefault(table, set()).add(column)
        return Present(
            rows=await _counts(connection),
            active=await connection.fetchval(_ACTIVE),
            columns={table: frozenset(names) for table, names in columns.items()},
            living=[row["name"] for row in await connection.fetch(_LIVING, ALIVE_S)],
        )


class Replacement:
    """The transaction that replaces everything. Made by `replacing`; its methods are called once each, in their order."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._kept: dict[str, str] = {}
        self.active: str | None = None

    async def empty(self) -> dict[str, int]:
        """Locks everything, remembers what must not be forgotten, and removes the rest; the rows removed, by table."""
        connection = self._connection
        await connection.execute(f"LOCK TABLE {_listed(_REPLACED)} IN ACCESS EXCLUSIVE MODE")
        for table in _REPLACED:  # row-level security holds for the owner too, until this transaction ends
            await connection.execute(f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY')
        before = await _counts(connection)
        self.active = await connection.fetchval(_ACTIVE)
        for table in UNITED:
            rows = await connection.fetchval(f"SELECT coalesce(jsonb_agg(t), '[]')::text FROM \"{table}\" t")  # noqa: S608
            self._kept[table] = rows
        await connection.execute(_NOTE_REVOKED)
        await connection.execute(f"TRUNCATE {_listed(_REPLACED)}")
        return before

    async def make_days(self, days: Sequence[str]) -> None:
        """Makes the partitions of these days, `YYYYMMDD`, where they are missing."""
        for day in days:
            moment = date(int(day[:4]), int(day[4:6]), int(day[6:]))
            await self._connection.fetchval("SELECT hookvault_make_day($1)", moment)

    async def fill(self, table: str, columns: Sequence[str], rows: AsyncIterator[bytes]) -> int:
        """Copies rows, COPY text, into a table; their number."""
        tag = await self._connection.copy_to_table(table, columns=columns, source=rows, format="text")
        return int(tag.rpartition(" ")[2])

    async def heads(self) -> tuple[int, str]:
        """See `audit_heads`."""
        return await audit_heads(self._connection)

    async def unite(self, active: str) -> list[str]:
        """Adds what was remembered, makes one master key the active one, and destroys again what was shredded.

        Returns:
            The tenant of each data key destroyed.
        """
        connection = self._connection
        moment = now()
        kept = await connection.fetchval(_DEMOTED, self._kept["key_history"])
        await connection.execute(_NONE_ACTIVE, active, moment)
        await connection.execute(_UNITE_KEYS, kept)
        await connection.execute(_ACTIVATE, active, moment)
        shredded = await connection.fetch(_SHRED, self._kept["shredded_tenants"])
        for table in ("shredded_tenants", "backups"):
            source = f'jsonb_populate_recordset(NULL::"{table}", $1::text::jsonb)'
            statement = f'INSERT INTO "{table}" SELECT * FROM {source} ON CONFLICT DO NOTHING'  # noqa: S608
            await connection.execute(statement, self._kept[table])
        await connection.execute(_REVOKE)
        return [row["tenant_id"] for row in shredded]

    async def other_keys(self, active: str) -> AsyncIterator[Sequence[OtherKey]]:
        """The data keys that are not wrapped under the active master key, in batches."""
        place = ("", 0)
        while rows := await self._connection.fetch(_OTHER, active, *place, _BATCH):
            yield [OtherKey(*row) for row in rows]
            place = (rows[-1]["tenant_id"], rows[-1]["version"])

    async def rewrap(self, active: str, keys: Sequence[tuple[str, int, str]]) -> None:
        """Stores data keys as they are wrapped under the active master key: tenant, version, wrapped."""
        if keys:
            await self._connection.execute(_REWRAP, active, *[list(column) for column in zip(*keys, strict=True)])

    async def close(self) -> SystemTx:
        """Puts queue, sequences and policies in order and has every process forget what it knew; the rest of the transaction."""
        connection = self._connection
        await connection.execute(_NO_LEASES)
        for table, column in await connection.fetch(_IDENTITIES, SAVED):
            last = await connection.fetchval(f'SELECT max("{column}") FROM "{table}"')  # noqa: S608 - from the catalogue
            restart = f'ALTER TABLE "{table}" ALTER COLUMN "{column}" RESTART WITH {int(last or 0) + 1}'
            await connection.execute(restart)
        for table in _REPLACED:
            await connection.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
        await connection.execute(_TELL)
        return await as_system(connection)


@asynccontextmanager
async def replacing(dsn: str, *, dry_run: bool) -> AsyncIterator[Replacement]:
    """The transaction; it commits as the block ends, unless it raises or is a dry run.

    Raises:
        UnavailableError: code `database_busy` when others hold its rows too long, `database_unavailable`.
    """
    async with owner_connection(dsn) as connection:
        try:
            async with connection.transaction():
                yield Replacement(connection)
                if dry_run:
                    raise RolledBackError
        except RolledBackError:
            pass


async def _counts(connection: asyncpg.Connection) -> dict[str, int]:
    return {table: await count(connection, table) for table in SAVED}


def _listed(tables: Sequence[str]) -> str:
    return ", ".join(f'"{table}"' for table in tables)
