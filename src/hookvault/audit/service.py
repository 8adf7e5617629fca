"""The questions asked of the audit log."""

from hookvault.audit import store
from hookvault.audit.model import AuditEvent
from hookvault.db.pool import Database
from hookvault.errors import NotFoundError
from hookvault.paging import Page


class AuditService:
    """Reads who did what. Writing is done by each change itself, in its own transaction (`store.record`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_events(self, tenant_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[AuditEvent]:
        """A page of a tenant's events, newest first; a deleted tenant's stay readable.

        Raises:
            NotFoundError: code `tenant_not_found`, when no such tenant ever was.
            InvalidError: code `invalid_cursor`.
        """
        async with self._database.tenant(tenant_id) as tx:
            if not await store.has_events(tx):
                raise NotFoundError(f"There is no tenant {tenant_id}.", code="tenant_not_found")
            return await store.list_events(tx, limit=limit, cursor=cursor)
