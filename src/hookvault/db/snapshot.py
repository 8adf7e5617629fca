"""Reads all data of a database as of one moment, while everybody else goes on writing. Its files know nothing of backups."""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import asyncpg

from hookvault.db.content import EMPTIED, KEPT, SAVED
from hookvault.db.owner import owner_connection
from hookvault.db.pool import SystemTx, as_system
from hookvault.errors import UnavailableError

_FACTS = """
SELECT now() AS at, (SELECT version_num FROM alembic_version) AS revision,
    (SELECT fingerprint FROM key_history WHERE state = 'active') AS active,
    (SELECT count(*) FROM shredded_tenants) AS tombstones
"""

_KEYS = "SELECT key_fingerprint, count(*) AS uses FROM data_keys WHERE state <> 'destroyed' GROUP BY 1 ORDER BY 1"

_DAYS = """
SELECT DISTINCT right(c.relname, 8) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent IN ('webhook_analytics'::regclass, 'webhook_deliveries'::regclass) ORDER BY 1
"""

_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
"""

_OURS = """
SELECT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = 'system_rows'
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""

# What row-level security lets the present role read of a table. A restrictive policy may take any row away.
_POLICIES = """
SELECT p.polpermissive AS permissive, pg_get_expr(p.polqual, p.polrelid) AS qual FROM pg_policy p
WHERE p.polrelid = $1::text::regclass AND p.polcmd IN ('*', 'r') AND EXISTS (
    SELECT FROM unnest(p.polroles) AS r (role) WHERE r.role = 0 OR pg_has_role(current_user, r.role, 'USAGE'))
"""

# Each chain's last event, in an order that no server's collation changes.
_HEADS = """
SELECT DISTINCT ON (tenant_id COLLATE "C") tenant_id, seq, encode(hash, 'hex') AS hash FROM audit_events
WHERE seq IS NOT NULL ORDER BY tenant_id COLLATE "C", seq DESC
"""

_RECORD = """
INSERT INTO backups (id, made_at, made_by, file_name, bytes, rows, fingerprints)
SELECT $1::uuid, $2, $3, $4, $5, $6, $7::text[] WHERE NOT EXISTS (SELECT FROM backups WHERE id = $1::uuid)
"""

Sink = Callable[[bytes], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """A backup in the list of those that were made; `fingerprints` are the master keys that it needs."""

    id: str
    made_at: datetime
    made_by: str
    file_name: str
    bytes: int
    rows: int
    fingerprints: Sequence[str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A database at one moment. Make it with `snapshot`.

    Attributes:
        at: The moment.
        revision: The schema's.
        active: The fingerprint of the active master key; None on a database that never had one.
        fingerprints: How many data keys each master key wraps.
        tombstones: Of shredded tenants.
        days: For which there are partitions, `YYYYMMDD`.
        columns: Of each table, in the order in which `copy` writes them.
        rows: Of each table.
    """

    at: datetime
    revision: str
    active: str | None
    fingerprints: Mapping[str, int]
    tombstones: int
    days: Sequence[str]
    columns: Mapping[str, Sequence[str]]
    rows: Mapping[str, int]
    _connection: asyncpg.Connection

    async def copy(self, table: str, sink: Sink) -> None:
        """Hands all rows of a table to `sink`, as COPY text, piece by piece.

        Raises:
            UnavailableError: code `backup_incomplete`, when not all of them came.
        """
        columns = ", ".join(f'"{name}"' for name in self.columns[table])
        tag = await self._connection.copy_from_query(f'SELECT {columns} FROM "{table}"', output=sink)  # noqa: S608
        copied = int(tag.rpartition(" ")[2])
        if copied != self.rows[table]:
            raise incomplete(table, f"{copied} rows came of {self.rows[table]}")

    async def heads(self) -> tuple[int, str]:
        """See `audit_heads`."""
        return await audit_heads(self._connection)


@asynccontextmanager
async def snapshot(dsn: str) -> AsyncIterator[Snapshot]:
    """All data of a migrated database as it is now; what others commit meanwhile is not in it, and they wait for nothing.

    Args:
        dsn: The owner's URL.

    Raises:
        UnavailableError: code `backup_incomplete`, when row-level security could hide rows of a table; `database_busy`,
            `database_unavailable`.
    """
    async with (
        owner_connection(dsn) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        # It only reads: who waits for those that record need not wait for this (see `analytics/rolling`).
        await connection.execute("SET LOCAL application_name = 'hookvault backup'")
        # Locked before the first query, with which the snapshot begins: a partition that is dropped later would be missing.
        for table in SAVED:
            await _lock(connection, table)
        await as_system(connection)
        await _prove_complete(connection)
        facts = await connection.fetchrow(_FACTS)
        assert facts is not None  # noqa: S101 - a query without FROM always gives a row
        yield Snapshot(
            **facts,
            fingerprints={row["key_fingerprint"]: row["uses"] for row in await connection.fetch(_KEYS)},
            days=[row[0] for row in await connection.fetch(_DAYS)],
            columns={table: [row[0] for row in await connection.fetch(_COLUMNS, table)] for table in SAVED},
            rows={table: await count(connection, table) for table in SAVED},
            _connection=connection,
        )


async def count(connection: asyncpg.Connection, table: str) -> int:
    """The number of a table's rows."""
    return int(await connection.fetchval(f'SELECT count(*) FROM "{table}"'))  # noqa: S608 - names of our own list


async def audit_heads(connection: asyncpg.Connection) -> tuple[int, str]:
    """How many audit chains there are, and one SHA-256 over the last event of each. Needs an open transaction."""
    digest, chains = sha256(), 0
    async for row in connection.cursor(_HEADS):
        digest.update(f"{row['tenant_id']}\t{row['seq']}\t{row['hash']}\n".encode())
        chains += 1
    return chains, digest.hexdigest()


async def record_backup(tx: SystemTx, made: BackupRecord) -> None:
    """Adds a backup to the list of those that were made, unless it stands there."""
    values = (made.id, made.made_at, made.made_by, made.file_name, made.bytes, made.rows, list(made.fingerprints))
    await tx.execute(_RECORD, *values)


async def _lock(connection: asyncpg.Connection, table: str) -> None:
    try:
        await connection.execute(f'LOCK TABLE "{table}" IN ACCESS SHARE MODE')
    except asyncpg.UndefinedTableError:
        raise incomplete(table, "there is no such table") from None


async def _prove_complete(connection: asyncpg.Connection) -> None:
    """A query under row-level security leaves rows out without a word, so it is proved beforehand that it can't here."""
    unknown = {row[0] for row in await connection.fetch(_OURS)} - {*SAVED, *KEPT, *EMPTIED}
    if unknown:
        raise incomplete(min(unknown), "this version does not know it")
    for table in SAVED:
        policies = await connection.fetch(_POLICIES, table)
        if not all(policy["permissive"] for policy in policies):
            raise incomplete(table, "a restrictive policy may hide rows of it")
        if not any([await _lets_all_through(connection, policy["qual"]) for policy in policies]):
            raise incomplete(table, "no policy shows all rows of it to the service")


async def _lets_all_through(connection: asyncpg.Connection, qual: str) -> bool:
    """Whether a policy's condition is true whatever the row: it is, if it is true without any row."""
    try:
        async with connection.transaction():
            return bool(await connection.fetchval(f"SELECT {qual}"))
    except asyncpg.PostgresError:
        return False  # it speaks of a row


def incomplete(table: str, why: str) -> UnavailableError:
    """The error of a table of which not all rows would be saved."""
    return UnavailableError(
        f"A backup would not hold all rows of table {table}: {why}. Nothing was written. "
        "Compare its policies with those of a freshly migrated database.",
        code="backup_incomplete",
    )
