"""The health scan: opens every stored secret to prove that it opens, before anybody needs it."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

from hookvault.audit.model import SYSTEM, Actor
from hookvault.clock import now
from hookvault.custody import store
from hookvault.custody.model import Fault, Scan, Tally
from hookvault.custody.sealed import store as rows
from hookvault.custody.unseal import try_all
from hookvault.db.pool import Database
from hookvault.ids import new_id
from hookvault.log import get_logger
from hookvault.vault.registry import REGISTRY
from hookvault.vault.service import Vault

_ROWS = 500
_EVERY = timedelta(hours=24)
_log = get_logger()


class ScanService:
    """Scans, and tells what the last scan found."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def scan(self, *, actor: Actor = SYSTEM, done: "asyncio.Queue[int] | None" = None) -> Scan:
        """Opens every stored secret, a page of rows at a time; faults are noted and older ones forgotten.

        Args:
            actor: Who asked.
            done: Is put how many rows each page had, for a progress bar.
        """
        identifier, moment = new_id(), now()
        async with self._database.system() as tx:
            await store.start_scan(tx, identifier, actor.label, moment)
        return await self._scanned(identifier, moment, actor, done)

    async def nightly(self) -> None:
        """Scans when the last scan is a day old and no other process is at it. For workers."""
        identifier, moment = new_id(), now()
        async with self._database.system() as tx:
            if not await store.run_alone(tx, "scan"):
                return
            last = await store.last_started(tx)
            if last is not None and moment - last < _EVERY:
                return
            await store.start_scan(tx, identifier, SYSTEM.label, moment)
        await self._scanned(identifier, moment, SYSTEM, None)

    async def last(self) -> Scan | None:
        """The last scan that came to its end."""
        async with self._database.system() as tx:
            return await store.last_scan(tx)

    async def faults(self, limit: int = 100) -> list[Fault]:
        """The stored secrets that did not open when they were last tried."""
        async with self._database.system() as tx:
            return await store.list_faults(tx, limit)

    async def count_rows(self) -> int:
        """How many rows a scan looks at, about."""
        async with self._database.system() as tx:
            return await rows.count_rows(tx, rows.ALL)

    async def _scanned(
        self, identifier: UUID, moment: datetime, actor: Actor, done: "asyncio.Queue[int] | None"
    ) -> Scan:
        tally = Tally()
        for table in REGISTRY:
            after: rows.Cursor | None = rows.START
            while after is not None:
                async with self._database.system() as tx:
                    found = await rows.page(tx, table, after, _ROWS)
                    count, faults = await try_all(tx, self._vault, found)
                    await store.note_faults(tx, faults, moment)
                tally.secrets += count
                tally.faults += faults
                after = (found[-1].tenant_id, found[-1].row_id) if len(found) == _ROWS else None
                if done is not None:
                    done.put_nowait(len(found))
        # What was shredded is as it should be; it is told of at each secret, and raises no alarm.
        unreadable = sum(fault.reason != "key_destroyed" for fault in tally.faults)
        async with self._database.system() as tx:
            await store.forget_faults(tx, moment)
            await store.end_scan(tx, identifier, tally.secrets, unreadable)
        if unreadable:
            _log.error("secrets_unreadable", tried=tally.secrets, unreadable=unreadable)
        return Scan(identifier, moment, actor.label, now(), tally.secrets, unreadable)
