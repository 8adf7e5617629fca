"""All SQL that reads rollups, and the calls themselves where no rollup reaches."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from hookvault.analytics.cause import cause_sql
from hookvault.analytics.rollups.histogram import BUCKET_SQL
from hookvault.analytics.rollups.model import ALL_WEBHOOKS, Over, Scope
from hookvault.db.pool import Row, SystemTx, TenantTx, Tx

# The system's connections keep plans that suit the queue; here most of a table's part is read and joined. Merge joins would be
# on one column of three, where the planner expects few rows; starting parallel workers takes longer than most answers do.
_PLAN_FOR_READING = """SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL enable_seqscan = on;
SET LOCAL enable_bitmapscan = on; SET LOCAL enable_material = on; SET LOCAL enable_hashjoin = on;
SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off"""

_PROGRESS = """
SELECT p.built_until, d.span, d.start FROM webhook_rollup_progress p LEFT JOIN webhook_spans_due d
    ON d.span = ANY('{5,60,1440}'::smallint[]) AND d.start >= $1 AND d.start < $2 <whose>
WHERE p.id
"""

_BUILT_UNTIL = "SELECT built_until FROM webhook_rollup_progress WHERE id"

_IS_DUE = """
SELECT EXISTS (SELECT FROM webhook_spans_due WHERE span = ANY('{5,60,1440}'::smallint[]) AND start < $1)
"""


class _Shape(NamedTuple):
    """How a scope is written in SQL: who is in it, and by what its answers are told apart."""

    spans: str  # which rollups, `s`
    webhooks: str  # whose minutes, `c`
    calls: str  # which calls, `a`
    key: str  # of an answer, a column of any of the three
    each: str = ""  # what the rollups of a range are looked up by besides


_NIL = f"'{ALL_WEBHOOKS}'::uuid"
_SOME = "{0}.tenant_id = $1::text AND {0}.webhook_id = ANY($2::uuid[])"
_TENANT = "{0}.tenant_id = $1::text AND $2::uuid[] IS NOT NULL"
_ALL = "$1::text IS NOT NULL AND $2::uuid[] IS NOT NULL"
_TOTAL = f"s.tenant_id = $1::text AND s.webhook_id = {_NIL} AND $2::uuid[] IS NOT NULL"
_ONE = "s.tenant_id = $1::text AND s.webhook_id = w.webhook_id"
_EACH = "CROSS JOIN unnest($2::uuid[]) AS w (webhook_id)"
_ONE_ANSWER = "NULL::text"

_AMONG = "{0}.tenant_id = ANY(string_to_array($1::text, ','))"
_THEIRS = f"{_AMONG} AND {{0}}.webhook_id = ANY($2::uuid[])"
_EACH_TENANT = "CROSS JOIN unnest(string_to_array($1::text, ',')) AS t (tenant_id)"
_EACH_OF_THEIRS = """CROSS JOIN (SELECT * FROM n8n_webhook_counters
    WHERE tenant_id = ANY(string_to_array($1::text, ',')) AND webhook_id = ANY($2::uuid[])) w"""
_BOTH = "s.tenant_id = w.tenant_id AND s.webhook_id = w.webhook_id"
_WHOLE = f"s.tenant_id = t.tenant_id AND s.webhook_id = {_NIL} AND $2::uuid[] IS NOT NULL"
_ALL_OF_SOME = f"{_AMONG} AND $2::uuid[] IS NOT NULL"

# $1 is the scope's tenant and $2 its webhooks; where one is not needed it is named all the same, so that it has a type.
_SHAPES: Mapping[Over, _Shape] = {
    Over.WEBHOOK: _Shape(_ONE, _SOME.format("c"), _SOME.format("a"), _ONE_ANSWER, _EACH),
    Over.WEBHOOKS: _Shape(_ONE, _SOME.format("c"), _SOME.format("a"), "webhook_id", _EACH),
    Over.TENANT: _Shape(_TOTAL, _TENANT.format("c"), _TENANT.format("a"), _ONE_ANSWER),
    Over.PLATFORM: _Shape(_TOTAL, _ALL, _ALL, _ONE_ANSWER),
    Over.SOME_TENANTS: _Shape(_WHOLE, _ALL_OF_SOME.format("c"), _ALL_OF_SOME.format("a"), "tenant_id", _EACH_TENANT),
    Over.THEIR_WEBHOOKS: _Shape(_BOTH, _THEIRS.format("c"), _THEIRS.format("a"), "webhook_id", _EACH_OF_THEIRS),
    Over.TENANTS: _Shape(f"s.webhook_id = {_NIL} AND s.tenant_id <> '' AND {_ALL}", _ALL, _ALL, "tenant_id"),
}

_COUNTERS = """total_calls, successful_calls, failed_calls, response_time_sum, response_time_max"""
_HISTOGRAM = "buckets, bucket_calls"
_ERRORS = "error_causes, error_codes, error_statuses, error_calls, error_last_at"

# OFFSET 0 keeps the planner from reading all of a table at once where a few short stretches of its index are meant.
_SPANS = """
SELECT {columns}
FROM unnest($3::smallint[], $4::timestamptz[], $5::timestamptz[]) AS r (span, first, last) {each}
CROSS JOIN LATERAL (SELECT * FROM webhook_call_spans s
    WHERE {which} AND s.span = r.span AND s.start >= r.first AND s.start < r.last OFFSET 0) s
"""

_SPAN_COUNTERS = """
SELECT {key} AS key, width_bucket(s.start, $6::timestamptz[]) - 1 AS point, sum(s.total_calls)::bigint AS total_calls,
    sum(s.successful_calls)::bigint AS successful_calls, sum(s.failed_calls)::bigint AS failed_calls,
    sum(s.response_time_sum)::bigint AS response_time_sum, max(s.response_time_max) AS response_time_max
FROM ({spans}) s GROUP BY 1, 2
"""

_SPAN_HISTOGRAMS = """
SELECT key, point, array_agg(bucket) AS buckets, array_agg(calls) AS bucket_calls FROM (
    SELECT {key} AS key, width_bucket(s.start, $6::timestamptz[]) - 1 AS point, u.bucket, sum(u.calls)::integer AS calls
    FROM ({spans}) s CROSS JOIN unnest(s.buckets, s.bucket_calls) AS u (bucket, calls) GROUP BY 1, 2, 3
) merged GROUP BY 1, 2
"""

# All minutes of a time are found by their webhooks, since the key of the table begins with these.
_MINUTES = """
SELECT {key} AS key, width_bucket(m.minute, $5::timestamptz[]) - 1 AS point, sum(m.total_calls)::bigint AS total_calls,
    sum(m.successful_calls)::bigint AS successful_calls, sum(m.failed_calls)::bigint AS failed_calls,
    sum(m.response_time_sum)::bigint AS response_time_sum, max(m.response_time_max) AS response_time_max
FROM n8n_webhook_counters c
CROSS JOIN unnest($3::timestamptz[], $4::timestamptz[]) AS r (first, last)
CROSS JOIN LATERAL (SELECT * FROM webhook_call_rollups m WHERE m.tenant_id = c.tenant_id AND m.webhook_id = c.webhook_id
    AND m.minute >= r.first AND m.minute < r.last OFFSET 0) m
WHERE c.last_called_at >= r.first AND {which}
GROUP BY 1, 2
"""

# Calls by bucket. Those outside the whole minutes {{2}} to {{3}} are counted here, the others by their minutes.
_CALLS = """
SELECT {key} AS key, width_bucket(a."timestamp", $3::timestamptz[]) - 1 AS point, {bucket} AS bucket, count(*) AS calls,
    count(*) FILTER (WHERE <edge>) AS total_calls, count(*) FILTER (WHERE <edge> AND a.success) AS successful_calls,
    count(*) FILTER (WHERE <edge> AND NOT a.success) AS failed_calls,
    coalesce(sum(a.response_time) FILTER (WHERE <edge>), 0)::bigint AS response_time_sum,
    coalesce(max(a.response_time) FILTER (WHERE <edge>), 0) AS response_time_max
FROM webhook_analytics a
WHERE {which} AND a."timestamp" >= {{0}} AND a."timestamp" < {{1}}
GROUP BY 1, 2, 3
""".replace("<edge>", '(a."timestamp" < {{2}} OR a."timestamp" >= {{3}})')

_FAILED = f"""
SELECT {{key}} AS key, width_bucket(a."timestamp", $3::timestamptz[]) - 1 AS point, {cause_sql("a")} AS cause, a.error_code,
    a.status_code, count(*) AS calls, max(a."timestamp") AS last_at
FROM webhook_analytics a
WHERE {{which}} AND NOT a.success AND a."timestamp" >= {{{{0}}}} AND a."timestamp" < {{{{1}}}}
GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608 - constants only

_MOST_STRETCHES = 8  # of a statement, which is planned with the days of each

_WEBHOOKS = """
SELECT c.webhook_id, w.workflow_name, w.is_active, w.deleted_at, c.last_called_at,
    EXISTS (SELECT FROM delivery_holds h WHERE h.tenant_id = c.tenant_id AND h.webhook_id = c.webhook_id
        AND h.reason = 'circuit_open' AND h.until IS NULL) AS circuit_open
FROM n8n_webhook_counters c JOIN n8n_webhooks w ON w.tenant_id = c.tenant_id AND w.id = c.webhook_id
WHERE c.tenant_id = $1
"""

_HOLDINGS = """
SELECT t.id, array_remove(ARRAY[
        CASE WHEN i.whatsapp_config IS NOT NULL THEN 'whatsapp' END, CASE WHEN i.sms_config IS NOT NULL THEN 'sms' END,
        CASE WHEN i.n8n_base_url IS NOT NULL THEN 'n8n' END], NULL) AS integrations,
    (SELECT count(*) FROM n8n_webhooks w WHERE w.tenant_id = t.id AND w.deleted_at IS NULL) AS webhooks
FROM tenants t LEFT JOIN tenant_integrations i ON i.tenant_id = t.id WHERE t.id = ANY($1::text[])
"""

_CALLED = """
SELECT c.tenant_id, c.webhook_id, w.workflow_name, w.deleted_at
FROM n8n_webhook_counters c JOIN n8n_webhooks w ON w.tenant_id = c.tenant_id AND w.id = c.webhook_id
WHERE c.tenant_id = ANY($1::text[]) AND c.last_called_at >= $2
"""

_ACTIVE = """
SELECT c.tenant_id, t.name AS tenant_name, c.webhook_id, w.workflow_name,
    EXISTS (SELECT FROM delivery_holds h WHERE h.tenant_id = c.tenant_id AND h.webhook_id = c.webhook_id
        AND h.reason = 'circuit_open' AND h.until IS NULL) AS circuit_open
FROM n8n_webhook_counters c JOIN n8n_webhooks w ON w.tenant_id = c.tenant_id AND w.id = c.webhook_id
JOIN tenants t ON t.id = c.tenant_id
WHERE c.tenant_id = ANY($1::text[]) AND c.last_called_at >= $2 AND w.is_active AND w.deleted_at IS NULL AND t.status = 'active'
"""

_NAMES = "SELECT id, name, status FROM tenants WHERE id = ANY($1::text[])"


async def plan_for_reading(tx: Tx) -> None:
    """Has the rest of the transaction planned for reading much."""
    await tx.execute(_PLAN_FOR_READING)


async def list_webhooks(tx: TenantTx) -> Sequence[Row]:
    """The tenant's webhooks, deleted ones too, with what their health depends on."""
    return await tx.fetch(_WEBHOOKS, tx.tenant_id)


async def list_tenants(tx: Tx, tenant_ids: Sequence[str]) -> Sequence[Row]:
    """Names and states of tenants; those that were deleted are missing."""
    return await tx.fetch(_NAMES, tenant_ids)


async def list_holdings(tx: SystemTx, tenant_ids: Sequence[str]) -> Sequence[Row]:
    """Which integrations these tenants have, and how many webhooks."""
    return await tx.fetch(_HOLDINGS, tenant_ids)


async def list_called(tx: SystemTx, tenant_ids: Sequence[str], since: datetime) -> Sequence[Row]:
    """The webhooks of these tenants that were called since a moment, deleted ones too."""
    return await tx.fetch(_CALLED, tenant_ids, since)


async def list_active(tx: SystemTx, tenant_ids: Sequence[str], since: datetime) -> Sequence[Row]:
    """The webhooks of these tenants that are on and were called since a moment, with what their health depends on."""
    return await tx.fetch(_ACTIVE, tenant_ids, since)


async def built_until(tx: Tx) -> datetime | None:
    """Until when rollups are built; None when none is."""
    moment = await tx.fetchval(_BUILT_UNTIL)
    return None if moment is None or moment.year == 1 else moment


async def is_due(tx: Tx, before: datetime) -> bool:
    """Whether any rollup that begins before a moment is still to be built."""
    return bool(await tx.fetchval(_IS_DUE, before))


async def find_progress(
    tx: Tx, scope: Scope, first: datetime, last: datetime
) -> tuple[datetime | None, Sequence[tuple[int, datetime]]]:
    """Until when rollups are built (None when none is), and which of a time may not be read, as (span, start)."""
    if scope.over not in (Over.WEBHOOK, Over.WEBHOOKS, Over.TENANT):
        rows = await tx.fetch(_PROGRESS.replace("<whose>", ""), first, last)
    else:
        statement = _PROGRESS.replace("<whose>", "AND d.tenant_id = $3")
        rows = await tx.fetch(statement, first, last, scope.tenant_id)
    moment = rows[0]["built_until"]
    due = [(row["span"], row["start"]) for row in rows if row["span"] is not None]
    return (None if moment.year == 1 else moment), due


async def list_spans(
    tx: Tx,
    scope: Scope,
    ranges: Sequence[tuple[int, datetime, datetime]],
    *,
    histogram: bool = False,
    errors: bool = False,
) -> Sequence[Row]:
    """Rollups within ranges of (span, first, last): key, span, start, counters, and what else is wanted."""
    shape = _SHAPES[scope.over]
    columns = [f"{_key(shape, 's')} AS key, s.span, s.start", _COUNTERS]
    columns += [*([_HISTOGRAM] if histogram else []), *([_ERRORS] if errors else [])]
    statement = _SPANS.format(columns=", ".join(columns), each=shape.each, which=shape.spans)
    return await tx.fetch(statement, scope.tenant_id, scope.webhooks, *zip(*ranges, strict=True))


async def list_span_counters(
    tx: Tx, scope: Scope, ranges: Sequence[tuple[int, datetime, datetime]], bounds: Sequence[datetime]
) -> Sequence[Row]:
    """Counters from the rollups within ranges, by key and point (the number of the bound before them)."""
    return await _fetch_sums(tx, _SPAN_COUNTERS, scope, ranges, bounds)


async def list_span_histograms(
    tx: Tx, scope: Scope, ranges: Sequence[tuple[int, datetime, datetime]], bounds: Sequence[datetime]
) -> Sequence[Row]:
    """Histograms from the rollups within ranges, added up by key and point."""
    return await _fetch_sums(tx, _SPAN_HISTOGRAMS, scope, ranges, bounds)


async def _fetch_sums(
    tx: Tx, sums: str, scope: Scope, ranges: Sequence[tuple[int, datetime, datetime]], bounds: Sequence[datetime]
) -> Sequence[Row]:
    shape = _SHAPES[scope.over]
    spans = _SPANS.format(columns="s.*", each=shape.each, which=shape.spans)
    statement = sums.format(key=_key(shape, "s"), spans=spans)
    return await tx.fetch(statement, scope.tenant_id, scope.webhooks, *zip(*ranges, strict=True), bounds)


async def list_minutes(
    tx: Tx, scope: Scope, ranges: Sequence[tuple[datetime, datetime]], bounds: Sequence[datetime]
) -> Sequence[Row]:
    """Counters from the minutes within ranges, by key and point (the number of the bound before them)."""
    shape = _SHAPES[scope.over]
    statement = _MINUTES.format(key=_key(shape, "m"), which=shape.webhooks)
    firsts, lasts = zip(*ranges, strict=True)
    return await tx.fetch(statement, scope.tenant_id, scope.webhooks, firsts, lasts, bounds)


class Stretch(NamedTuple):
    """A range of calls: [first, last), of which the minutes inner_first to inner_last are counted elsewhere."""

    first: datetime
    last: datetime
    inner_first: datetime
    inner_last: datetime


async def list_calls(
    tx: Tx, scope: Scope, stretches: Sequence[Stretch], bounds: Sequence[datetime], *, histogram: bool
) -> Sequence[Row]:
    """Calls of stretches by key, point and bucket, with counters of those outside the inner minutes."""
    shape = _SHAPES[scope.over]
    bucket = BUCKET_SQL.format("a.response_time") if histogram else "0"
    statement = _CALLS.format(key=_key(shape, "a"), which=shape.calls, bucket=bucket)
    return await _fetch_stretches(tx, statement, (scope.tenant_id, scope.webhooks, bounds), stretches)


async def list_failed(
    tx: Tx, scope: Scope, ranges: Sequence[tuple[datetime, datetime]], bounds: Sequence[datetime]
) -> Sequence[Row]:
    """Failed calls of ranges by key, point, cause, code and status."""
    shape = _SHAPES[scope.over]
    statement = _FAILED.format(key=_key(shape, "a"), which=shape.calls)
    return await _fetch_stretches(tx, statement, (scope.tenant_id, scope.webhooks, bounds), ranges)


async def _fetch_stretches(
    tx: Tx, statement: str, values: tuple[Any, ...], stretches: Sequence[tuple[datetime, ...]]
) -> Sequence[Row]:
    """Asks the same of some stretches in one round trip. Each has parameters of its own, so that other days aren't planned."""
    rows: list[Row] = []
    for first in range(0, len(stretches), _MOST_STRETCHES):
        some = stretches[first : first + _MOST_STRETCHES]
        numbers = itertools.count(len(values) + 1)
        parts = [statement.format(*[f"${next(numbers)}" for _ in stretch]) for stretch in some]
        rows += await tx.fetch(" UNION ALL ".join(parts), *values, *itertools.chain.from_iterable(some))
    return rows


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
