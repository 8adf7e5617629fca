"""Tells other processes which calls this one committed, while one of them watches. In no transaction of a call's own."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable

from hookvault.analytics.tail import store
from hookvault.analytics.tail.notice import CallKey, call_notices
from hookvault.db.pool import Database
from hookvault.errors import HookvaultError
from hookvault.log import get_logger

WANTED_S = 15.0  # for so long after it was heard another process counts as watching
_EVERY_S = 0.1
_KEPT = 5000
_CLOSING_S = 2.0
_log = get_logger()


class Herald:
    """Gathers for a tenth of a second what was committed, and tells it in one statement.

    Args:
        database: Where the others listen.
        name: This process's.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._until = 0.0
        self._keys: deque[CallKey] = deque()
        self._lost = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> bool:
        """Whether another process watches, or did a moment ago."""
        return time.monotonic() < self._until

    def want(self) -> None:
        """Another process said that it watches."""
        self._until = time.monotonic() + WANTED_S

    def add(self, keys: Iterable[CallKey]) -> None:
        """Has calls told soon. When the database is away for long the oldest are only counted."""
        self._keys.extend(keys)
        while len(self._keys) > _KEPT:
            self._keys.popleft()
            self._lost += 1
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="live tail, telling")

    async def close(self) -> None:
        """Tells what is left, if that goes fast."""
        if self._task is not None:
            try:
                async with asyncio.timeout(_CLOSING_S):
                    await self._task
            except TimeoutError:
                pass

    async def _run(self) -> None:
        try:
            while (self._keys or self._lost) and self.wanted:
                await asyncio.sleep(_EVERY_S)
                await self._tell()
        finally:
            self._task = None
            self._keys.clear()
            self._lost = 0

    async def _tell(self) -> None:
        keys, lost = list(self._keys), self._lost
        self._keys.clear()
        self._lost = 0
        try:
            async with self._database.system_statement() as tx:
                await store.tell(tx, call_notices(self._name, keys, lost))
        except HookvaultError as error:
            _log.warning("live_tail_not_told", code=error.code, calls=len(keys))
            self._keys.extendleft(reversed(keys))
            self._lost += lost
