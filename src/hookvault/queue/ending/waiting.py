"""Ends what waits for a webhook or tenant that is gone, a batch at a time, so that nobody waits for it."""

from uuid import UUID

from hookvault.clock import iso, now
from hookvault.db.pool import Database
from hookvault.fault import fault_point
from hookvault.ids import new_id
from hookvault.queue import store
from hookvault.queue.ending import store as finish

DELETED = ("failed", "webhook_deleted", "The webhook was deleted before this was delivered.")
_BATCH = 1000


async def end_waiting(database: Database, tenant_id: str, webhook_id: UUID | None = None) -> int:
    """Ends the waiting deliveries of a deleted webhook, or of a deleted tenant, as failed; how many.

    What is being called just now ends by itself. Should this be cut short, a worker goes on with it.
    """
    ledger_id, ended = new_id(), 0
    while True:
        async with database.system() as tx:
            jobs = await store.list_jobs(tx, tenant_id, webhook_id, _BATCH)
            done = await finish.end(tx, jobs, DELETED, ending("failed", "webhook_deleted"), ledger_id)
            fault_point("end.before_commit")
        fault_point("end.after_commit")
        ended += done
        if len(jobs) < _BATCH or not done:
            return ended


def ending(event: str, reason: str) -> dict[str, str]:
    """The trail entry of an end that no call brought."""
    return {"at": iso(now()), "event": event, "reason": reason}
