"""All SQL on webhook_deliveries but its end, which is the queue's: accepting, reading, and making again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from hookvault.clock import iso
from hookvault.db.pool import Row, SystemTx, TenantTx, Tx
from hookvault.deliveries.model import Delivery, DeliveryFilter, Hold, Kept, NewDelivery, Replay
from hookvault.ids import id_time
from hookvault.paging import Page, cut, encode_cursor, time_id_cursor

_CURSOR = "deliveries"
WHOLE_TENANT = UUID(int=0)  # a hold of every webhook

# Everything that accepting a delivery is, in one statement and so in one transaction: its story, its job, its key, its count.
# A key that is in use already keeps its delivery out; the caller looks up why. The first of an ordering key that nobody waits
# for is its head at once; behind others it is looked at by a worker.
_ACCEPT = """
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::uuid[], $5::bytea[], $6::text[], $7::jsonb[], $8::int[],
        $9::int[], $10::text[], $11::timestamptz[], $12::text[], $13::bytea[]) WITH ORDINALITY AS g (tenant_id, id, accepted_at,
        webhook_id, payload, triggered_by, metadata, timeout_ms, max_retries, ordering_key, deliver_before, idempotency_key,
        request_hash, place)
), keyed AS (
    INSERT INTO idempotency_keys AS k (tenant_id, key, request_hash, message_id, expires_at)
    SELECT tenant_id, idempotency_key, request_hash, id, now() + interval '24 hours' FROM given
    WHERE idempotency_key IS NOT NULL ORDER BY tenant_id, idempotency_key
    ON CONFLICT (tenant_id, key) DO UPDATE SET request_hash = excluded.request_hash, message_id = excluded.message_id,
        answer = NULL, locked_until = NULL, expires_at = excluded.expires_at WHERE k.expires_at <= now()
    RETURNING message_id
), fresh AS (
    SELECT * FROM given WHERE idempotency_key IS NULL OR id IN (SELECT message_id FROM keyed)
), stored AS (
    INSERT INTO webhook_deliveries (tenant_id, id, accepted_at, webhook_id, payload, triggered_by, metadata, timeout_ms,
        max_retries, ordering_key, deliver_before, idempotency_key)
    SELECT tenant_id, id, accepted_at, webhook_id, payload, triggered_by, metadata, timeout_ms, max_retries, ordering_key,
        deliver_before, idempotency_key FROM fresh
), heads AS (
    SELECT DISTINCT ON (webhook_id, ordering_key) * FROM fresh f
    WHERE ordering_key IS NOT NULL AND NOT EXISTS (
        SELECT FROM delivery_queue q WHERE q.webhook_id = f.webhook_id AND q.ordering_key = f.ordering_key)
    ORDER BY webhook_id, ordering_key, place
), led AS (
    INSERT INTO delivery_queue (tenant_id, id, accepted_at, webhook_id, ready, due_at, ordering_key, head, deliver_before)
    SELECT tenant_id, id, accepted_at, webhook_id, true, now(), ordering_key, true, deliver_before FROM heads
    ORDER BY webhook_id, ordering_key
    ON CONFLICT (webhook_id, ordering_key) WHERE head DO NOTHING
    RETURNING id
), queued AS (
    INSERT INTO delivery_queue (tenant_id, id, accepted_at, webhook_id, ready, due_at, ordering_key, deliver_before)
    SELECT tenant_id, id, accepted_at, webhook_id, ordering_key IS NULL, now(), ordering_key, deliver_before FROM fresh
    WHERE id NOT IN (SELECT id FROM led) ORDER BY place
), counted AS (
    INSERT INTO delivery_ledger AS l (id, accepted) SELECT $14, count(*) FROM fresh
    ON CONFLICT (tenant_id, id) DO UPDATE SET accepted = l.accepted + excluded.accepted, updated_at = clock_timestamp()
)
SELECT id, pg_notify('hookvault_deliveries', CASE WHEN ordering_key IS NULL OR id IN (SELECT id FROM led)
    THEN webhook_id::text ELSE 'ordered' END) FROM fresh
"""

_ENQUEUE_WITH = "SELECT hookvault_enqueue($1, $2, $3, $4::text::jsonb)"

_EXISTING = """
SELECT d.id FROM unnest($1::text[], $2::timestamptz[], $3::uuid[]) AS k (tenant_id, accepted_at, id)
CROSS JOIN LATERAL (
    SELECT m.id FROM webhook_deliveries m
    WHERE m.tenant_id = k.tenant_id AND m.accepted_at = k.accepted_at AND m.id = k.id LIMIT 1
) d
"""

_APPEND = """
UPDATE webhook_deliveries d SET trail = d.trail || $4::jsonb
FROM unnest($1::text[], $2::timestamptz[], $3::uuid[]) AS k (tenant_id, accepted_at, id)
WHERE d.tenant_id = k.tenant_id AND d.accepted_at = k.accepted_at AND d.id = k.id AND d.accepted_at >= $5 AND d.accepted_at <= $6
    AND jsonb_array_length(d.trail) < 100
"""

_HELD = f"""EXISTS (SELECT FROM delivery_holds h WHERE h.tenant_id = d.tenant_id AND h.until IS NULL
    AND h.webhook_id IN (d.webhook_id, '{WHOLE_TENANT}'))"""

_SHOWN = f"""d.id, d.tenant_id, d.webhook_id, w.workflow_name,
    CASE WHEN d.status = 'pending' AND {_HELD} THEN 'held' ELSE d.status END AS status, d.accepted_at, d.finished_at,
    CASE WHEN q.ready THEN now() WHEN q.leased_by IS NULL THEN nullif(q.due_at, 'infinity') END AS next_attempt_at,
    CASE WHEN d.status = 'pending' THEN coalesce(q.attempts, 0) ELSE d.attempts END AS attempts, d.status_code, d.error_code,
    d.error_message, d.triggered_by, d.ordering_key, d.deliver_before, d.idempotency_key, d.replay_of, d.expunged_at"""

_JOINED = """FROM webhook_deliveries d LEFT JOIN delivery_queue q ON q.tenant_id = d.tenant_id AND q.id = d.id
LEFT JOIN n8n_webhooks w ON w.tenant_id = d.tenant_id AND w.id = d.webhook_id
WHERE d.tenant_id = $1"""

_REPLAYABLE = "w.deleted_at IS NULL AND w.id IS NOT NULL AND d.expunged_at IS NULL"

_LIST = f"SELECT {_SHOWN} {_JOINED}"

_STORY = f"""SELECT {_SHOWN}, d.payload, d.metadata, w.policy, d.kept_policy, d.trail || coalesce(q.trail, '[]') AS trail {_JOINED}
AND d.accepted_at = $2 AND d.id = $3"""

_FAILED = """
SELECT d.tenant_id, count(*) AS failed FROM webhook_deliveries d JOIN tenants t ON t.id = d.tenant_id
WHERE d.accepted_at >= $1 AND d.accepted_at >= t.created_at AND d.status IN ('failed', 'expired')
GROUP BY 1 ORDER BY 2 DESC, 1
"""

_HOLDS = """
SELECT reason, since, until, probe_at FROM delivery_holds
WHERE tenant_id = $1 AND webhook_id = ANY($2) AND (until IS NULL OR until > $3) AND since < coalesce($4::timestamptz, 'infinity')
ORDER BY since LIMIT 100
"""

_REPLAYED_AS = """
SELECT id, accepted_at FROM webhook_deliveries WHERE tenant_id = $1 AND replay_of = $2 AND accepted_at >= $3 ORDER BY id LIMIT 100
"""

# A delivery made again: its payload is copied inside the database, and the new one counts as accepted.
_REPLAY = """
WITH given AS (
    SELECT * FROM unnest($2::uuid[], $3::timestamptz[], $4::uuid[], $5::timestamptz[]) WITH ORDINALITY
        AS g (old_id, old_at, id, accepted_at, place)
), copied AS (
    SELECT g.id, g.accepted_at, g.place, d.id AS replay_of, d.webhook_id, d.payload, d.triggered_by, d.metadata, d.timeout_ms,
        d.max_retries, d.ordering_key
    FROM given g JOIN webhook_deliveries d ON d.tenant_id = $1 AND d.accepted_at = g.old_at AND d.id = g.old_id
        AND d.expunged_at IS NULL
), stored AS (
    INSERT INTO webhook_deliveries (tenant_id, id, accepted_at, webhook_id, payload, triggered_by, metadata, timeout_ms,
        max_retries, ordering_key, replay_of)
    SELECT $1, id, accepted_at, webhook_id, payload, triggered_by, metadata, timeout_ms, max_retries, ordering_key, replay_of
    FROM copied
), queued AS (
    INSERT INTO delivery_queue (tenant_id, id, accepted_at, webhook_id, ready, due_at, ordering_key)
    SELECT $1, id, accepted_at, webhook_id, ordering_key IS NULL, now(), ordering_key FROM copied ORDER BY place
), counted AS (
    INSERT INTO delivery_ledger AS l (id, accepted) SELECT $6, count(*) FROM copied
    ON CONFLICT (tenant_id, id) DO UPDATE SET accepted = l.accepted + excluded.accepted, updated_at = clock_timestamp()
)
SELECT count(*),
    max(pg_notify('hookvault_deliveries', CASE WHEN ordering_key IS NULL THEN webhook_id::text ELSE 'ordered' END)::text)
FROM copied
"""

_REPLAY_COLUMNS = "id, tenant_id, filter, rate, total, done, status, created_at, created_by, updated_at, finished_at"

_START_REPLAY = f"""
INSERT INTO delivery_replays (tenant_id, id, filter, rate, total, after_at, after_id, created_at, created_by, updated_at)
VALUES ($1, $2, $3, $4, $5, '-infinity', '{WHOLE_TENANT}', $6, $7, now()) RETURNING {_REPLAY_COLUMNS}
"""  # noqa: S608 - constants only

_GET_REPLAY = f"SELECT {_REPLAY_COLUMNS} FROM delivery_replays WHERE tenant_id = $1 AND id = $2"  # noqa: S608 - constants only

_LIST_REPLAYS = f"""
SELECT {_REPLAY_COLUMNS} FROM delivery_replays WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
"""  # noqa: S608 - constants only

_CANCEL_REPLAY = """
UPDATE delivery_replays SET status = 'cancelled', finished_at = now(), updated_at = now()
WHERE tenant_id = $1 AND id = $2 AND status = 'running'
"""

_FORGET_REPLAYS = "DELETE FROM delivery_replays WHERE tenant_id = $1"

# One process at a time works on a replay. What it may do now is the rate times the time that it has not used yet, a second at
# most: what nobody worked on for an hour does not come all at once.
_NEXT_REPLAY = f"""
SELECT {_REPLAY_COLUMNS}, after_at, after_id, extract(epoch FROM clock_timestamp() - updated_at)::float8 AS since_s
FROM delivery_replays WHERE status = 'running' AND tenant_id || id::text <> ALL($1) ORDER BY updated_at LIMIT 1
FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - constants only

_SET_BACK_REPLAYS = """
UPDATE delivery_replays SET updated_at = clock_timestamp() WHERE status = 'running' AND updated_at > clock_timestamp()
"""

_ADVANCE_REPLAY = """
UPDATE delivery_replays SET done = done + $3, after_at = $4, after_id = $5,
    updated_at = greatest(updated_at + make_interval(secs => $3 / rate), clock_timestamp() - interval '1 second'),
    status = CASE WHEN $6 THEN 'finished' ELSE status END, finished_at = CASE WHEN $6 THEN clock_timestamp() END
WHERE tenant_id = $1 AND id = $2
"""


# Only of what is delivered: a late answer of a worker that lost its lease must not take from another what that one sends.
_STRIP = """
UPDATE webhook_deliveries d SET payload = k.payload, metadata = k.metadata, expunged_at = clock_timestamp()
FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::bytea[], $5::jsonb[])
    AS k (tenant_id, id, accepted_at, payload, metadata)
WHERE d.tenant_id = k.tenant_id AND d.accepted_at = k.accepted_at AND d.id = k.id AND d.accepted_at >= $6 AND d.accepted_at <= $7
    AND d.status = 'delivered' AND d.expunged_at IS NULL
"""

# With a tenant its webhooks' rows go: what waits keeps the policy that hides it.
_KEEP_POLICIES = """
UPDATE webhook_deliveries d SET kept_policy = w.policy FROM delivery_queue q, n8n_webhooks w
WHERE q.tenant_id = $1 AND w.tenant_id = q.tenant_id AND w.id = q.webhook_id AND w.policy ?| ARRAY['redactPaths', 'keepPayloads']
    AND d.tenant_id = q.tenant_id AND d.accepted_at = q.accepted_at AND d.id = q.id
"""


async def accept(tx: SystemTx, deliveries: Sequence[NewDelivery], ledger_id: UUID) -> set[UUID]:
    """Accepts deliveries; the ids of those whose idempotency key was not in use. No two may share a key."""
    rows = await tx.fetch(_ACCEPT, *zip(*deliveries, strict=True), ledger_id)
    return {row["id"] for row in rows}


async def list_existing(tx: SystemTx, deliveries: Sequence[NewDelivery]) -> set[UUID]:
    """The ids of those that were accepted already."""
    keys = zip(*[(item.tenant_id, item.accepted_at, item.id) for item in deliveries], strict=True)
    return {row["id"] for row in await tx.fetch(_EXISTING, *keys)}


async def enqueue_with(connection: Any, tenant_id: str, workflow_name: str, payload: str, options: str) -> UUID:
    """Accepts a delivery on somebody else's asyncpg connection, in the transaction that is open there."""
    made: UUID = await connection.fetchval(_ENQUEUE_WITH, tenant_id, workflow_name, payload, options)
    return made


async def append(tx: SystemTx, deliveries: Sequence[tuple[str, UUID]], entry: dict[str, Any]) -> None:
    """Adds an entry to the trails of deliveries (tenant and id), each of which keeps a hundred of them."""
    keys = sorted(deliveries)
    moments = [id_time(identifier) for _, identifier in keys]
    columns = [tenant_id for tenant_id, _ in keys], moments, [identifier for _, identifier in keys]
    await tx.execute(_APPEND, *columns, [entry], min(moments), max(moments))


async def find(tx: TenantTx, delivery_id: UUID) -> tuple[Delivery, Row] | None:
    """A delivery, and the row with its payload, metadata and trail; None when there is none."""
    try:
        moment = id_time(delivery_id)
    except (OverflowError, ValueError):  # a UUID of another kind, whose first bits name a year past 9999
        return None
    row = await tx.fetchrow(_STORY, tx.tenant_id, moment, delivery_id)
    return None if row is None else (_delivery(row), row)


async def list_holds(tx: TenantTx, webhook_id: UUID, since: datetime, until: datetime | None) -> Sequence[Hold]:
    """The holds of a webhook that fall into a period, oldest first."""
    rows = await tx.fetch(_HOLDS, tx.tenant_id, [webhook_id, WHOLE_TENANT], since, until)
    return [Hold(**row) for row in rows]


async def list_replays_of(tx: TenantTx, delivery_id: UUID) -> Sequence[tuple[UUID, datetime]]:
    """The deliveries that were made again from one, and when."""
    rows = await tx.fetch(_REPLAYED_AS, tx.tenant_id, delivery_id, id_time(delivery_id))
    return [(row["id"], row["accepted_at"]) for row in rows]


async def list_page(tx: TenantTx, which: DeliveryFilter, *, limit: int, cursor: str | None = None) -> Page[Delivery]:
    """A page of deliveries, newest first. Raises InvalidError for a foreign cursor."""
    conditions, values = _conditions(which)
    after = time_id_cursor(_CURSOR, cursor)
    if after is not None:
        values += after
        conditions.append(f"(d.accepted_at, d.id) < (${len(values)}, ${len(values) + 1})")  # numbered from $2
    statement = "".join([_LIST, *[f" AND {condition}" for condition in conditions]])
    rows = await tx.fetch(
        f"{statement} ORDER BY d.accepted_at DESC, d.id DESC LIMIT {limit + 1}", tx.tenant_id, *values
    )
    return cut([_delivery(row) for row in rows], limit, _cursor_of)


async def count(tx: Tx, tenant_id: str, which: DeliveryFilter) -> int:
    """How many deliveries a replay of this filter would make again."""
    conditions, values = _conditions(which)
    statement = " AND ".join([_REPLAYABLE, *conditions])
    found = await tx.fetchval(f"SELECT count(*) {_JOINED} AND {statement}", tenant_id, *values)
    return int(found)


async def count_failed(tx: SystemTx, since: datetime) -> Sequence[tuple[str, int]]:
    """Tenants with how many of their deliveries, accepted since a moment, failed or expired; most first. Reads all of these."""
    return [(row["tenant_id"], row["failed"]) for row in await tx.fetch(_FAILED, since)]


async def list_from(
    tx: SystemTx, tenant_id: str, which: DeliveryFilter, after: tuple[datetime, UUID], limit: int
) -> Sequence[tuple[UUID, datetime]]:
    """The next deliveries of a replay, oldest first: id and time of acceptance."""
    conditions, values = _conditions(which)
    values += after
    place = f"(d.accepted_at, d.id) > (${len(values)}, ${len(values) + 1})"
    statement = " AND ".join([_REPLAYABLE, *conditions, place])
    rows = await tx.fetch(
        f"SELECT d.id, d.accepted_at {_JOINED} AND {statement} ORDER BY d.accepted_at, d.id LIMIT {limit}",
        tenant_id,
        *values,
    )
    return [(row["id"], row["accepted_at"]) for row in rows]


async def replay(
    tx: SystemTx, tenant_id: str, pairs: Sequence[tuple[tuple[UUID, datetime], UUID]], ledger_id: UUID
) -> int:
    """Makes deliveries again under new ids; how many. `pairs`: (id and time of the old one, the new id)."""
    old, new = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    columns = ([id_ for id_, _ in old], [at for _, at in old], new, [id_time(id_) for id_ in new])
    return int(await tx.fetchval(_REPLAY, tenant_id, *columns, ledger_id))


async def start_replay(
    tx: TenantTx, replay_id: UUID, stored: dict[str, Any], *, rate: float, total: int, author: str
) -> Replay:
    """Stores a replay to be worked on."""
    row = await tx.fetchrow(_START_REPLAY, tx.tenant_id, replay_id, stored, rate, total, id_time(replay_id), author)
    assert row is not None  # noqa: S101 - RETURNING gives a row, or the INSERT has raised
    return Replay(**row)


async def find_replay(tx: TenantTx, replay_id: UUID) -> Replay | None:
    """One replay."""
    row = await tx.fetchrow(_GET_REPLAY, tx.tenant_id, replay_id)
    return None if row is None else Replay(**row)


async def list_replays(tx: TenantTx, *, limit: int, cursor: str | None) -> Page[Replay]:
    """A page of a tenant's replays, newest first. Raises InvalidError for a foreign cursor."""
    after = time_id_cursor("replays", cursor)
    rows = await tx.fetch(_LIST_REPLAYS, tx.tenant_id, after[1] if after else None, limit + 1)
    return cut(
        [Replay(**row) for row in rows],
        limit,
        lambda item: encode_cursor("replays", iso(item.created_at), str(item.id)),
    )


async def cancel_replay(tx: TenantTx, replay_id: UUID) -> bool:
    """Stops a replay; whether it was running."""
    return await tx.execute(_CANCEL_REPLAY, tx.tenant_id, replay_id) > 0


async def strip(tx: SystemTx, kept: Sequence[Kept]) -> None:
    """Leaves of delivered payloads what may be kept, in the transaction that ends them."""
    moments = [item.accepted_at for item in kept]
    await tx.execute(_STRIP, *zip(*kept, strict=True), min(moments), max(moments))


async def keep_policies(tx: SystemTx, tenant_id: str) -> None:
    """Notes with what waits of a tenant that is being deleted what may be shown of it."""
    await tx.execute(_KEEP_POLICIES, tenant_id)


async def forget_replays(tx: SystemTx, tenant_id: str) -> None:
    """Deletes a deleted tenant's replays; what they made stays."""
    await tx.execute(_FORGET_REPLAYS, tenant_id)


async def next_replay(tx: SystemTx, passed: Sequence[str]) -> Row | None:
    """A running replay that nobody works on, locked; with its place and the seconds that it has not used yet."""
    return await tx.fetchrow(_NEXT_REPLAY, list(passed))


async def set_back_replays(tx: SystemTx) -> None:
    """After the clock was set back: replays go on from now."""
    await tx.execute(_SET_BACK_REPLAYS)


async def advance_replay(
    tx: SystemTx, key: tuple[str, UUID], done: int, after: tuple[datetime, UUID], *, last: bool
) -> None:
    """Notes how far a replay came, in the transaction that brought it there."""
    await tx.execute(_ADVANCE_REPLAY, *key, done, *after, last)


def _delivery(row: Row) -> Delivery:
    return Delivery(**{name: row[name] for name in Delivery.__slots__})


def _conditions(which: DeliveryFilter) -> tuple[list[str], list[Any]]:
    """The SQL conditions of a filter and their values, numbered from $2."""
    conditions: list[str] = []
    values: list[Any] = []

    def add(condition: str, value: Any) -> None:
        values.append(value)
        conditions.append(condition.format(f"${len(values) + 1}"))

    if which.status:
        kept = sorted({"pending" if status == "held" else status for status in which.status})
        add("d.status = ANY({})", kept)
        if "held" not in which.status:
            conditions.append(f"(d.status <> 'pending' OR NOT {_HELD})")
        elif "pending" not in which.status:
            conditions.append(f"(d.status <> 'pending' OR {_HELD})")
    for condition, value in (
        ("d.webhook_id = {}", which.webhook_id),
        ("d.error_code = {}", which.error_code),
        ("d.accepted_at >= {}", which.start),
        ("d.accepted_at < {}", which.end),
        ("d.finished_at <= {}", which.ended_by),
    ):
        if value is not None:
            add(condition, value)
    return conditions, values


def _cursor_of(delivery: Delivery) -> str:
    return encode_cursor(_CURSOR, iso(delivery.accepted_at), str(delivery.id))
