"""A connection as the database's owner, for what no role of the service may do: read all of it at once, replace all of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from hookvault.db.reach import LOST, unreachable
from hookvault.errors import UnavailableError

_LOCK_TIMEOUT = "3s"  # no transaction of the service is as long
_CLOSE_TIMEOUT_S = 5.0

# Whatever the role or the server is set to: rows are written as text and read again in the same forms, for as long as it takes.
_SETTINGS = f"""
SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex';
SET extra_float_digits = 3; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
SET lock_timeout = '{_LOCK_TIMEOUT}'
"""


@asynccontextmanager
async def owner_connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the owner's.

    Raises:
        UnavailableError: code `database_unavailable`, or `database_busy` when others hold its rows too long.
    """
    try:
        connection = await asyncpg.connect(dsn, timeout=10)
    except (*LOST, asyncpg.PostgresError, ValueError) as error:
        raise unreachable(error, dsn) from None
    try:
        await connection.execute(_SETTINGS)
        yield connection
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        raise UnavailableError(
            "The database is busy, and nothing was changed. Try again, or stop the service before.",
            code="database_busy",
        ) from None
    except LOST as error:
        raise unreachable(error, dsn) from None
    finally:
        with suppress(*LOST):
            await connection.close(timeout=_CLOSE_TIMEOUT_S)
