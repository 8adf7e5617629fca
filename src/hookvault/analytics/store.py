"""All SQL that reads recorded calls."""

from typing import Any
from uuid import UUID

from hookvault.analytics.model import CallFilter, WebhookCall
from hookvault.clock import iso
from hookvault.db.codec import decode_json
from hookvault.db.pool import Row, TenantTx
from hookvault.ids import id_time
from hookvault.paging import Page, cut, encode_cursor, time_id_cursor
from hookvault.webhooks.payload import response_json
from hookvault.webhooks.redact import shown

_CURSOR = "calls"

_SELECT = """
SELECT a.id, a.tenant_id, a.webhook_id, w.workflow_name, a."timestamp", a.request_payload, a.request_headers, a.status_code,
    a.response_body, a.response_time, a.success, a.error_code, a.error_message, a.triggered_by, a.metadata, a.delivery_id,
    a.attempt, a.retry_of, a.altered, a.expunged_at, d.payload AS delivery_payload, d.expunged_at AS delivery_expunged_at,
    w.policy, d.kept_policy
FROM webhook_analytics a LEFT JOIN n8n_webhooks w ON w.tenant_id = a.tenant_id AND w.id = a.webhook_id
LEFT JOIN webhook_deliveries d ON a.delivery_id IS NOT NULL AND d.tenant_id = a.tenant_id AND d.id = a.delivery_id
    AND d.accepted_at = hookvault_id_time(a.delivery_id)
WHERE a.tenant_id = $1
"""

_NEWEST_FIRST = ' ORDER BY a."timestamp" DESC, a.id DESC LIMIT '


async def list_calls(tx: TenantTx, which: CallFilter, *, limit: int, cursor: str | None = None) -> Page[WebhookCall]:
    """A page of calls, newest first. Raises InvalidError for a foreign cursor."""
    conditions, values = _conditions(which)
    after = time_id_cursor(_CURSOR, cursor)
    if after is not None:
        values += after
        conditions.append(f'(a."timestamp", a.id) < (${len(values)}, ${len(values) + 1})')  # numbered from $2
    statement = "".join([_SELECT, *[f" AND {condition}" for condition in conditions], _NEWEST_FIRST, str(limit + 1)])
    rows = await tx.fetch(statement, tx.tenant_id, *values)
    return cut([_call(row) for row in rows], limit, _cursor_of)


async def find_call(tx: TenantTx, call_id: UUID) -> WebhookCall | None:
    """One call by its id, which names its day too; None when there is none."""
    try:
        moment = id_time(call_id)
    except (OverflowError, ValueError):  # a UUID of another kind, whose first bits name a year past 9999
        return None
    row = await tx.fetchrow(_SELECT + ' AND a."timestamp" = $2 AND a.id = $3', tx.tenant_id, moment, call_id)
    return None if row is None else _call(row)


def _call(row: Row) -> WebhookCall:
    """A call; one of a delivery shows what may be seen of the delivery's payload, which is stored once for all its calls."""
    fields = {name: row[name] for name in WebhookCall.__slots__}
    if fields["expunged_at"] is not None:
        return WebhookCall(**fields)
    payload = row["delivery_payload"]
    fields["altered"] = fields["altered"] or row["delivery_expunged_at"] is not None
    if payload is not None:
        whole, altered = response_json(payload, truncated=False)
        kept = shown(whole, (row["policy"], row["kept_policy"]))
        fields["request_payload"] = None if kept is None else decode_json(kept)
        fields["altered"] = fields["altered"] or altered or kept is not whole
    return WebhookCall(**fields)


def _conditions(which: CallFilter) -> tuple[list[str], list[Any]]:
    """The SQL conditions of a filter and their values, numbered from $2."""
    conditions: list[str] = []
    values: list[Any] = []

    def add(condition: str, value: Any) -> None:
        values.append(value)
        conditions.append(condition.format(f"${len(values) + 1}"))

    if which.start is not None:
        add('a."timestamp" >= {}', which.start)
    if which.end is not None:
        add('a."timestamp" < {}', which.end)
    if which.webhook_id is not None:
        add("a.webhook_id = {}", which.webhook_id)
    if which.triggered_by is not None:
        add("a.triggered_by = {}", which.triggered_by)
    if which.status in ("success", "failed"):
        add("a.success = {}", which.status == "success")
    elif which.status is not None and which.status.endswith("xx"):
        add("a.status_code / 100 = {}", int(which.status[0]))
    elif which.status is not None:
        add("a.status_code = {}", int(which.status))
    return conditions, values


def _cursor_of(call: WebhookCall) -> str:
    return encode_cursor(_CURSOR, iso(call.timestamp), str(call.id))
