"""All SQL on the former system's database. It is read in one read-only snapshot, row by row, and its values are never told."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from hookvault.custody.intake.model import OldRow, plain_name
from hookvault.db.reach import unreachable
from hookvault.errors import SetupError, UnavailableError

VARIABLE = "IMPORT_DATABASE_URL"

_CONNECT_TIMEOUT_S = 10.0
_FETCHED_AT_ONCE = 500
_FAILURES = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ValueError,
)
# Node's drivers put settings of their own into the URL; PostgreSQL would refuse to connect for them.
_URL_SETTINGS = frozenset(
    {
        "host",
        "port",
        "user",
        "password",
        "dbname",
        "database",
        "passfile",
        "sslmode",
        "sslcert",
        "sslkey",
        "sslrootcert",
    }
    | {"sslcrl", "sslpassword", "target_session_attrs"}
)
# Names of tables without case and underscores, the plain ones first: which of ours each is.
_TABLES = {
    "tenants": ("tenants", "tenant"),
    "tenant_integrations": ("tenantintegrations", "tenantintegration"),
    "n8n_webhooks": ("n8nwebhooks", "n8nwebhook"),
}
_TENANT_ID = ("tenantid",)
_NEEDED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "tenants": (("id", "tenantid"),),
    "tenant_integrations": (_TENANT_ID,),
    "n8n_webhooks": (_TENANT_ID, ("workflowname", "name")),
}

# From the catalog, since information_schema hides what this user may not read, and that is worth telling.
_COLUMNS = """
SELECT n.nspname AS schema_name, c.relname AS table_name, a.attname AS column_name
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
    AND CASE WHEN $1::text IS NULL THEN pg_table_is_visible(c.oid) AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        ELSE n.nspname = $1 END
ORDER BY a.attrelid, a.attnum
"""

# Rows that a policy would silently hide are an error instead; dates come in one form, whatever the database prefers; and while
# rows are written here, the source may wait as long as it takes.
_SETTINGS = """
SET LOCAL row_security = off; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0
"""


@dataclass(frozen=True, slots=True)
class OldTable:
    """A table of the former system: how SQL names it, and its columns by their names without case and underscores."""

    name: str
    sql: str
    columns: Mapping[str, str]


class Source:
    """The former system's database, while it is open. Make it with `opened_source`."""

    def __init__(self, connection: Any, tables: Mapping[str, OldTable]) -> None:
        self._connection = connection
        self._tables = tables

    def has(self, table: str) -> bool:
        """Whether there is such a table."""
        return table in self._tables

    async def count(self) -> int:
        """How many rows there are to read in all."""
        counts = [await self._count(table) for table in self._tables.values()]
        return sum(counts)

    async def rows(self, table: str) -> AsyncIterator[OldRow]:
        """The rows of a table, each tenant's together: values as text by `plain_name` of their columns.

        Raises:
            SetupError: `import_forbidden`.
            UnavailableError: `import_unavailable`, when the connection is lost.
        """
        if table not in self._tables:
            return
        found = self._tables[table]
        columns = ", ".join(f"{_quoted(column)}::text" for column in found.columns.values())
        first = "tenantid" if "tenantid" in found.columns else "id"
        keys = [_quoted(found.columns[key]) for key in dict.fromkeys((first, "id")) if key in found.columns]
        statement = f"SELECT {columns} FROM {found.sql} ORDER BY {', '.join(keys)}"  # noqa: S608 - names that are quoted
        try:
            async for row in self._connection.cursor(statement, prefetch=_FETCHED_AT_ONCE):
                yield dict(zip(found.columns, row.values(), strict=True))
        except _FAILURES as error:
            raise _unreadable(error) from None

    async def _count(self, table: OldTable) -> int:
        try:
            return int(await self._connection.fetchval(f"SELECT count(*) FROM {table.sql}"))  # noqa: S608 - as above
        except _FAILURES as error:
            raise _unreadable(error) from None


@asynccontextmanager
async def opened_source(url: str) -> AsyncIterator[Source]:
    """The former system's database, in one read-only transaction that sees one moment of it.

    Raises:
        SetupError: `import_no_tables`, `import_no_column`, `import_forbidden`, `import_own_database`.
        UnavailableError: `database_unavailable`, when it can't be reached or is no PostgreSQL.
    """
    dsn, schema = _for_asyncpg(url)
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S, statement_cache_size=0)
    except _FAILURES as error:
        raise unreachable(error, dsn, variable=VARIABLE) from None  # from None: its text may quote the URL
    try:
        transaction = connection.transaction(isolation="repeatable_read", readonly=True)
        try:
            await transaction.start()
            await connection.execute(_SETTINGS)
            columns = await connection.fetch(_COLUMNS, schema)
        except _FAILURES as error:
            raise _unreadable(error) from None
        yield Source(connection, _known([tuple(row.values()) for row in columns]))
    finally:
        await connection.close(timeout=_CONNECT_TIMEOUT_S)


def _for_asyncpg(url: str) -> tuple[str, str | None]:
    """The URL without what only Node's drivers understand, and the schema that it names (Prisma's `?schema=`)."""
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError as error:
        raise unreachable(error, variable=VARIABLE) from None
    schema = query.get("schema") or None
    if query.get("sslmode") == "no-verify":
        query["sslmode"] = "require"
    kept = urlencode({name: value for name, value in query.items() if name in _URL_SETTINGS})
    return urlunsplit(parts._replace(query=kept)), schema


def _known(columns: Sequence[tuple[str, str, str]]) -> dict[str, OldTable]:
    """The tables that are ours to read."""
    by_table: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column in columns:
        by_table.setdefault((schema, table), {}).setdefault(plain_name(column), column)
    if any(table == "hookvault_meta" for _, table in by_table):
        raise SetupError(
            f"{VARIABLE} names a database of Hookvault itself. Its data moves with a backup, not with an import.",
            code="import_own_database",
        )
    found = {}
    for name, spellings in _TABLES.items():
        for (schema, table), own in sorted(by_table.items(), key=lambda item: item[0][1] != name):
            if plain_name(table) in spellings:
                found[name] = OldTable(name, f"{_quoted(schema)}.{_quoted(table)}", own)
                break
    if not found:
        raise SetupError(
            f"{VARIABLE} names a database without any of the tables {', '.join(_TABLES)}. "
            "Check the database's name, and give another schema as ?schema=NAME.",
            code="import_no_tables",
        )
    for one in found.values():
        _check_columns(one)
    return found


def _check_columns(table: OldTable) -> None:
    for spellings in _NEEDED[table.name]:
        if not any(spelling in table.columns for spelling in spellings):
            raise SetupError(
                f"The table {table.sql} of {VARIABLE} has no column for the {'tenant' if 'tenantid' in spellings else 'name'}; "
                "it is not one that can be imported.",
                code="import_no_column",
            )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _unreadable(error: BaseException) -> SetupError | UnavailableError:
    """In words of ours: PostgreSQL's own may quote values."""
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return SetupError(
            f"The user of {VARIABLE} may not read all rows of the tables: grant it SELECT on {', '.join(_TABLES)}, "
            "and BYPASSRLS where policies hide rows.",
            code="import_forbidden",
        )
    return UnavailableError(
        f"Reading {VARIABLE} failed ({type(error).__name__}). What was imported stays; run the import again to go on.",
        code="import_unavailable",
    )
