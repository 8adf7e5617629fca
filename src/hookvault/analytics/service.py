"""What happened: the questions on recorded calls."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hookvault.analytics import store
from hookvault.analytics.model import CallFilter, Summary, WebhookCall
from hookvault.analytics.retention.service import RetentionService
from hookvault.clock import now
from hookvault.db.codec import decode_json
from hookvault.db.pool import Database
from hookvault.errors import InvalidError, NotFoundError
from hookvault.ids import id_time, new_id
from hookvault.log import get_logger
from hookvault.paging import Page
from hookvault.tenants.history import require_history
from hookvault.webhooks import store as webhooks
from hookvault.webhooks.payload import encode_payload
from hookvault.webhooks.redact import shown

_log = get_logger()

DEFAULT_RANGE = timedelta(days=30)
_STATUS = re.compile(r"success|failed|[1-5]xx|[1-5][0-9]{2}")
_LONGEST_RANGE = timedelta(days=3660)


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
        self._retention = retention or RetentionService(database)

    async def create_webhook_analytics(self, tenant_id: str, call: OutsideCall) -> WebhookCall:
        """Keeps a call that was made outside Hookvault (its webhook's counters: `increment_webhook_stats`).

        Raises:
            NotFoundError: code `webhook_not_found`.
        """
        identifier = new_id()
        async with self._database.tenant(tenant_id) as tx:
            webhook, _ = await webhooks.get(tx, call.webhook_id)
        fields = {name: getattr(call, name) for name in OutsideCall.__slots__}
        altered = _hide(fields, webhook.policy)
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
            altered=altered,
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
        return await self._retention.drop_calls(days_to_keep)

    async def retain(self, days_to_keep: int) -> None:
        """Makes the coming days' partitions and drops those past retention. Safe in many processes at once.

        Deletes as well what tenants keep for a shorter time, and old figures of tenants that are gone.
        """
        await self.make_days()
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
        async with self._database.tenant(tenant_id) as tx:
            if not await webhooks.existed(tx, webhook_id):
                raise webhooks.not_found(str(webhook_id))
            which = CallFilter(start=await require_history(tx), webhook_id=webhook_id)
            return await store.list_calls(tx, which, limit=limit, cursor=cursor)

    async def list_tenant_calls(
        self, tenant_id: str, which: CallFilter, *, limit: int = 100, cursor: str | None = None
    ) -> Page[WebhookCall]:
        """A page of a tenant's calls, newest first; the last 30 days where the filter names no range.

        Raises:
            NotFoundError: code `tenant_not_found`.
            InvalidError: codes `invalid_range`, `invalid_cursor`, or an unknown status.
        """
        if which.status is not None and not _STATUS.fullmatch(which.status):
            raise InvalidError("status is success, failed, a class such as 5xx, or a code such as 404.")
        first, last = checked_range(which.start, which.end)
        async with self._database.tenant(tenant_id) as tx:
            since = await require_history(tx)
            which = replace(which, start=max(first, since), end=last)
            return await store.list_calls(tx, which, limit=limit, cursor=cursor)

    async def get_calls(self, tenant_id: str, call_ids: Sequence[UUID]) -> Sequence[WebhookCall]:
        """The recorded calls of these ids, oldest first; those past retention are missing."""
        async with self._database.tenant(tenant_id) as tx:
            found = [await store.find_call(tx, call_id) for call_id in call_ids]
        return [call for call in found if call is not None]

    async def get_call(self, tenant_id: str, call_id: UUID) -> WebhookCall:
        """One recorded call. Raises NotFoundError, code `call_not_found`."""
        async with self._database.tenant(tenant_id) as tx:
            since = await require_history(tx)
            call = await store.find_call(tx, call_id)
        if call is None or call.timestamp < since:
            raise NotFoundError(f"This tenant has no call {call_id}.", code="call_not_found")
        return call


def _hide(fields: dict[str, Any], policy: Mapping[str, Any]) -> bool:
    """Takes from a call's fields what its webhook's policy keeps out of records; whether there was anything."""
    hidden = False
    for name in ("request_payload", "response_body", "metadata"):
        if policy and fields[name] is not None:
            whole = encode_payload(fields[name])
            kept = shown(whole, [policy])
            if kept is not whole:
                fields[name], hidden = None if kept is None else decode_json(kept), True
    return hidden


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


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
