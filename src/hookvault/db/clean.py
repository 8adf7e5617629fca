"""Empties a database, as its owner: everything, or everything but the platform's own admins and API keys."""

import asyncpg

from hookvault.errors import UnavailableError

_LOCK_TIMEOUT = "3s"  # no transaction of the service is as long
# Emptied by DELETE: others refer to them, or some of their rows stay. The rest is truncated, at no cost.
_DELETED = ("tenants", "api_keys", "platform_users", "key_history", "data_keys", "user_totp", "user_recovery_codes")
# Rows of these go only when nothing is left that needs them; of others only those of tenants.
_KEPT_WITH_ADMINS = ("platform_users", "key_history", "user_totp", "user_recovery_codes")
_OF_TENANTS = {"api_keys": " WHERE tenant_id IS NOT NULL", "data_keys": " WHERE tenant_id <> '*'"}

# Our tables are those behind our policy: somebody else's in the same schema stay untouched.
_TABLES = """
SELECT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = 'system_rows'
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY c.relname
"""


async def clean(dsn: str, *, preserve_admin: bool) -> dict[str, int]:
    """Removes every tenant and all that is recorded, in one transaction; the rows removed, by table.

    Args:
        dsn: The owner's URL of a migrated database.
        preserve_admin: Keep platform admins and platform API keys, and with them the history of master keys.
            Without it the next start takes whatever ENCRYPTION_KEY it is given.

    Raises:
        UnavailableError: code `database_unavailable`, or `database_busy` when others hold its rows too long.
    """
    try:
        connection = await asyncpg.connect(dsn, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise UnavailableError(
            f"The database does not answer ({type(error).__name__}). Nothing was removed.",
            code="database_unavailable",
        ) from None
    try:
        async with connection.transaction():
            return await _emptied(connection, preserve_admin=preserve_admin)
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        raise UnavailableError(
            "The database is busy, and nothing was removed. Stop the service, then try again.",
            code="database_busy",
        ) from None
    finally:
        await connection.close()


async def _emptied(connection: asyncpg.Connection, *, preserve_admin: bool) -> dict[str, int]:
    tables = [row["relname"] for row in await connection.fetch(_TABLES)]
    await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
    await connection.execute(f"LOCK TABLE {_listed(tables)} IN ACCESS EXCLUSIVE MODE")
    for table in tables:  # row-level security holds for the owner too, until this transaction ends
        await connection.execute(f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY')
    before = {table: await _count(connection, table) for table in tables}
    await connection.execute(f"TRUNCATE {_listed([table for table in tables if table not in _DELETED])}")
    for table in _DELETED:
        if not (preserve_admin and table in _KEPT_WITH_ADMINS):
            chosen = _OF_TENANTS.get(table, "") if preserve_admin else ""
            await connection.execute(f'DELETE FROM "{table}"{chosen}')  # noqa: S608 - names and constants of this file
    removed = {table: before[table] - await _count(connection, table) for table in tables}
    for table in tables:
        await connection.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
    return {table: rows for table, rows in removed.items() if rows}


async def _count(connection: asyncpg.Connection, table: str) -> int:
    return int(await connection.fetchval(f'SELECT count(*) FROM "{table}"'))  # noqa: S608 - from the catalogue


def _listed(tables: list[str]) -> str:
    return ", ".join(f'"{table}"' for table in tables)
