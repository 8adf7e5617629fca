"""All SQL that reads recorded calls."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from hookvault.analytics.cause import cause_sql
from hookvault.analytics.model import CallFilter, WebhookCall
from hookvault.db.codec import decode_json
from hookvault.db.pool import Row, Tx
from hookvault.ids import id_time
from hookvault.webhooks.payload import response_json
from hookvault.webhooks.redact import shown

_SELECT = """
SELECT a.id, a.tenant_id, a.webhook_id, w.workflow_name, a."timestamp", a.request_payload, a.request_headers, a.status_code,
    a.response_body, a.response_time, a.success, a.error_code, a.error_message, a.triggered_by, a.metadata, a.delivery_id,
    a.attempt, a.retry_of, a.altered, a.expunged_at, a.resolve_ms, a.connect_ms, a.tls_ms, a.wait_ms, w.policy
FROM webhook_analytics a LEFT JOIN n8n_webhooks w ON w.tenant_id = a.tenant_id AND w.id = a.webhook_id
WHERE """

# The same without what may be long, for whoever only looks at a list.
_BARE = _SELECT
for _long in ("request_payload", "request_headers", "response_body", "metadata"):
    _BARE = _BARE.replace(f"a.{_long}", f"NULL AS {_long}")

# By itself, with the time that the id tells: a join would have to look into every day, since row-level security lets no
# function but a leakproof one choose.
_PAYLOADS = """
SELECT d.tenant_id, d.id, d.payload, d.expunged_at, d.kept_policy
FROM unnest($1::text[], $2::timestamptz[], $3::uuid[]) AS wanted (tenant_id, accepted_at, id)
JOIN webhook_deliveries d ON d.tenant_id = wanted.tenant_id AND d.accepted_at = wanted.accepted_at AND d.id = wanted.id
"""

_NEWEST_FIRST = ' ORDER BY a."timestamp" DESC, a.id DESC LIMIT '

# What a filter's field has to do with a call.
_COMPARED = {
    "tenant_id": "a.tenant_id = {}",
    "start": 'a."timestamp" >= {}',
    "end": 'a."timestamp" < {}',
    "webhook_id": "a.webhook_id = {}",
    "triggered_by": "a.triggered_by = {}",
    "min_time": "a.response_time >= {}",
    "max_time": "a.response_time <= {}",
    "call_id": "{0} IN (a.id, a.retry_of, a.delivery_id)",
}
_CAUSE = cause_sql("a")

_ONE = 'a."timestamp" = $1 AND a.id = $2'

# Newest first means along an index and nothing else: whatever reads all that match and sorts it is wrong however few match
# by the statistics. Values are planned for, since they tell which partial index and which days suffice.
_SETTLE = """
SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off;
SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_material = off
"""

# A call's retries begin within three minutes of it; a delivery's calls until it is finished, and one that lost its lease
# a little later.
_SPAN = """
SELECT tenant_id, "timestamp" + interval '180 seconds' AS until FROM webhook_analytics
WHERE "timestamp" = $1 AND id = $2 AND ($3::text IS NULL OR tenant_id = $3)
UNION ALL
SELECT tenant_id, coalesce(finished_at, clock_timestamp()) + interval '180 seconds' FROM webhook_deliveries
WHERE accepted_at = $1 AND id = $2 AND ($3::text IS NULL OR tenant_id = $3)
LIMIT 1
"""


def calls_statement(
    which: CallFilter, after: tuple[datetime, UUID] | None, limit: int, *, bare: bool = False
) -> tuple[str, list[Any]]:
    """The statement for up to `limit` calls of a filter, newest first, before a position; and its values."""
    values: list[Any] = []
    conditions = list(_conditions(which, values))
    if after is not None:
        conditions.append(f'(a."timestamp", a.id) < ({_next(values, after[0])}, {_next(values, after[1])})')
    return "".join(
        [_BARE if bare else _SELECT, " AND ".join(conditions or ["true"]), _NEWEST_FIRST, str(limit)]
    ), values


async def settle_plans(tx: Tx) -> None:
    """For the rest of the transaction, plans follow the indexes that give the calls newest first."""
    await tx.execute(_SETTLE)


async def list_calls(
    tx: Tx, which: CallFilter, after: tuple[datetime, UUID] | None, limit: int, *, bare: bool = False
) -> Sequence[WebhookCall]:
    """Up to `limit` calls of a filter, newest first, before a position. Of all tenants, where the filter names none.

    Bare ones have neither payload, headers, body nor metadata.
    """
    statement, values = calls_statement(which, after, limit, bare=bare)
    rows = await tx.fetch(statement, *values)
    return [_call(row, None) for row in rows] if bare else await _calls(tx, rows)


async def find_call(tx: Tx, call_id: UUID, tenant_id: str | None = None) -> WebhookCall | None:
    """One call by its id, which names its day too; None when there is none, or none of this tenant."""
    moment = _moment(call_id)
    if moment is None:
        return None
    if tenant_id is None:
        row = await tx.fetchrow(_SELECT + _ONE, moment, call_id)
    else:
        row = await tx.fetchrow(_SELECT + _ONE + " AND a.tenant_id = $3", moment, call_id, tenant_id)
    return None if row is None else (await _calls(tx, [row]))[0]


async def find_span(tx: Tx, identifier: UUID, tenant_id: str | None) -> tuple[str, datetime, datetime] | None:
    """The tenant of a call or delivery, and from when to when its calls can have been made; None when there is none."""
    moment = _moment(identifier)
    if moment is None:
        return None
    row = await tx.fetchrow(_SPAN, moment, identifier, tenant_id)
    return None if row is None else (row["tenant_id"], moment, row["until"])


async def _calls(tx: Tx, rows: Sequence[Row]) -> list[WebhookCall]:
    """Calls from their rows; one of a delivery shows the delivery's payload, which is stored once for all its calls."""
    wanted = {(row["tenant_id"], row["delivery_id"]) for row in rows if row["delivery_id"] is not None}
    deliveries: dict[tuple[str, UUID], Row] = {}
    if timed := [(tenant_id, moment, key) for tenant_id, key in wanted if (moment := _moment(key)) is not None]:
        found = await tx.fetch(_PAYLOADS, *map(list, zip(*timed, strict=True)))
        deliveries = {(row["tenant_id"], row["id"]): row for row in found}
    return [_call(row, deliveries.get((row["tenant_id"], row["delivery_id"]))) for row in rows]


def _call(row: Row, delivery: Row | None) -> WebhookCall:
    """A call; one of a delivery shows what may be seen of the delivery's payload."""
    fields = {name: row[name] for name in WebhookCall.__slots__}
    if fields["expunged_at"] is not None or delivery is None:
        return WebhookCall(**fields)
    fields["altered"] = fields["altered"] or delivery["expunged_at"] is not None
    payload = delivery["payload"]
    if payload is not None:
        whole, altered = response_json(payload, truncated=False)
        kept = shown(whole, (row["policy"], delivery["kept_policy"]))
        fields["request_payload"] = None if kept is None else decode_json(kept)
        fields["altered"] = fields["altered"] or altered or kept is not whole
    return WebhookCall(**fields)


def _conditions(which: CallFilter, values: list[Any]) -> Iterator[str]:
    """The SQL conditions of a filter; what they are numbered for is added to the values."""
    for name, condition in _COMPARED.items():
        value = getattr(which, name)
        if value is not None:
            yield condition.format(_next(values, value))
    status = which.status or ""
    if status == "success":
        yield "a.success"
    elif which.cause is not None or status.startswith(("f", "1", "3", "4", "5")):
        yield "NOT a.success"  # by itself, so that the index of failures is known to hold all that is asked for
    if status[:1].isdigit():
        first, last = (int(status.replace("xx", digits)) for digits in ("00", "99"))
        yield f"a.status_code BETWEEN {_next(values, first)} AND {_next(values, last)}"
    if which.cause is not None:
        yield f"{_CAUSE} = {_next(values, which.cause)}"


def _next(values: list[Any], value: Any) -> str:
    values.append(value)
    return f"${len(values)}"


def _moment(identifier: UUID) -> datetime | None:
    try:
        return id_time(identifier)
    except (OverflowError, ValueError):  # a UUID of another kind, whose first bits name a year past 9999
        return None
