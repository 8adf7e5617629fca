"""Why a database can't be reached, in words for whoever has to mend it. Never with the password of its URL."""

import socket
from urllib.parse import parse_qs, urlsplit

import asyncpg

from hookvault.errors import UnavailableError

# What it looks like when a database that was there is not, or can't do what it could.
LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DiskFullError,
    asyncpg.QueryCanceledError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was cut in the middle of an exchange
)
_CAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "its host name is not known"),
    (ConnectionRefusedError, "nothing listens there"),
    (FileNotFoundError, "its socket is not there, so it does not run"),
    (TimeoutError, "it took too long to answer"),
    (asyncpg.InvalidPasswordError, "it refused the password"),
    (asyncpg.InvalidAuthorizationSpecificationError, "it refused the user"),
    (asyncpg.InvalidCatalogNameError, "it has no database of that name"),
    (asyncpg.TooManyConnectionsError, "all its connections are taken"),
    (asyncpg.DiskFullError, "its disk is full"),
    (asyncpg.CannotConnectNowError, "it is starting or stopping"),
    (asyncpg.QueryCanceledError, "it was told to stop the query"),
    (ValueError, "the URL can't be read"),
)


def unreachable(error: BaseException, dsn: str | None = None, *, variable: str = "DATABASE_URL") -> UnavailableError:
    """The error for a database that did not do what it was asked, code `database_unavailable`.

    Args:
        error: What went wrong.
        dsn: The database's URL, to name its place.
        variable: The setting that holds the URL.
    """
    cause = next((words for kind, words in _CAUSES if isinstance(error, kind)), "the connection was lost")
    advice = f"Check that PostgreSQL runs and {variable} is right"
    embedded = dsn is None or "host=/" in dsn or "host=%2F" in dsn
    if embedded and variable == "DATABASE_URL":
        advice += "; without DATABASE_URL, start the embedded one with: hookvault db migrate"
    return UnavailableError(
        f"The database{_place(dsn)} does not answer: {cause}. {advice}.", code="database_unavailable"
    )


def _place(dsn: str | None) -> str:
    if dsn is None:
        return ""
    try:
        parts = urlsplit(dsn)
        host, port = parts.hostname or parse_qs(parts.query).get("host", [""])[0], parts.port or 5432
    except ValueError:
        return ""
    name = parts.path.lstrip("/")
    return f" {name} in {host}" if host.startswith("/") else f" {name} at {host}:{port}"
