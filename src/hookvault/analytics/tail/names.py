"""What the webhooks of calls are called: asked of the database once, and kept until something changes."""

from collections.abc import Sequence
from uuid import UUID

from hookvault.analytics.tail import store
from hookvault.analytics.tail.model import LiveCall
from hookvault.analytics.tail.store import Named
from hookvault.db.pool import Database

_KEPT = 10_000
_AT_ONCE = 1000
_UNKNOWN = Named(None, None)


class Names:
    """A bounded cache of names."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[str, UUID], Named] = {}
        self._forgotten = 0

    async def named(self, calls: Sequence[LiveCall]) -> list[LiveCall]:
        """The calls with their workflows' names; without those of a deleted tenant whose id another one has now.

        Raises:
            UnavailableError: code `database_unavailable`.
        """
        found = dict(self._known)
        unknown = list({key: None for call in calls if (key := (call.tenant_id, call.webhook_id)) not in found})
        for at in range(0, len(unknown), _AT_ONCE):
            found |= await self._ask(unknown[at : at + _AT_ONCE])
        shown = []
        for call in calls:
            name, created_at = found.get((call.tenant_id, call.webhook_id), _UNKNOWN)
            call.workflow_name = name
            if created_at is None or call.timestamp >= created_at:
                shown.append(call)
        return shown

    def forget(self, tenant_id: str | None = None) -> None:
        """Drops what is known of a tenant's webhooks, or of all."""
        self._forgotten += 1
        self._known = {
            key: named for key, named in self._known.items() if tenant_id is not None and key[0] != tenant_id
        }

    async def _ask(self, webhooks: Sequence[tuple[str, UUID]]) -> dict[tuple[str, UUID], Named]:
        forgotten = self._forgotten
        async with self._database.system_statement() as tx:
            found = await store.get_names(tx, webhooks)
        if forgotten == self._forgotten:  # else it may be of before a change
            if len(self._known) + len(found) > _KEPT:
                self._known.clear()
            self._known |= found
        return found
