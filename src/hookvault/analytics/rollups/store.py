"""All SQL that reads rollups, and the calls themselves where no rollup reaches."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from hookvault.analytics.cause import cause_sql
from hookvault.analytics.rollups.histogram import BUCKET_SQL
from hookvault.analytics.rollups.model import ALL_WEBHOOKS, Over, Scope
from hookvault.db.pool import Row, SystemTx, TenantTx, Tx

_PROGRESS = "SELECT built_until FROM webhook_rollup_progress WHERE id"

_DUE = "SELECT span, start FROM webhook_spans_due WHERE start >= $1 AND start < $2"


_IS_DUE = "SELECT EXISTS (SELECT FROM webhook_spans_due WHERE start < $1)"


class _Shape(NamedTuple):
    """How a scope is written in SQL: who is in it, and by what its answers are told apart."""

    spans: str  # which rollups, `s`
    minutes: str  # which minutes, `m`
    calls: str  # which calls, `a`
    key: str  # of an answer, a column of any of the three


_NIL = f"'{ALL_WEBHOOKS}'::uuid"
_SOME = "{0}.tenant_id = $1::text AND {0}.webhook_id = ANY($2::uuid[])"
_TENANT = "{0}.tenant_id = $1::text AND $2::uuid[] IS NOT NULL"
_ALL = "$1::text IS NOT NULL AND $2::uuid[] IS NOT NULL"
_TOTAL = f"s.tenant_id = $1::text AND s.webhook_id = {_NIL} AND $2::uuid[] IS NOT NULL"
_ONE_ANSWER = "NULL::text"

# $1 is the scope's tenant and $2 its webhooks; where one is not needed it is named all the same, so that it has a type.
_SHAPES: Mapping[Over, _Shape] = {
    Over.WEBHOOK: _Shape(_SOME.format("s"), _SOME.format("m"), _SOME.format("a"), _ONE_ANSWER),
    Over.WEBHOOKS: _Shape(_SOME.format("s"), _SOME.format("m"), _SOME.format("a"), "webhook_id"),
    Over.TENANT: _Shape(_TOTAL, _TENANT.format("m"), _TENANT.format("a"), _ONE_ANSWER),
    Over.PLATFORM: _Shape(_TOTAL, _ALL, _ALL, _ONE_ANSWER),
    Over.TENANTS: _Shape(f"s.webhook_id = {_NIL} AND s.tenant_id <> '' AND {_ALL}", _ALL, _ALL, "tenant_id"),
}

_COUNTERS = """total_calls, successful_calls, failed_calls, response_time_sum, response_time_max"""
_HISTOGRAM = "buckets, bucket_calls"
_ERRORS = "error_causes, error_codes, error_statuses, error_calls, error_last_at"

# All minutes of a time are found by their webhooks, since the key of the table begins with these.
_MINUTES = """
SELECT {key} AS key, width_bucket(m.minute, $5::timestamptz[]) - 1 AS point, sum(m.total_calls)::bigint AS total_calls,
    sum(m.successful_calls)::bigint AS successful_calls, sum(m.failed_calls)::bigint AS failed_calls,
    sum(m.response_time_sum)::bigint AS response_time_sum, max(m.response_time_max) AS response_time_max
FROM n8n_webhook_counters c
CROSS JOIN unnest($3::timestamptz[], $4::timestamptz[]) AS r (first, last)
JOIN webhook_call_rollups m ON m.tenant_id = c.tenant_id AND m.webhook_id = c.webhook_id
    AND m.minute >= r.first AND m.minute < r.last
WHERE c.last_called_at >= r.first AND {which}
GROUP BY 1, 2
"""

# Calls by bucket. Those outside the whole minutes $5 to $6 are counted here, the others by their minutes.
_CALLS = """
SELECT {key} AS key, width_bucket(a."timestamp", $7::timestamptz[]) - 1 AS point, {bucket} AS bucket, count(*) AS calls,
    count(*) FILTER (WHERE {edge}) AS total_calls, count(*) FILTER (WHERE {edge} AND a.success) AS successful_calls,
    count(*) FILTER (WHERE {edge} AND NOT a.success) AS failed_calls,
    coalesce(sum(a.response_time) FILTER (WHERE {edge}), 0)::bigint AS response_time_sum,
    coalesce(max(a.response_time) FILTER (WHERE {edge}), 0) AS response_time_max
FROM webhook_analytics a
WHERE {which} AND a."timestamp" >= $3 AND a."timestamp" < $4
GROUP BY 1, 2, 3
""".replace("{edge}", '(a."timestamp" < $5 OR a."timestamp" >= $6)')

_FAILED = f"""
SELECT {{key}} AS key, width_bucket(a."timestamp", $5::timestamptz[]) - 1 AS point, {cause_sql("a")} AS cause, a.error_code,
    a.status_code, count(*) AS calls, max(a."timestamp") AS last_at
FROM webhook_analytics a
WHERE {{which}} AND NOT a.success AND a."timestamp" >= $3 AND a."timestamp" < $4
GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608 - constants only


_WEBHOOKS = """
SELECT c.webhook_id, w.workflow_name, w.is_active, w.deleted_at, c.last_called_at,
    EXISTS (SELECT FROM delivery_holds h WHERE h.tenant_id = c.tenant_id AND h.webhook_id = c.webhook_id
        AND h.reason = 'circuit_open' AND h.until IS NULL) AS circuit_open
FROM n8n_webhook_counters c JOIN n8n_webhooks w ON w.tenant_id = c.tenant_id AND w.id = c.webhook_id
WHERE c.tenant_id = $1
"""

_NAMES = "SELECT id, name, status FROM tenants WHERE id = ANY($1::text[])"


async def list_webhooks(tx: TenantTx) -> Sequence[Row]:
    """The tenant's webhooks, deleted ones too, with what their health depends on."""
    return await tx.fetch(_WEBHOOKS, tx.tenant_id)


async def list_tenants(tx: SystemTx, tenant_ids: Sequence[str]) -> Sequence[Row]:
    """Names and states of tenants; those that were deleted are missing."""
    return await tx.fetch(_NAMES, tenant_ids)


async def built_until(tx: Tx) -> datetime | None:
    """Until when rollups are built; None when none is."""
    moment = await tx.fetchval(_PROGRESS)
    return None if moment is None or moment.year == 1 else moment


async def is_due(tx: Tx, before: datetime) -> bool:
    """Whether any rollup that begins before a moment is still to be built."""
    return bool(await tx.fetchval(_IS_DUE, before))


async def list_due(tx: Tx, scope: Scope, first: datetime, last: datetime) -> Sequence[tuple[int, datetime]]:
    """The rollups of a time that may not be read, as (span, start)."""
    if scope.over in (Over.PLATFORM, Over.TENANTS):
        rows = await tx.fetch(_DUE, first, last)
    else:
        rows = await tx.fetch(_DUE + " AND tenant_id = $3", first, last, scope.tenant_id)
    return [(row["span"], row["start"]) for row in rows]


async def list_spans(
    tx: Tx, scope: Scope, ranges: Sequence[tuple[int, datetime, datetime]], *, histogram: bool, errors: bool
) -> Sequence[Row]:
    """Rollups within ranges of (span, first, last): key, start, counters, and what else is wanted."""
    shape = _SHAPES[scope.over]
    columns = [_COUNTERS, *([_HISTOGRAM] if histogram else []), *([_ERRORS] if errors else [])]
    statement = (
        f"SELECT {_key(shape, 's')} AS key, s.start, {', '.join(columns)} "  # noqa: S608 - constants only
        "FROM unnest($3::smallint[], $4::timestamptz[], $5::timestamptz[]) AS r (span, first, last) "
        f"JOIN webhook_call_spans s ON s.span = r.span AND s.start >= r.first AND s.start < r.last WHERE {shape.spans}"
    )
    spans, firsts, lasts = zip(*ranges, strict=True)
    return await tx.fetch(statement, scope.tenant_id, scope.webhooks, spans, firsts, lasts)


async def list_minutes(
    tx: Tx, scope: Scope, ranges: Sequence[tuple[datetime, datetime]], bounds: Sequence[datetime]
) -> Sequence[Row]:
    """Counters from the minutes within ranges, by key and point (the number of the bound before them)."""
    shape = _SHAPES[scope.over]
    statement = _MINUTES.format(key=_key(shape, "m"), which=shape.minutes)
    firsts, lasts = zip(*ranges, strict=True)
    return await tx.fetch(statement, scope.tenant_id, scope.webhooks, firsts, lasts, bounds)


class Stretch(NamedTuple):
    """A range of calls: [first, last), of which the minutes inner_first to inner_last are counted elsewhere."""

    first: datetime
    last: datetime
    inner_first: datetime
    inner_last: datetime


async def list_calls(
    tx: Tx, scope: Scope, stretch: Stretch, bounds: Sequence[datetime], *, histogram: bool
) -> Sequence[Row]:
    """Calls of a stretch by key, point and bucket, with counters of those outside the inner minutes."""
    shape = _SHAPES[scope.over]
    bucket = BUCKET_SQL.format("a.response_time") if histogram else "0"
    statement = _CALLS.format(key=_key(shape, "a"), which=shape.calls, bucket=bucket)
    return await tx.fetch(statement, scope.tenant_id, scope.webhooks, *stretch, bounds)


async def list_failed(
    tx: Tx, scope: Scope, first: datetime, last: datetime, bounds: Sequence[datetime]
) -> Sequence[Row]:
    """Failed calls of a range by key, point, cause, code and status."""
    shape = _SHAPES[scope.over]
    statement = _FAILED.format(key=_key(shape, "a"), which=shape.calls)
    return await tx.fetch(statement, scope.tenant_id, scope.webhooks, first, last, bounds)


def _key(shape: _Shape, table: str) -> str:
    return shape.key if "::" in shape.key else f"{table}.{shape.key}"


def counters(row: Row) -> tuple[int, int, int, int, int]:
    """A row's total, successful, failed, sum of response times, and the longest."""
    return (
        row["total_calls"],
        row["successful_calls"],
        row["failed_calls"],
        row["response_time_sum"],
        row["response_time_max"],
    )
