"""Says for one process that it lives and which master keys it holds, so that no key is made active that it could not use."""

import asyncio
import socket
import time
from typing import Literal
from uuid import UUID

from hookvault.clock import now
from hookvault.custody import store
from hookvault.custody.model import Holder
from hookvault.db.pool import Database, SystemTx
from hookvault.errors import HookvaultError, LockedError, UnavailableError, WrongKeyError
from hookvault.log import get_logger
from hookvault.vault import store as keys
from hookvault.vault.service import Vault

BEAT_S = 4.0  # well below what makes a process count as dead
_ROTATION_S = 60.0  # longer than the data keys of very many tenants take to be wrapped anew

_log = get_logger()


class Presence:
    """One process among those that share a database.

    Args:
        database: Which one.
        vault: Holds the master keys.
        process: Its id.
    """

    def __init__(self, database: Database, vault: Vault, process: UUID) -> None:
        self._database = database
        self._vault = vault
        self._process = process
        self._holder: Holder | None = None
        self._missing: str | None = None

    async def enter(self, kind: Literal["serve", "worker"]) -> None:
        """Joins the others, unless the master key that is active by now is not among this process's. Waits for a rotation.

        Raises:
            WrongKeyError: names both fingerprints.
            UnavailableError: code `database_locked`, when a rotation takes longer than a minute.
        """
        moment = now()
        host = socket.gethostname()[:200]
        self._holder = Holder(self._process, kind, host, self._vault.ring.fingerprints, moment, moment)
        await self._first_beat(time.monotonic() + _ROTATION_S)
        if self._missing is not None:
            await self.leave()
            self._vault.ring.by_fingerprint(self._missing)

    async def beat(self) -> None:
        """Says that the process lives; notices when the active master key became one that it does not hold."""
        if self._holder is None:
            return
        async with self._database.system() as tx:
            await keys.lock_wrapping(tx)  # so that no promotion happens between what is read and what is said
            await store.beat(tx, self._holder)
            active = await keys.active_fingerprint(tx)
        missing = active if active is not None and active not in self._vault.ring.fingerprints else None
        if missing is not None and self._missing is None:
            _log.error("master_key_missing", needed=missing, held=list(self._vault.ring.fingerprints))
        self._missing = missing

    async def _first_beat(self, deadline: float) -> None:
        while True:
            try:
                return await self.beat()
            except LockedError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.1)

    async def leave(self) -> None:
        """Goes, so that nobody waits for this process. Without a database it counts as dead in a moment."""
        if self._holder is None:
            return
        self._holder = None
        try:
            async with self._database.system() as tx:
                await store.leave(tx, self._process)
        except HookvaultError as error:
            _log.warning("process_not_signed_off", error=error.message)

    def check(self) -> None:
        """Raises UnavailableError, code `wrong_key`, when the active master key is not among this process's."""
        if self._missing is not None:
            message = f"The active master key is {self._missing}, and this process does not hold it. Restart it with that key."
            raise UnavailableError(message, code=WrongKeyError.default_code)


async def list_behind(tx: SystemTx, fingerprint: str) -> list[Holder]:
    """The living processes that do not hold a master key."""
    return [holder for holder in await store.list_living(tx) if fingerprint not in holder.fingerprints]
