"""All SQL on how long things are kept: days, a tenant's old rows, sizes, and the removal of payloads."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal, NamedTuple
from uuid import UUID

from hookvault.analytics.retention.model import Parent
from hookvault.db.pool import Row, SystemTx

Figures = Literal["webhook_call_rollups", "webhook_call_spans", "n8n_webhook_counters"]

_CHEAP = 5_000_000  # rows that are counted one by one; of more an estimate is told

_MAKE_DAY = "SELECT hookvault_make_day($1)"

_DROP_DAY = "SELECT hookvault_drop_day($1, $2)"

_IN_THE_WAY = "SELECT pid, application, since FROM hookvault_in_the_way($1)"

# Every partition with its estimated rows; of one that was never analyzed those that the statistics saw coming and going.
_DAYS = """
SELECT p.relname AS parent, to_date(right(c.relname, 8), 'YYYYMMDD') AS day, pg_total_relation_size(c.oid) AS bytes,
    CASE WHEN c.reltuples < 0 THEN pg_stat_get_live_tuples(c.oid) ELSE c.reltuples::bigint END AS rows
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
WHERE i.inhparent = ANY(ARRAY['webhook_analytics', 'webhook_deliveries']::regclass[])
ORDER BY day
"""

_KINDS = """
SELECT k.kind, pg_total_relation_size(c.oid) AS bytes,
    CASE WHEN c.reltuples < 0 THEN pg_stat_get_live_tuples(c.oid) ELSE c.reltuples::bigint END AS rows
FROM unnest(ARRAY['minuteRollups', 'spans', 'audit'],
    ARRAY['webhook_call_rollups', 'webhook_call_spans', 'audit_events']::regclass[]) AS k (kind, relation)
JOIN pg_class c ON c.oid = k.relation
"""

_DATABASE_SIZE = "SELECT pg_database_size(current_database())"

_COUNT: dict[Parent, str] = {
    "webhook_analytics": 'SELECT count(*) FROM webhook_analytics WHERE "timestamp" >= $1 AND "timestamp" < $2',
    "webhook_deliveries": "SELECT count(*) FROM webhook_deliveries WHERE accepted_at >= $1 AND accepted_at < $2",
}

_SHORTER = "SELECT id, retention_days FROM tenants WHERE retention_days < $1 ORDER BY id"

# A batch is all rows from one place of the primary key to another, so that it is found once and not row by row.
_BATCH_END: dict[Parent, str] = {
    "webhook_analytics": """
SELECT "timestamp" AS at, id FROM webhook_analytics
WHERE tenant_id = $1 AND "timestamp" < $2 AND ("timestamp", id) > ($3, $4) ORDER BY "timestamp", id OFFSET $5 LIMIT 1
""",
    "webhook_deliveries": """
SELECT accepted_at AS at, id FROM webhook_deliveries
WHERE tenant_id = $1 AND accepted_at < $2 AND (accepted_at, id) > ($3, $4) ORDER BY accepted_at, id OFFSET $5 LIMIT 1
""",
}

_DELETE_BATCH: dict[Parent, str] = {
    "webhook_analytics": """
DELETE FROM webhook_analytics
WHERE tenant_id = $1 AND "timestamp" < $2 AND ("timestamp", id) > ($3, $4) AND ("timestamp", id) <= ($5, $6)
    AND "timestamp" >= $3 AND "timestamp" <= $5
""",
    "webhook_deliveries": """
DELETE FROM webhook_deliveries
WHERE tenant_id = $1 AND accepted_at < $2 AND (accepted_at, id) > ($3, $4) AND (accepted_at, id) <= ($5, $6)
    AND accepted_at >= $3 AND accepted_at <= $5 AND status <> 'pending'
""",
}

# Hops along the primary key from tenant to tenant. The tenant '' stands for all of them.
_GONE = """
WITH RECURSIVE hop AS (
    (SELECT tenant_id FROM {table} WHERE tenant_id > '' ORDER BY tenant_id LIMIT 1)
    UNION ALL
    SELECT n.tenant_id FROM hop CROSS JOIN LATERAL (
        SELECT t.tenant_id FROM {table} t WHERE t.tenant_id > hop.tenant_id ORDER BY t.tenant_id LIMIT 1
    ) n
)
SELECT tenant_id FROM hop WHERE NOT EXISTS (SELECT FROM tenants t WHERE t.id = hop.tenant_id)
"""

_OLD_FIGURES: dict[Figures, str] = {
    "webhook_call_rollups": "minute < $2",
    "webhook_call_spans": "start < $2",
    "n8n_webhook_counters": "last_called_at < $2",
}

_DELETE_FIGURES = """
DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE tenant_id = $1 AND {old} LIMIT $3))
"""

# A call's attempts: the first, whose id is the call's, and its retries within the longest budget.
_EXPUNGE_CALL = """
UPDATE webhook_analytics SET request_payload = NULL, response_body = NULL, metadata = NULL, altered = true, expunged_at = now()
WHERE tenant_id = $1 AND (id = $2 OR retry_of = $2) AND "timestamp" >= $3
    AND "timestamp" < $3::timestamptz + interval '180 seconds' AND expunged_at IS NULL
"""

_EXPUNGE_CALLS_OF = """
UPDATE webhook_analytics SET request_payload = NULL, response_body = NULL, metadata = NULL, altered = true, expunged_at = now()
WHERE tenant_id = $1 AND webhook_id = $2 AND delivery_id = $3 AND "timestamp" >= $4 AND expunged_at IS NULL
"""

# The answer that is kept for repetitions of a call's request.
_EXPUNGE_ANSWER = """
UPDATE idempotency_keys SET answer = jsonb_set(answer, '{response_body}', 'null')
WHERE tenant_id = $1 AND message_id = $2 AND jsonb_typeof(answer) = 'object'
"""

_EXPUNGE_DELIVERY = """
UPDATE webhook_deliveries SET payload = NULL, metadata = NULL, expunged_at = coalesce(expunged_at, now())
WHERE tenant_id = $1 AND accepted_at = $2 AND id = $3 AND status <> 'pending' AND (payload IS NOT NULL OR metadata IS NOT NULL)
"""


class Place(NamedTuple):
    """A place in the order of a tenant's rows."""

    at: datetime
    id: UUID


async def make_days(tx: SystemTx, days: Sequence[date]) -> None:
    """Makes the partitions of days that are missing."""
    for day in days:
        await tx.execute(_MAKE_DAY, day)


async def list_days(tx: SystemTx) -> Sequence[Row]:
    """Every partition: `parent`, `day`, `bytes` and estimated `rows`, the oldest first."""
    return await tx.fetch(_DAYS)


async def count_day(tx: SystemTx, day: Row, span: tuple[datetime, datetime]) -> int:
    """How many rows a day holds; of very many an estimate."""
    if day["rows"] > _CHEAP:
        return int(day["rows"])
    return int(await tx.fetchval(_COUNT[day["parent"]], *span))


async def drop_day(tx: SystemTx, parent: Parent, day: date) -> bool:
    """Drops a day's partition; whether there was one. Raises LockedError soon where somebody reads the table."""
    return bool(await tx.fetchval(_DROP_DAY, parent, day))


async def list_in_the_way(tx: SystemTx, parent: Parent) -> Sequence[Row]:
    """Sessions that hold a table: `pid`, `application`, `since`."""
    return await tx.fetch(_IN_THE_WAY, parent)


async def list_shorter(tx: SystemTx, days: int) -> Sequence[tuple[str, int]]:
    """Tenants that keep less than so many days, and how many they keep."""
    return [(row["id"], row["retention_days"]) for row in await tx.fetch(_SHORTER, days)]


async def delete_batch(
    tx: SystemTx, parent: Parent, tenant_id: str, span: tuple[Place, datetime], limit: int
) -> tuple[int, Place | None]:
    """Deletes a tenant's rows after a place and before a moment, those that still wait apart; looks at `limit` at most.

    Returns:
        How many went, and where to go on; None at the end.
    """
    after, before = span
    found = await tx.fetchrow(_BATCH_END[parent], tenant_id, before, *after, limit - 1)
    last = Place(before, UUID(int=0)) if found is None else Place(found["at"], found["id"])
    deleted = await tx.execute(_DELETE_BATCH[parent], tenant_id, before, *after, *last)
    return deleted, None if found is None else last


async def list_gone(tx: SystemTx, table: Figures) -> list[str]:
    """Tenants that are deleted and of which figures are kept."""
    return [row["tenant_id"] for row in await tx.fetch(_GONE.format(table=table))]


async def delete_figures(tx: SystemTx, table: Figures, tenant_id: str, before: datetime, limit: int) -> int:
    """Deletes a deleted tenant's figures from before a moment, so many at most; how many."""
    statement = _DELETE_FIGURES.format(table=table, old=_OLD_FIGURES[table])
    return await tx.execute(statement, tenant_id, before, limit)


async def list_kinds(tx: SystemTx) -> Sequence[Row]:
    """The sizes of what is not kept by days: `kind`, `bytes`, `rows`."""
    return await tx.fetch(_KINDS)


async def database_size(tx: SystemTx) -> int:
    """Bytes of the whole database."""
    return int(await tx.fetchval(_DATABASE_SIZE))


async def expunge_call(tx: SystemTx, tenant_id: str, call_id: UUID, moment: datetime) -> int:
    """Removes the payloads of a call and its retries, and of the answer kept for repetitions; how many records."""
    await tx.execute(_EXPUNGE_ANSWER, tenant_id, call_id)
    return await tx.execute(_EXPUNGE_CALL, tenant_id, call_id, moment)


async def expunge_delivery(tx: SystemTx, tenant_id: str, webhook_id: UUID, place: Place) -> int:
    """Removes the payloads of a delivery that has ended, and of its calls; how many rows."""
    calls = await tx.execute(_EXPUNGE_CALLS_OF, tenant_id, webhook_id, place.id, place.at)
    return calls + await tx.execute(_EXPUNGE_DELIVERY, tenant_id, *place)
