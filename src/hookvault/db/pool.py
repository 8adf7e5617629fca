"""The one place that mints access to the database: TenantTx for one tenant's rows, SystemTx for the service's own work.

Every connection is switched to an unprivileged role before anybody sees it. The tenant role sees the rows of the
tenant named in the transaction and none when no tenant is named; the system role is for work over all tenants (the
group commit, platform lists). DDL belongs to the owner and is done by `hookvault.db.migrate` alone.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec

from hookvault.db.codec import decode_jsonb, encode_jsonb
from hookvault.db.reach import LOST, unreachable
from hookvault.errors import InvalidError, LockedError, SetupError

_ACQUIRE_TIMEOUT_S = 10.0
_COMMAND_TIMEOUT_S = 30.0
_SNAPSHOT = {"isolation": "repeatable_read", "readonly": True}
# Many changes of one tenant stand in line for the end of its audit chain, each for the commits before it.
LINE_TIMEOUT = "10s"
_ACCESS = "SELECT value FROM hookvault_meta WHERE name = 'access'"

Row = asyncpg.Record


class Tx:
    """One open transaction. Statements are asyncpg's: `$1` parameters, rows as Records."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, statement: str, *values: Any) -> Sequence[Row]:
        """All rows of a statement."""
        rows: Sequence[Row] = await self._connection.fetch(statement, *values)
        return rows

    async def fetchrow(self, statement: str, *values: Any) -> Row | None:
        """The first row, or None."""
        row: Row | None = await self._connection.fetchrow(statement, *values)
        return row

    async def fetchval(self, statement: str, *values: Any) -> Any:
        """The first column of the first row, or None."""
        return await self._connection.fetchval(statement, *values)

    async def lock(self, statement: str, *values: Any) -> Row | None:
        """The first row of a statement that locks it for an audited change, or None.

        Who holds the row may be in the line for the end of the tenant's audit chain. So this waits, as all that follows in
        the transaction, for as long as one may stand there.

        Raises:
            LockedError: by the transaction, when the row stays locked.
        """
        await self.execute("SELECT set_config('lock_timeout', $1, true)", LINE_TIMEOUT)
        return await self.fetchrow(statement, *values)

    async def execute(self, statement: str, *values: Any) -> int:
        """Runs a statement; the number of rows that it touched."""
        tag: str = await self._connection.execute(statement, *values)
        last = tag.rpartition(" ")[2]
        return int(last) if last.isdigit() else 0


class TenantTx(Tx):
    """A transaction that sees one tenant's rows and no other's, by the database's own row-level security."""

    __slots__ = ("tenant_id",)

    def __init__(self, connection: Any, tenant_id: str) -> None:
        super().__init__(connection)
        self.tenant_id = tenant_id


class SystemTx(Tx):
    """A transaction over all tenants, for the service's own work and for platform admins."""

    __slots__ = ()


class Database:
    """The connections of one process. Make it with `connect`."""

    def __init__(self, tenant_pool: Any, system_pool: Any) -> None:
        self._tenant_pool = tenant_pool
        self._system_pool = system_pool

    @classmethod
    async def connect(cls, dsn: str, *, tenant_connections: int = 10, system_connections: int = 8) -> "Database":
        """Opens both pools on a migrated database.

        Raises:
            UnavailableError: code `database_unavailable`, when the server can't be reached.
            SetupError: when the database was not migrated yet, or is not PostgreSQL 15 or newer.
        """
        by_roles = await _checked_access_mode(dsn)
        pools = []
        try:
            for kind, size in (("tenant", tenant_connections), ("system", system_connections)):
                pools.append(await _open_pool(dsn, kind, size, by_roles=by_roles))
        except BaseException:
            for pool in pools:
                await pool.close()
            raise
        return cls(*pools)

    @asynccontextmanager
    async def tenant(self, tenant_id: str) -> AsyncIterator[TenantTx]:
        """A transaction on one tenant's rows; committed when the block ends, rolled back when it raises."""
        async with _transaction(self._tenant_pool) as connection:
            await connection.execute("SELECT set_config('app.tenant_id', $1, true)", tenant_id)
            yield TenantTx(connection, tenant_id)

    @asynccontextmanager
    async def tenant_snapshot(self, tenant_id: str) -> AsyncIterator[TenantTx]:
        """As `tenant`, to read only, and everything as it was at one moment."""
        async with _transaction(self._tenant_pool, **_SNAPSHOT) as connection:
            await connection.execute("SELECT set_config('app.tenant_id', $1, true)", tenant_id)
            yield TenantTx(connection, tenant_id)

    @asynccontextmanager
    async def system_snapshot(self) -> AsyncIterator[SystemTx]:
        """As `system`, to read only, and everything as it was at one moment."""
        async with _transaction(self._system_pool, **_SNAPSHOT) as connection:
            yield SystemTx(connection)

    @asynccontextmanager
    async def system(self) -> AsyncIterator[SystemTx]:
        """A transaction over all tenants; committed when the block ends, rolled back when it raises."""
        async with _transaction(self._system_pool) as connection:
            yield SystemTx(connection)

    @asynccontextmanager
    async def system_statement(self) -> AsyncIterator[SystemTx]:
        """As `system`, for one statement only: it commits by itself as it ends, in one round trip instead of three."""
        async with _connection(self._system_pool) as connection:
            yield SystemTx(connection)

    async def ping(self) -> None:
        """Proves that the database answers. Raises UnavailableError when it does not."""
        async with self.system_statement() as tx:
            await tx.fetchval("SELECT 1")

    async def close(self) -> None:
        """Closes every connection, waiting for open transactions to end."""
        await self._tenant_pool.close()
        await self._system_pool.close()


async def as_system(connection: Any) -> SystemTx:
    """Makes the rest of the owner's transaction on this connection one over all tenants, with the service's own rights."""
    await _read_jsonb(connection)
    if await connection.fetchval(_ACCESS) == "roles":
        await connection.execute("SET LOCAL ROLE hookvault_system")
    else:
        await connection.execute("SELECT set_config('app.role', 'system', true)")
    return SystemTx(connection)


async def _read_jsonb(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", format="binary", encoder=encode_jsonb, decoder=decode_jsonb
    )


async def _checked_access_mode(dsn: str) -> bool:
    """Whether this database separates access by roles (else by settings in one role)."""
    try:
        connection = await asyncpg.connect(dsn, timeout=_ACQUIRE_TIMEOUT_S)
    except (*LOST, asyncpg.PostgresError, ValueError) as error:
        # From None: what asyncpg says of a malformed URL quotes pieces of it, the password's among them.
        raise unreachable(error, dsn) from None
    try:
        if connection.get_server_version().major < 15:
            raise SetupError("PostgreSQL 15 or newer is needed; this server is older.", code="postgres_too_old")
        mode = await connection.fetchval(_ACCESS)
    except asyncpg.UndefinedTableError:
        raise SetupError(
            "The database has no Hookvault tables yet. Make them with: hookvault db migrate",
            code="not_migrated",
        ) from None
    finally:
        await connection.close()
    return bool(mode == "roles")


async def _open_pool(dsn: str, kind: str, size: int, *, by_roles: bool) -> Any:
    async def prepare(connection: Any) -> None:
        await _read_jsonb(connection)
        # A lock that somebody holds must not hold up everybody behind it.
        await connection.execute("SET lock_timeout = '1s'; SET idle_in_transaction_session_timeout = '60s'")
        if kind == "system":
            # Plans are made once and kept: planning a group commit takes as long as a tenth of its work. The queue may be
            # empty when they are made, and what suits no rows must not be kept for a million.
            await connection.execute(
                "SET plan_cache_mode = force_generic_plan; "
                "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_material = off; "
                "SET enable_hashjoin = off; SET enable_mergejoin = off"
            )
        if by_roles:
            await connection.execute(f"SET ROLE hookvault_{kind}")
        elif kind == "system":
            await connection.execute("SELECT set_config('app.role', 'system', false)")

    async def keep(_connection: Any) -> None:
        """Nothing to reset: every setting that we make is local to its transaction."""

    return await asyncpg.create_pool(
        dsn, min_size=0, max_size=size, init=prepare, reset=keep, command_timeout=_COMMAND_TIMEOUT_S
    )


@asynccontextmanager
async def _transaction(pool: Any, **options: Any) -> AsyncIterator[Any]:
    async with _connection(pool) as connection, connection.transaction(**options):
        yield connection


@asynccontextmanager
async def _connection(pool: Any) -> AsyncIterator[Any]:
    try:
        connection = await _acquired(pool)
        try:
            yield connection
        finally:
            await pool.release(connection)
    except (asyncpg.DataError, UnicodeEncodeError, msgspec.EncodeError) as error:
        # The second wall: the edges refuse such values with the field's name before they get here.
        raise InvalidError("A value can't be stored, for instance a NUL character or a number out of range.") from error
    except asyncpg.LockNotAvailableError as error:
        raise LockedError(
            "Another session of the database keeps locked what this needs. Nothing was changed; try again. "
            "Should it last, look for transactions that stay open."
        ) from error
    except LOST as error:
        raise unreachable(error) from error


async def _acquired(pool: Any) -> Any:
    """A connection. Whatever the server says to a new one (no such database, wrong password), it can't be had now."""
    try:
        return await pool.acquire(timeout=_ACQUIRE_TIMEOUT_S)
    except asyncpg.PostgresError as error:
        raise unreachable(error) from error
