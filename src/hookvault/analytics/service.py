"""What happened: the questions on recorded calls."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hookvault.analytics import store
from hookvault.analytics.filter import check
from hookvault.analytics.model import CallFilter, Summary, WebhookCall
from hookvault.analytics.walk import Reader, list_page
from hookvault.clock import now
from hookvault.db.pool import Database
from hookvault.errors import InvalidError, NotFoundError
from hookvault.ids import id_time, new_id
from hookvault.log import get_logger
from hookvault.paging import Page
from hookvault.tenants.history import require_history
from hookvault.webhooks import store as webhooks

_log = get_logger()

DEFAULT_RANGE = timedelta(days=30)
_LONGEST_RANGE = timedelta(days=3660)
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

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_webhook_analytics(self, tenant_id: str, call: OutsideCall) -> WebhookCall:
        """Keeps a call that was made outside Hookvault (its webhook's counters: `increment_webhook_stats`).

        Raises:
            NotFoundError: code `webhook_not_found`.
        """
        identifier = new_id()
        async with self._database.tenant(tenant_id) as tx:
            webhook, _ = await webhooks.get(tx, call.webhook_id)
        fields = {name: getattr(call, name) for name in OutsideCall.__slots__}
        kept = WebhookCall(
            **fields,
            id=identifier,
            tenant_id=tenant_id,
            workflow_name=webhook.workflow_name,
            timestamp=id_time(identifier),
            request_headers=None,
            delivery_id=None,
            attempt=1,
            retry_of=None,
            altered=False,
        )
        async with self._database.system() as system:
            await store.insert_call(system, kept)
        return kept

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
        """A period's figures with exact percentiles, beside the period before. Includes calls of a moment ago.

        Raises:
            NotFoundError: code `tenant_not_found`.
            InvalidError: code `invalid_range`.
        """
        first, last = checked_range(start, end)
        async with self._database.tenant(tenant_id) as tx:
            since = await require_history(tx)
            before = first - (last - first)
            figures = await store.summarize(tx, max(first, since), last, webhook_id)
            previous = await store.summarize(tx, max(before, since), first, webhook_id)
        return Summary(first, last, figures, previous)

    async def delete_old_webhook_analytics(self, days_to_keep: int = 90) -> int:
        """Drops the days (UTC) that ended more than `days_to_keep` days ago, of all tenants; the number of calls dropped.

        Raises:
            InvalidError: fewer than 1 day.
        """
        if not 1 <= days_to_keep <= 36500:
            raise InvalidError("At least 1 day of calls is kept.")
        async with self._database.system() as tx:
            return await store.drop_days(tx, (datetime.now(UTC) - timedelta(days=days_to_keep)).date())

    async def retain(self, days_to_keep: int) -> None:
        """Makes the coming days' partitions and drops those past retention. Safe in many processes at once."""
        await self.make_days()
        dropped = await self.delete_old_webhook_analytics(days_to_keep)
        if dropped:
            _log.info("old_calls_dropped", calls=dropped)

    async def make_days(self, ahead: int = 7) -> None:
        """Makes the partitions for today and the days ahead."""
        today = datetime.now(UTC).date()
        async with self._database.system() as tx:
            await store.make_days(tx, [today + timedelta(days=n) for n in range(ahead + 1)])

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


def checked_range(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """A half-open range: the end is now by default (calls of this very moment included), the start 30 days before it.

    Raises:
        InvalidError: code `invalid_range`, when it ends before it starts or is longer than ten years.
    """
    try:
        last = _aware(end) if end else now() + timedelta(milliseconds=1)
        first = _aware(start) if start else last - DEFAULT_RANGE
        if first >= last or last - first > _LONGEST_RANGE:
            raise ValueError
        _ = first - (last - first)  # the period before must exist too
    except (OverflowError, ValueError):
        raise InvalidError(
            "The range must start before it ends, and span ten years or less.", code="invalid_range"
        ) from None
    return first, last


def _ranged(which: CallFilter) -> CallFilter:
    """The filter, found fit, with both ends of its range."""
    check(which)
    first, last = checked_range(which.start, which.end)
    return replace(which, start=first, end=last)


def _since(which: CallFilter, since: datetime) -> CallFilter:
    return replace(which, start=since if which.start is None else max(which.start, since))


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
