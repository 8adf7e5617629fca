"""What happened: the questions on recorded calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hookvault.analytics import store
from hookvault.analytics.figures import FiguresService
from hookvault.analytics.filter import check
from hookvault.analytics.model import CallFilter, Summary, WebhookCall
from hookvault.analytics.period import checked_range
from hookvault.analytics.retention.service import RetentionService
from hookvault.analytics.tail import store as tail
from hookvault.analytics.walk import Reader, list_page
from hookvault.clock import now
from hookvault.db.pool import Database
from hookvault.errors import NotFoundError
from hookvault.ids import id_time, new_id
from hookvault.log import get_logger
from hookvault.paging import Page
from hookvault.tenants.history import require_history
from hookvault.webhooks import store as webhooks
from hookvault.webhooks.model import CallRecord
from hookvault.webhooks.payload import encode_payload, storable
from hookvault.webhooks.record import write_calls
from hookvault.webhooks.redact import shown

_log = get_logger()

_PATIENCE_DAYS = 2
_AHEAD = timedelta(days=1)  # as far as another machine's clock may be ahead of ours


@dataclass(frozen=True, slots=True)
class OutsideCall:
    """A call made outside Hookvault, to be kept with the others. `response_time` is in ms; JSON values as Python has them."""

    webhook_id: UUID
    success: bool
    response_time: int
    status_code: int | None = None
    request_payload: Any = None
    response_body: Any = None
    error_code: str | None = None
    error_message: str | None = None
    triggered_by: str | None = None
    metadata: Any = None


class AnalyticsService:
    """The questions on recorded calls, asked alike by the API and Python. They stay answerable after a deletion."""

    def __init__(self, database: Database, retention: RetentionService | None = None) -> None:
        self._database = database
        self._figures = FiguresService(database)
        self._retention = retention or RetentionService(database)

    async def create_webhook_analytics(self, tenant_id: str, call: OutsideCall) -> WebhookCall:
        """Keeps a call that was made outside Hookvault (its webhook's counters: `increment_webhook_stats`).

        Raises:
            NotFoundError: code `webhook_not_found`.
            InvalidError: a value that can't be stored.
        """
        identifier = new_id()
        async with self._database.tenant(tenant_id) as tx:
            webhook, _ = await webhooks.get(tx, call.webhook_id)
        texts = [_json(value, webhook.policy) for value in (call.request_payload, call.response_body, call.metadata)]
        (payload, _), (body, _), (metadata, _) = texts
        record = CallRecord(
            tenant_id,
            identifier,
            call.webhook_id,
            id_time(identifier),
            payload,
            None,
            call.status_code,
            body,
            call.response_time,
            call.success,
            call.error_code,
            call.error_message,
            call.triggered_by,
            metadata,
            altered=any(altered for _, altered in texts),
        )
        await write_calls(self._database, [record], counted_already=True)
        return await self.get_call(tenant_id, identifier)

    async def get_webhook_analytics(self, tenant_id: str, webhook_id: UUID, limit: int = 100) -> Sequence[WebhookCall]:
        """The last calls of a webhook, newest first. Raises NotFoundError, code `webhook_not_found`."""
        return (await self.list_webhook_calls(tenant_id, webhook_id, limit=limit)).items

    async def get_webhook_analytics_by_tenant(
        self, tenant_id: str, start: datetime | None = None, end: datetime | None = None, *, limit: int = 1000
    ) -> Sequence[WebhookCall]:
        """A tenant's calls of a period, newest first; end exclusive, the last 30 days by default.

        Raises:
            NotFoundError: code `tenant_not_found`.
            InvalidError: code `invalid_range`.
        """
        return (await self.list_tenant_calls(tenant_id, CallFilter(start, end), limit=limit)).items

    async def get_webhook_analytics_summary(
        self,
        tenant_id: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        webhook_id: UUID | None = None,
    ) -> Summary:
        """A period's figures, beside those of the period before: `FiguresService.summarize`."""
        return await self._figures.summarize(tenant_id, start, end, webhook_id=webhook_id)

    async def delete_old_webhook_analytics(self, days_to_keep: int = 90) -> int:
        """Drops the days (UTC) that ended more than `days_to_keep` days ago, of all tenants; the number of calls dropped.

        Raises:
            InvalidError: fewer than 1 day.
        """
        return await self._retention.drop_calls(days_to_keep)

    async def retain(self, days_to_keep: int) -> None:
        """Makes the coming days' partitions and drops those past retention. Safe in many processes at once.

        Deletes as well what tenants keep for a shorter time, and old figures of tenants that are gone. What is not
        rolled up yet, since histograms and causes are made from the calls, is kept two days longer, and no more than that.
        """
        await self.make_days()
        if await self._retention.list_old(days_to_keep) and not await self._retention.is_rolled_up(days_to_keep):
            _log.warning("calls_kept_longer", reason="the rollups of their time are not built yet")
            days_to_keep += _PATIENCE_DAYS
        dropped = await self.delete_old_webhook_analytics(days_to_keep)
        if dropped:
            _log.info("old_calls_dropped", calls=dropped)
        await self._retention.prune_tenants(days_to_keep)
        await self._retention.prune_gone(days_to_keep)

    async def make_days(self, ahead: int = 7) -> None:
        """Makes the partitions for today and the days ahead."""
        await self._retention.make_days(ahead)

    async def list_webhook_calls(
        self, tenant_id: str, webhook_id: UUID, *, limit: int = 100, cursor: str | None = None
    ) -> Page[WebhookCall]:
        """A page of a webhook's calls, newest first. Raises NotFoundError, or InvalidError `invalid_cursor`."""
        asked = CallFilter(webhook_id=webhook_id, tenant_id=tenant_id)
        async with self._database.tenant(tenant_id) as tx:
            if not await webhooks.existed(tx, webhook_id):
                raise webhooks.not_found(str(webhook_id))
            which = replace(asked, start=await require_history(tx), end=now() + _AHEAD)
            return await list_page(tx, asked, which, limit=limit, cursor=cursor)

    async def list_tenant_calls(
        self, tenant_id: str, which: CallFilter, *, limit: int = 100, cursor: str | None = None
    ) -> Page[WebhookCall]:
        """A page of a tenant's calls, newest first; the last 30 days where the filter names no range.

        A page may be short where few of very many calls match; only `next_cursor` tells whether it is the last.

        Raises:
            NotFoundError: code `tenant_not_found`.
            InvalidError: codes `invalid_range`, `invalid_cursor`, or what no call can be asked for.
        """
        asked = replace(which, tenant_id=tenant_id)
        ranged = _ranged(asked)
        async with self._database.tenant(tenant_id) as tx:
            which = _since(ranged, await require_history(tx))
            return await list_page(tx, asked, which, limit=limit, cursor=cursor)

    async def list_platform_calls(
        self, which: CallFilter, *, limit: int = 100, cursor: str | None = None
    ) -> Page[WebhookCall]:
        """A page of all tenants' calls, newest first, as `list_tenant_calls`.

        This is the platform's own view: it shows the calls of deleted tenants too, and under a tenant's id those of a deleted
        tenant that had it before.

        Raises:
            InvalidError: codes `invalid_range`, `invalid_cursor`, or what no call can be asked for.
        """
        ranged = _ranged(which)
        async with self._database.system() as tx:
            return await list_page(tx, which, ranged, limit=limit, cursor=cursor)

    async def browse_calls(
        self, which: CallFilter, *, limit: int, cursor: str | None = None, within_s: float = 1.0
    ) -> Page[WebhookCall]:
        """A page as `list_platform_calls` gives it, of calls without what they sent and were answered: a list to look at.

        Raises:
            InvalidError: codes `invalid_range`, `invalid_cursor`, or what no call can be asked for.
        """
        ranged = _ranged(which)
        async with self._database.system() as tx:
            return await list_page(tx, which, ranged, limit=limit, cursor=cursor, browsed=within_s)

    async def read_tenant_calls(self, tenant_id: str, which: CallFilter) -> Reader:
        """All calls that `list_tenant_calls` would give page by page, up to the present moment, for an export.

        Raises:
            NotFoundError: code `tenant_not_found`.
            InvalidError: code `invalid_range`, or what no call can be asked for.
        """
        ranged = _ranged(replace(which, tenant_id=tenant_id))
        async with self._database.tenant(tenant_id) as tx:
            ranged = _since(ranged, await require_history(tx))
        return Reader(lambda: self._database.tenant(tenant_id), ranged)

    async def read_platform_calls(self, which: CallFilter) -> Reader:
        """All calls that `list_platform_calls` would give page by page. Raises InvalidError as that does."""
        return Reader(self._database.system, _ranged(which))

    async def get_calls(self, tenant_id: str, call_ids: Sequence[UUID]) -> Sequence[WebhookCall]:
        """The recorded calls of these ids, oldest first; those past retention are missing."""
        async with self._database.tenant(tenant_id) as tx:
            found = [await store.find_call(tx, call_id, tenant_id) for call_id in call_ids]
        return [call for call in found if call is not None]

    async def name_webhooks(self, webhooks: Sequence[tuple[str, UUID]]) -> Mapping[tuple[str, UUID], str]:
        """What webhooks are called, deleted ones included, by tenant and webhook; those that never were are missing."""
        if not webhooks:
            return {}
        async with self._database.system_statement() as tx:
            found = await tail.get_names(tx, webhooks)
        return {key: named.workflow_name for key, named in found.items() if named.workflow_name is not None}

    async def get_call(self, tenant_id: str, call_id: UUID) -> WebhookCall:
        """One recorded call. Raises NotFoundError, code `call_not_found`."""
        async with self._database.tenant(tenant_id) as tx:
            since = await require_history(tx)
            call = await store.find_call(tx, call_id, tenant_id)
        if call is None or call.timestamp < since:
            raise NotFoundError(f"This tenant has no call {call_id}.", code="call_not_found")
        return call

    async def get_platform_call(self, call_id: UUID) -> WebhookCall:
        """One recorded call, whatever its tenant. Raises NotFoundError, code `call_not_found`."""
        async with self._database.system() as tx:
            await store.settle_plans(tx)
            call = await store.find_call(tx, call_id)
        if call is None:
            raise NotFoundError(f"There is no call {call_id}.", code="call_not_found")
        return call


def _ranged(which: CallFilter) -> CallFilter:
    """The filter, found fit, with both ends of its range."""
    check(which)
    first, last = checked_range(which.start, which.end)
    return replace(which, start=first, end=last)


def _since(which: CallFilter, since: datetime) -> CallFilter:
    return replace(which, start=since if which.start is None else max(which.start, since))


def _json(value: Any, policy: Mapping[str, Any]) -> tuple[bytes | None, bool]:
    """A value as the record keeps it under its webhook's policy, and whether it had to be altered."""
    if value is None:
        return None, False
    whole, altered = storable(encode_payload(value))
    kept = shown(whole, [policy])
    return kept, altered or kept is not whole
