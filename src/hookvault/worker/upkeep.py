"""What keeps the queue in order: time, expiry, old rows, and the account."""

import time

from hookvault.admission import store as admission
from hookvault.analytics.retention.service import RetentionService
from hookvault.clock import iso, now
from hookvault.db.pool import Database
from hookvault.deliveries import store as deliveries
from hookvault.fault import fault_point
from hookvault.ids import new_id
from hookvault.ledger import store as ledger
from hookvault.ledger.model import Ledger
from hookvault.log import get_logger
from hookvault.queue import store
from hookvault.queue.ending import store as finish
from hookvault.queue.ending.waiting import DELETED, ending
from hookvault.webhooks import store as webhooks
from hookvault.webhooks.circuit import PROBE_AFTER_S

EXPIRED = ("expired", "deliver_before_passed", "It could not be delivered before its deliverBefore.")
_LEAST_S = 2.0
_MOST_SHARE = 50  # the account takes no more than a fiftieth of the time

_log = get_logger()


class Upkeep:
    """The chores of the queue. Safe in many processes at once."""

    def __init__(self, database: Database, retention: RetentionService | None = None) -> None:
        self._database = database
        self._retention = retention or RetentionService(database)
        self._ledger_id = new_id()
        self._ledger: Ledger | None = None
        self._stale_at = 0.0

    async def tick(self) -> None:
        """Every second: keeps the time, and ends what has expired while nobody called it."""
        async with self._database.system() as tx:
            back = await store.keep_time(tx)
            if back is not None:
                await admission.set_back(tx, back, PROBE_AFTER_S)
                await deliveries.set_back_replays(tx)
        if back is not None:
            _log.warning("clock_set_back", seconds=back.total_seconds())
        async with self._database.system() as tx:
            entry = {"at": iso(now()), "event": "expired"}
            if await finish.end(tx, await store.list_expired(tx), EXPIRED, entry, self._ledger_id):
                fault_point("expire.before_commit")

    async def tidy(self, days_to_keep: int) -> None:
        """Every minute: folds the account, and drops what is past its time."""
        async with self._database.system() as tx:
            await ledger.fold_ledger(tx)
            await admission.prune_keys(tx)
            await admission.prune_holds(tx, days_to_keep)
            await webhooks.drop_previous_secrets(tx)

    async def sweep(self) -> None:
        """Every ten minutes: ends what waits for something that was deleted in the moment of its acceptance."""
        async with self._database.system() as tx:
            orphans = await store.list_orphans(tx)
            await finish.end(tx, orphans, DELETED, ending("failed", "webhook_deleted"), self._ledger_id)

    async def retain(self, days_to_keep: int) -> None:
        """Every hour: drops the deliveries of days past retention, but no day of which one still waits."""
        dropped = await self._retention.drop_deliveries(days_to_keep)
        if dropped:
            _log.info("old_deliveries_dropped", days=dropped)

    async def ledger(self) -> Ledger:
        """The account, a few seconds old at most, and older where the queue is so long that counting it takes time."""
        if self._ledger is None or time.monotonic() >= self._stale_at:
            began = time.monotonic()
            async with self._database.system_statement() as tx:
                self._ledger = await ledger.read_ledger(tx)
            took = time.monotonic() - began
            self._stale_at = time.monotonic() + max(_LEAST_S, took * _MOST_SHARE)
        return self._ledger
