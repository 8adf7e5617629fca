"""The questions asked of the audit log, and what is written apart from any change."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

from hookvault.audit import store
from hookvault.audit.chain import Head
from hookvault.audit.model import Actor, AuditEvent, AuditFilter, Outcome
from hookvault.audit.tally import Tally
from hookvault.audit.verify import Kept, Report, stream_heads, verify_chain
from hookvault.db.pool import Database
from hookvault.errors import NotFoundError
from hookvault.paging import Page


class AuditService:
    """Reads and verifies who did what. A change writes its event itself, in its own transaction (`store.record`).

    `tally` takes note of what anybody can cause as often as they like.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.tally = Tally(self.record_apart)

    async def list_events(
        self, tenant_id: str, which: AuditFilter | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Page[AuditEvent]:
        """A page of a tenant's events, newest first; a deleted tenant's stay readable.

        Args:
            tenant_id: Whose.
            which: Which of them; whose it says does not matter.
            limit: How many.
            cursor: Of the page before.

        Raises:
            NotFoundError: code `tenant_not_found`, when no such tenant ever was.
            InvalidError: code `invalid_cursor`.
        """
        async with self._database.tenant(tenant_id) as tx:
            if not await store.has_events(tx, tenant_id):
                raise NotFoundError(f"There is no tenant {tenant_id}.", code="tenant_not_found")
            return await store.list_events(
                tx, replace(which or AuditFilter(), tenant_id=tenant_id), limit=limit, cursor=cursor
            )

    async def list_all(
        self, which: AuditFilter | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Page[AuditEvent]:
        """A page of all tenants' events and the platform's own, newest first. Raises InvalidError, code `invalid_cursor`."""
        async with self._database.system() as tx:
            return await store.list_events(tx, which or AuditFilter(), limit=limit, cursor=cursor)

    async def record_apart(
        self,
        actor: Actor,
        action: str,
        target: tuple[str, str],
        *,
        tenant_id: str = "",
        outcome: Outcome,
        detail: Mapping[str, Any],
    ) -> None:
        """Writes an event in a transaction of its own: of what was refused, what failed, what was read.

        A tenant that never was gets no log by being asked for: such an event is the platform's own.
        """
        async with self._database.system() as tx:
            owner = tenant_id if tenant_id and await store.has_events(tx, tenant_id) else ""
            await store.record(tx, actor, action, target, tenant_id=owner, outcome=outcome, detail=detail)

    async def heads(self) -> AsyncIterator[Head]:
        """The end of every chain, by tenant. Kept elsewhere, they show when the newest events were removed."""
        async for _, head in stream_heads(self._database):
            if head is not None:
                yield head

    async def count(self, tenant_id: str | None = None) -> int:
        """About how many events `verify` will read."""
        return sum([head.seq async for head in self.heads() if tenant_id in (None, head.tenant_id)])

    async def verify(
        self,
        tenant_id: str | None = None,
        *,
        kept: Kept | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Report:
        """Reads every chain, or one tenant's, and finds where each is broken first.

        Args:
            tenant_id: Whose chain; empty for the platform's own, None for all.
            kept: Hashes that were kept elsewhere, by tenant and number.
            progress: Is told how many more events were read.

        Raises:
            NotFoundError: code `tenant_not_found`, for a tenant without any event.
        """
        kept, report = kept or {}, Report(0, 0, 0, [])
        if tenant_id is not None:
            await verify_chain(self._database, tenant_id, kept.get(tenant_id, {}), report, progress)
            if tenant_id and not (report.events or report.before_chain or report.faults):
                raise NotFoundError(f"There is no tenant {tenant_id}, nor any event of one.", code="tenant_not_found")
            return report
        seen = set()
        async for owner, _ in stream_heads(self._database):
            seen.add(owner)
            await verify_chain(self._database, owner, kept.get(owner, {}), report, progress)
        for owner in sorted(set(kept) - seen):
            await verify_chain(self._database, owner, kept[owner], report, progress)
        return report
