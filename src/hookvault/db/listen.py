"""Hears at once what other processes changed: a connection of its own that listens (PostgreSQL's LISTEN and NOTIFY)."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg

from hookvault.log import get_logger
from hookvault.loop import Loop

LIVE = "hookvault_live"  # who watches calls live, and which calls were committed (see `analytics/tail/notice.py`)
CHANNELS = ("hookvault_changes", "hookvault_deliveries", LIVE)
_RETRY_S = 1.0
_CHECK_S = 5.0
_log = get_logger()

Heard = Callable[[str, str], None]


class Listener:
    """Listens until it is closed, connecting anew where it must.

    Args:
        dsn: The database.
        heard: Told each notification's channel and payload. After a connection was lost it is told `('', '')`: anything may
            have been missed.
    """

    def __init__(self, dsn: str, heard: Heard) -> None:
        self._dsn = dsn
        self._heard = heard
        self._loop = Loop("listener", _RETRY_S, self._try)
        self._listening = asyncio.Event()

    def start(self) -> None:
        """Starts to listen."""
        self._loop.start()

    async def ready(self) -> None:
        """Waits until it listens."""
        await self._listening.wait()

    async def close(self) -> None:
        """Stops."""
        await self._loop.close()

    async def _try(self) -> None:
        try:
            await self._listen()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            if self._listening.is_set():
                _log.warning("listener_lost", reason="the connection to the database")
            self._listening.clear()

    async def _listen(self) -> None:
        connection: Any = await asyncpg.connect(self._dsn, timeout=10)
        try:
            for channel in CHANNELS:
                await connection.add_listener(channel, self._on_notification)
            self._listening.set()
            self._heard("", "")
            while True:
                await asyncio.sleep(_CHECK_S)
                await connection.fetchval("SELECT 1", timeout=10)
        finally:
            connection.terminate()

    def _on_notification(self, _connection: Any, _pid: int, channel: str, payload: str) -> None:
        self._heard(channel, payload)
