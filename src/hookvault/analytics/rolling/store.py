"""All SQL that builds rollups.

A rollup of five minutes is made from its minutes (counters) and calls (histogram, errors), one of an hour or a day from the
finer ones, one of the platform from its tenants'. All are replaced as a whole, so building one twice changes nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hookvault.analytics.cause import cause_sql
from hookvault.analytics.rollups.histogram import BUCKET_SQL
from hookvault.analytics.rollups.model import ALL_TENANTS, ALL_WEBHOOKS
from hookvault.db.pool import SystemTx

_NIL = f"'{ALL_WEBHOOKS}'::uuid"
_LOCK = "hookvault_rolling"

_ONLY_ONE = f"SELECT pg_try_advisory_xact_lock(hashtext('{_LOCK}'))"

_CLOSE = "UPDATE webhook_rollup_progress SET closed_until = $1 WHERE id AND closed_until < $1"

_NOW = "SELECT clock_timestamp()"

# Who may not have seen yet that a time is closed: every transaction that is open in this database, by its virtual id, which it
# takes before its first snapshot. As CREATE INDEX CONCURRENTLY waits. Backups only read; workers of the server have no user.
_WRITERS = """
SELECT l.virtualtransaction, l.pid, s.application_name FROM pg_locks l JOIN pg_stat_activity s ON s.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.granted AND l.pid <> pg_backend_pid()
    AND s.datname = current_database() AND s.usesysid IS NOT NULL
    AND coalesce(s.application_name, '') NOT IN ('hookvault backup', 'pg_dump')
"""

_PROGRESS = "SELECT closed_until, built_until FROM webhook_rollup_progress WHERE id"

_LOCK_PROGRESS = _PROGRESS + " FOR UPDATE"

# Minutes that hold fewer calls than there are; those that hold more remember calls which retention dropped.
_REPAIR = """
INSERT INTO webhook_call_rollups AS r (tenant_id, webhook_id, minute, total_calls, successful_calls, failed_calls,
    response_time_sum, response_time_max)
SELECT tenant_id, webhook_id, date_bin('1 minute', "timestamp", 'epoch'), count(*), count(*) FILTER (WHERE success),
    count(*) FILTER (WHERE NOT success), sum(response_time), max(response_time)
FROM webhook_analytics WHERE "timestamp" >= $1 AND "timestamp" < $2 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (tenant_id, webhook_id, minute) DO UPDATE SET total_calls = excluded.total_calls,
    successful_calls = excluded.successful_calls, failed_calls = excluded.failed_calls,
    response_time_sum = excluded.response_time_sum, response_time_max = excluded.response_time_max
WHERE r.total_calls < excluded.total_calls
"""

_FIRST_MINUTE = "SELECT min(minute) FROM webhook_call_rollups"

_FIRST_CALL = 'SELECT "timestamp" FROM webhook_analytics ORDER BY "timestamp", id LIMIT 1'

_BUILT = "UPDATE webhook_rollup_progress SET built_until = $1 WHERE id AND built_until < $1"

_NOTE = """
INSERT INTO webhook_spans_due AS d (tenant_id, span, start)
SELECT * FROM ({touched}) AS touched (tenant_id, span, start) ORDER BY 1, 2, 3
ON CONFLICT (tenant_id, span, start) DO UPDATE SET version = d.version + 1
"""

# The spans of $1 minutes in which anybody was called, from $2 to $3, and the platform's with them.
_NOTE_TOUCHED = _NOTE.format(
    touched="""SELECT coalesce(c.tenant_id, ''), $1::smallint, date_bin($1::smallint * interval '1 minute', m.minute, 'epoch')
    FROM n8n_webhook_counters c JOIN webhook_call_rollups m ON m.tenant_id = c.tenant_id AND m.webhook_id = c.webhook_id
        AND m.minute >= $2 AND m.minute < $3
    WHERE c.last_called_at >= $2
    GROUP BY GROUPING SETS ((c.tenant_id, 3), (3))"""
)

# The spans of $3 minutes around others that were built, where they are over; and the platform's of the same width.
_NOTE_WIDER = _NOTE.format(
    touched="""SELECT DISTINCT b.tenant_id, $3::smallint, date_bin($3::smallint * interval '1 minute', b.start, 'epoch')
    FROM unnest($1::text[], $2::timestamptz[]) AS b (tenant_id, start)
    WHERE date_bin($3::smallint * interval '1 minute', b.start, 'epoch') + $3::smallint * interval '1 minute' <= $4"""
)

_NOTE_PLATFORM = _NOTE.format(
    touched="SELECT DISTINCT '', $2::smallint, b.start FROM unnest($1::timestamptz[]) AS b (start)"
)

# What can be built now: finer rollups of the same time go first, and a platform's after its tenants'.
_LIST_DUE = """
SELECT d.tenant_id, d.start, d.version FROM webhook_spans_due d
WHERE d.span = $1 AND d.tenant_id <> '' AND NOT EXISTS (
    SELECT FROM webhook_spans_due f WHERE f.tenant_id = d.tenant_id AND f.span < $1
        AND f.start >= d.start AND f.start < d.start + $1::smallint * interval '1 minute')
ORDER BY d.start, d.tenant_id LIMIT $2
"""

_LIST_PLATFORM_DUE = """
SELECT d.tenant_id, d.start, d.version FROM webhook_spans_due d
WHERE d.span = $1 AND d.tenant_id = '' AND NOT EXISTS (
    SELECT FROM webhook_spans_due f WHERE f.span = ANY('{5,60,1440}'::smallint[]) AND f.span <= $1
        AND (f.tenant_id <> '' OR f.span < $1)
        AND f.start >= d.start AND f.start < d.start + $1::smallint * interval '1 minute')
ORDER BY d.start LIMIT $2
"""

_DONE = """
DELETE FROM webhook_spans_due d USING unnest($1::text[], $2::timestamptz[], $3::bigint[]) AS b (tenant_id, start, version)
WHERE d.tenant_id = b.tenant_id AND d.span = $4 AND d.start = b.start AND d.version = b.version
"""

_STATE = """
SELECT CASE WHEN isfinite(built_until) THEN extract(epoch FROM clock_timestamp() - built_until)::float8 END AS behind_s,
    (SELECT count(*) FROM webhook_spans_due) AS due
FROM webhook_rollup_progress WHERE id
"""

_COUNT_DUE = "SELECT count(*) FROM webhook_spans_due"

# One grouping of all three, no joins of them: nothing tells the planner how many rows there are, and by nested loops over
# thousands of webhooks an hour's batch would take minutes.
_UPSERT = """, told AS (
    SELECT 'sums' AS kind, tenant_id, webhook_id, start, total, successful, failed, time_sum, time_max,
        NULL::smallint AS bucket, NULL::bigint AS calls, NULL AS cause, NULL AS code, NULL::integer AS status,
        NULL::timestamptz AS last_at FROM counted
    UNION ALL SELECT 'bucket', tenant_id, webhook_id, start, NULL, NULL, NULL, NULL, NULL, bucket, calls, NULL, NULL, NULL, NULL
        FROM bucketed
    UNION ALL SELECT 'error', tenant_id, webhook_id, start, NULL, NULL, NULL, NULL, NULL, NULL, calls, cause, code, status, last_at
        FROM failed
)
INSERT INTO webhook_call_spans AS s (tenant_id, webhook_id, span, start, total_calls, successful_calls, failed_calls,
    response_time_sum, response_time_max, buckets, bucket_calls, error_causes, error_codes, error_statuses, error_calls,
    error_last_at)
SELECT tenant_id, webhook_id, $3::smallint, start, max(total), max(successful), max(failed), max(time_sum), max(time_max),
    coalesce(array_agg(bucket ORDER BY bucket) FILTER (WHERE kind = 'bucket'), '{}'),
    coalesce(array_agg(calls::integer ORDER BY bucket) FILTER (WHERE kind = 'bucket'), '{}'),
    coalesce(array_agg(cause ORDER BY calls DESC, cause, code, status) FILTER (WHERE kind = 'error'), '{}'),
    coalesce(array_agg(code ORDER BY calls DESC, cause, code, status) FILTER (WHERE kind = 'error'), '{}'),
    coalesce(array_agg(status ORDER BY calls DESC, cause, code, status) FILTER (WHERE kind = 'error'), '{}'),
    coalesce(array_agg(calls ORDER BY calls DESC, cause, code, status) FILTER (WHERE kind = 'error'), '{}'),
    coalesce(array_agg(last_at ORDER BY calls DESC, cause, code, status) FILTER (WHERE kind = 'error'), '{}')
FROM told GROUP BY tenant_id, webhook_id, start HAVING count(total) > 0
ON CONFLICT (tenant_id, webhook_id, span, start) DO UPDATE SET total_calls = excluded.total_calls,
    successful_calls = excluded.successful_calls, failed_calls = excluded.failed_calls,
    response_time_sum = excluded.response_time_sum, response_time_max = excluded.response_time_max,
    buckets = CASE WHEN <fuller> THEN excluded.buckets ELSE s.buckets END,
    bucket_calls = CASE WHEN <fuller> THEN excluded.bucket_calls ELSE s.bucket_calls END,
    error_causes = CASE WHEN <fuller> THEN excluded.error_causes ELSE s.error_causes END,
    error_codes = CASE WHEN <fuller> THEN excluded.error_codes ELSE s.error_codes END,
    error_statuses = CASE WHEN <fuller> THEN excluded.error_statuses ELSE s.error_statuses END,
    error_calls = CASE WHEN <fuller> THEN excluded.error_calls ELSE s.error_calls END,
    error_last_at = CASE WHEN <fuller> THEN excluded.error_last_at ELSE s.error_last_at END
"""

# Of calls that retention dropped the counters are left; their histogram is kept as it was built while they were there.
_FULLER = """((SELECT coalesce(sum(n), 0) FROM unnest(excluded.bucket_calls) AS n)
    >= (SELECT coalesce(sum(n), 0) FROM unnest(s.bucket_calls) AS n))"""

_SLOTS = f"""
WITH due AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::timestamptz[]) AS d (tenant_id, start)),
counted AS (
    SELECT d.tenant_id, coalesce(c.webhook_id, {_NIL}) AS webhook_id, d.start, sum(m.total)::bigint AS total,
        sum(m.successful)::bigint AS successful, sum(m.failed)::bigint AS failed, sum(m.time_sum)::bigint AS time_sum,
        max(m.time_max) AS time_max
    FROM due d JOIN n8n_webhook_counters c ON c.tenant_id = d.tenant_id AND c.last_called_at >= d.start
    CROSS JOIN LATERAL (SELECT sum(total_calls) AS total, sum(successful_calls) AS successful, sum(failed_calls) AS failed,
            sum(response_time_sum) AS time_sum, max(response_time_max) AS time_max
        FROM webhook_call_rollups WHERE tenant_id = c.tenant_id AND webhook_id = c.webhook_id
            AND minute >= d.start AND minute < d.start + interval '5 minutes') m
    WHERE m.total IS NOT NULL
    GROUP BY GROUPING SETS ((d.tenant_id, c.webhook_id, d.start), (d.tenant_id, d.start))
), calls AS MATERIALIZED (
    SELECT d.tenant_id, a.webhook_id, d.start, {BUCKET_SQL.format("a.response_time")} AS bucket, a.success,
        CASE WHEN NOT a.success THEN {cause_sql("a")} END AS cause, a.error_code, a.status_code, a."timestamp"
    FROM due d JOIN webhook_analytics a ON a.tenant_id = d.tenant_id AND a."timestamp" >= d.start
        AND a."timestamp" < d.start + interval '5 minutes'
    WHERE a."timestamp" >= $4 AND a."timestamp" < $5
), bucketed AS (
    SELECT tenant_id, coalesce(webhook_id, {_NIL}) AS webhook_id, start, bucket, count(*)::integer AS calls
    FROM calls GROUP BY GROUPING SETS ((tenant_id, webhook_id, start, bucket), (tenant_id, start, bucket))
), failed AS (
    SELECT tenant_id, coalesce(webhook_id, {_NIL}) AS webhook_id, start, cause, error_code AS code, status_code AS status,
        count(*) AS calls, max("timestamp") AS last_at
    FROM calls WHERE NOT success
    GROUP BY GROUPING SETS ((tenant_id, webhook_id, start, cause, error_code, status_code),
        (tenant_id, start, cause, error_code, status_code))
)""" + _UPSERT.replace("<fuller>", _FULLER)  # noqa: S608 - constants only

# Adds up `parts`: finer rollups of the same webhook, or those of all tenants.
_SUMS = """
WITH due AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::timestamptz[]) AS d (tenant_id, start)),
parts AS MATERIALIZED (<parts>),
counted AS (
    SELECT tenant_id, webhook_id, start, sum(total_calls)::bigint AS total, sum(successful_calls)::bigint AS successful,
        sum(failed_calls)::bigint AS failed, sum(response_time_sum)::bigint AS time_sum, max(response_time_max) AS time_max
    FROM parts GROUP BY 1, 2, 3
), bucketed AS (
    SELECT p.tenant_id, p.webhook_id, p.start, u.bucket, sum(u.calls)::integer AS calls
    FROM parts p CROSS JOIN unnest(p.buckets, p.bucket_calls) AS u (bucket, calls) GROUP BY 1, 2, 3, 4
), failed AS (
    SELECT p.tenant_id, p.webhook_id, p.start, u.cause, u.code, u.status, sum(u.calls)::bigint AS calls, max(u.last_at) AS last_at
    FROM parts p CROSS JOIN unnest(p.error_causes, p.error_codes, p.error_statuses, p.error_calls, p.error_last_at)
        AS u (cause, code, status, calls, last_at) GROUP BY 1, 2, 3, 4, 5, 6
)""" + _UPSERT.replace("<fuller>", "true")  # noqa: S608 - constants only

_COLUMNS = """p.total_calls, p.successful_calls, p.failed_calls, p.response_time_sum, p.response_time_max, p.buckets,
    p.bucket_calls, p.error_causes, p.error_codes, p.error_statuses, p.error_calls, p.error_last_at"""

# OFFSET 0 has each looked up by its whole key: as a join, the planner may read the webhooks of all tenants for each that is due.
_FROM_FINER = _SUMS.replace(
    "<parts>",
    f"""SELECT d.tenant_id, w.webhook_id, d.start, {_COLUMNS}
    FROM due d CROSS JOIN LATERAL (SELECT {_NIL} AS webhook_id
        UNION ALL SELECT c.webhook_id FROM n8n_webhook_counters c WHERE c.tenant_id = d.tenant_id) w
    CROSS JOIN LATERAL (SELECT * FROM webhook_call_spans WHERE tenant_id = d.tenant_id AND webhook_id = w.webhook_id
        AND span = $4 AND start >= d.start AND start < d.start + $3::smallint * interval '1 minute' OFFSET 0) p""",  # noqa: S608 - constants only
)

_FROM_TENANTS = _SUMS.replace(
    "<parts>",
    f"""SELECT d.tenant_id, {_NIL} AS webhook_id, d.start, {_COLUMNS}
    FROM due d JOIN webhook_call_spans p ON p.span = $3::smallint AND p.start = d.start AND p.webhook_id = {_NIL}
        AND p.tenant_id <> ''""",  # noqa: S608 - constants only
)


class Due(NamedTuple):
    """A rollup to be built; `version` as it was when it was read."""

    tenant_id: str
    start: datetime
    version: int


class Rolling(NamedTuple):
    """How far the building is: seconds since the time that is built (None: nothing is), and rollups to be built."""

    behind_s: float | None
    due: int


async def find_state(tx: SystemTx) -> Rolling:
    """How far the building is."""
    row = await tx.fetchrow(_STATE)
    assert row is not None  # noqa: S101 - the migration made it
    return Rolling(*row)


async def be_the_only_one(tx: SystemTx) -> bool:
    """Whether no other process builds; until the transaction ends none does."""
    return bool(await tx.fetchval(_ONLY_ONE))


async def present(tx: SystemTx) -> datetime:
    """The database's time."""
    moment: datetime = await tx.fetchval(_NOW)
    return moment


async def close(tx: SystemTx, until: datetime) -> None:
    """From this commit on, calls before a moment are noted as late by whoever records them."""
    await tx.execute(_CLOSE, until)


async def list_writers(tx: SystemTx) -> dict[str, str]:
    """The transactions that are open in this database, and whose each is, for a person."""
    rows = await tx.fetch(_WRITERS)
    return {row["virtualtransaction"]: f"pid {row['pid']} ({row['application_name'] or 'unnamed'})" for row in rows}


async def progress(tx: SystemTx, *, lock: bool = False) -> tuple[datetime | None, datetime | None]:
    """Until when times are closed, and rollups built; None for never."""
    row = await tx.fetchrow(_LOCK_PROGRESS if lock else _PROGRESS)
    assert row is not None  # noqa: S101 - the migration made it
    closed, built = (None if moment.year == 1 else moment for moment in row)
    return closed, built


async def first_minute(tx: SystemTx) -> datetime | None:
    """The first minute in which anybody was called."""
    moment: datetime | None = await tx.fetchval(_FIRST_MINUTE)
    return moment


async def first_call(tx: SystemTx) -> datetime | None:
    """When the oldest recorded call was made."""
    moment: datetime | None = await tx.fetchval(_FIRST_CALL)
    return moment


async def repair_minutes(tx: SystemTx, first: datetime, last: datetime) -> int:
    """Counts the minutes of a time anew from its calls, where they hold fewer; how many did."""
    return await tx.execute(_REPAIR, first, last)


async def note_touched(tx: SystemTx, span: int, first: datetime, last: datetime) -> int:
    """Notes as due each span of a time in which anybody was called; how many."""
    return await tx.execute(_NOTE_TOUCHED, span, first, last)


async def set_built(tx: SystemTx, until: datetime) -> None:
    """Rollups before a moment may be read, unless they are due."""
    await tx.execute(_BUILT, until)


async def list_due(tx: SystemTx, span: int, *, platform: bool, limit: int) -> Sequence[Due]:
    """Rollups of a span that can be built now, oldest first."""
    return [Due(*row) for row in await tx.fetch(_LIST_PLATFORM_DUE if platform else _LIST_DUE, span, limit)]


async def count_due(tx: SystemTx) -> int:
    """How many rollups are to be built."""
    return int(await tx.fetchval(_COUNT_DUE))


async def build(tx: SystemTx, span: int, due: Sequence[Due], *, finer: int | None) -> None:
    """Builds the rollups of tenants and their webhooks, from `finer` ones or (None) from minutes and calls."""
    tenants, starts = [each.tenant_id for each in due], [each.start for each in due]
    if finer is None:
        # First and last, though they follow from the others: with them other days' partitions are not even planned.
        await tx.execute(_SLOTS, tenants, starts, span, min(starts), max(starts) + timedelta(minutes=span))
    else:
        await tx.execute(_FROM_FINER, tenants, starts, span, finer)


async def build_platform(tx: SystemTx, span: int, due: Sequence[Due]) -> None:
    """Builds the platform's rollups from those of its tenants."""
    await tx.execute(_FROM_TENANTS, [ALL_TENANTS] * len(due), [each.start for each in due], span)


async def finish(tx: SystemTx, span: int, due: Sequence[Due], *, wider: int | None, built: datetime) -> None:
    """Takes rollups that were built off the list, and notes those that are made from them."""
    tenants: list[Any] = [each.tenant_id for each in due]
    starts = [each.start for each in due]
    if wider is not None:
        await tx.execute(_NOTE_WIDER, tenants, starts, wider, built)
    if tenants[0] != ALL_TENANTS:
        await tx.execute(_NOTE_PLATFORM, starts, span)
    await tx.execute(_DONE, tenants, starts, [each.version for each in due], span)
