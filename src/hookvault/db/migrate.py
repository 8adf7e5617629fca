"""Brings a database to this code's schema, by Alembic, under a lock. Runs as the owner; nothing else does DDL."""

from enum import Enum
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from hookvault.db.reach import unreachable
from hookvault.errors import SetupError

_LOCK = 0x686F6F6B  # "hook": the advisory lock that lets one migration run at a time


class SchemaState(Enum):
    """How a database's schema stands to this code's."""

    EMPTY = "empty"
    BEHIND = "behind"
    CURRENT = "current"
    NEWER = "newer"


async def schema_state(dsn: str) -> SchemaState:
    """How the schema stands, without changing anything.

    Raises:
        UnavailableError: code `database_unavailable`.
    """
    connection = await _connect(dsn)
    try:
        found = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        found = None
    finally:
        await connection.close()
    scripts = ScriptDirectory.from_config(_config())
    if found is None:
        return SchemaState.EMPTY
    if found == scripts.get_current_head():
        return SchemaState.CURRENT
    return SchemaState.BEHIND if knows(found) else SchemaState.NEWER


def knows(revision: str) -> bool:
    """Whether a schema's revision is this code's or an older one."""
    return revision in {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


async def require_current(dsn: str) -> None:
    """Refuses a database that this code does not fit.

    Raises:
        SetupError: code `not_migrated`, or `schema_newer` when a newer Hookvault migrated it.
    """
    state = await schema_state(dsn)
    if state is SchemaState.NEWER:
        raise _newer()
    if state is not SchemaState.CURRENT:
        raise SetupError("The database's schema is behind this version. Run: hookvault db migrate", code="not_migrated")


async def migrate(dsn: str) -> bool:
    """Brings the schema to this code's; True when anything was done. Safe to run from many processes at once.

    Raises:
        SetupError: code `schema_newer`, when a newer Hookvault migrated this database.
        UnavailableError: code `database_unavailable`.
    """
    state = await schema_state(dsn)
    if state is SchemaState.NEWER:
        raise _newer()
    if state is SchemaState.CURRENT:
        return False
    lock = await _connect(dsn)
    try:
        await lock.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await _upgrade(dsn)
    finally:
        await lock.close()
    return True


async def _upgrade(dsn: str) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn), poolclass=NullPool
    )
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_run_alembic)
    finally:
        await engine.dispose()


def _run_alembic(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _newer() -> SetupError:
    return SetupError(
        "A newer Hookvault has migrated this database. Run that version, or restore a backup from before it.",
        code="schema_newer",
    )


async def _connect(dsn: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(dsn, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise unreachable(error, dsn) from None
