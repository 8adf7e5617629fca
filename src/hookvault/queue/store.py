"""The SQL on delivery_queue that claims jobs and keeps them moving; that which ends them is `ending`'s."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hookvault.db.pool import SystemTx, Tx
from hookvault.queue.model import Candidate, Job, Lane, Message

LEASE_S = 30.0
STAGED_AT_ONCE = 2000
_LANE_WEBHOOKS, _LANES_EACH = 100, 20
SUSPECT = 3  # leases lost, from which on a job is called alone
FIRST = UUID(int=0)  # before every webhook
_CLOCK_SLACK = timedelta(seconds=5)

# Hops along the index of ready jobs, from webhook to webhook: its cost goes by how many webhooks have something to do, not by
# how much.
_HOP = """
WITH RECURSIVE hop AS (
    (SELECT webhook_id, tenant_id FROM delivery_queue WHERE ready AND webhook_id > $1 ORDER BY webhook_id LIMIT 1)
    UNION ALL
    SELECT n.webhook_id, n.tenant_id FROM hop CROSS JOIN LATERAL (
        SELECT q.webhook_id, q.tenant_id FROM delivery_queue q WHERE q.ready AND q.webhook_id > hop.webhook_id
        ORDER BY q.webhook_id LIMIT 1
    ) n
), found AS (SELECT * FROM hop LIMIT $2)
"""

_NAMED = """
WITH found AS (
    SELECT j.webhook_id, j.tenant_id FROM unnest($1::uuid[]) AS k (webhook_id) CROSS JOIN LATERAL (
        SELECT q.webhook_id, q.tenant_id FROM delivery_queue q WHERE q.ready AND q.webhook_id = k.webhook_id
        ORDER BY q.seq LIMIT 1
    ) j
)
"""

# Each webhook found is judged at once: does it still exist, is it held, in which version.
_JUDGED = """
SELECT f.webhook_id, f.tenant_id, w.id IS NOT NULL AND t.id IS NOT NULL AS alive, coalesce(h.held, false) AS held,
    coalesce(h.circuit, false) AS circuit, coalesce(h.probe, false) AS probe,
    concat_ws('.', w.config_version, w.key_version, t.version) AS version
FROM found f
LEFT JOIN n8n_webhooks w ON w.tenant_id = f.tenant_id AND w.id = f.webhook_id AND w.deleted_at IS NULL
LEFT JOIN tenants t ON t.id = f.tenant_id
LEFT JOIN LATERAL (
    SELECT bool_or(reason <> 'circuit_open') AS held, bool_or(reason = 'circuit_open') AS circuit,
        bool_or(reason = 'circuit_open' AND probe_at <= now()) AS probe
    FROM delivery_holds x WHERE x.tenant_id = f.tenant_id AND x.until IS NULL
        AND x.webhook_id IN (f.webhook_id, '00000000-0000-0000-0000-000000000000')
) h ON true
"""

_CANDIDATES = f"{_HOP}{_JUDGED} ORDER BY f.webhook_id"

_CANDIDATES_NAMED = f"{_NAMED}{_JUDGED}"

# A claim is a lease: the job comes back by itself when its worker does not answer in time. One whose lease had ended says so.
# Of jobs that lost several workers one may be what killed them: they are taken singly, lest the others be given up with it.
_CLAIM = f"""
WITH chosen AS (
    SELECT j.ctid AS place, j.lost FROM unnest($1::uuid[], $2::int[]) AS wanted (webhook_id, most)
    CROSS JOIN LATERAL (
        SELECT q.ctid, q.lost + (q.leased_by IS NOT NULL)::int AS lost FROM delivery_queue q
        WHERE q.ready AND q.webhook_id = wanted.webhook_id ORDER BY q.seq LIMIT wanted.most FOR UPDATE SKIP LOCKED
    ) j
)
UPDATE delivery_queue q SET ready = false, due_at = now() + make_interval(secs => $4), leased_by = $3, claims = q.claims + 1,
    lost = chosen.lost,
    trail = CASE WHEN q.leased_by IS NULL THEN q.trail ELSE q.trail || jsonb_build_object('at', to_char(now() AT TIME ZONE 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'event', 'lease_lost', 'worker', q.leased_by) END
FROM chosen WHERE q.ctid = chosen.place AND (
    chosen.lost < {SUSPECT} OR $5 AND chosen.place = (SELECT place FROM chosen WHERE lost >= {SUSPECT} LIMIT 1))
RETURNING q.tenant_id, q.id, q.accepted_at, q.webhook_id, q.claims, q.attempts, q.lost, q.ordering_key, q.deliver_before,
    (q.trail #> '{{-1,once}}')::boolean AS was_once
"""  # noqa: S608 - constants only

# Row by row, which the LIMIT says: joined, it may be planned as all that was accepted between the oldest and the newest of them.
_MESSAGES = """
SELECT d.* FROM unnest($1::text[], $2::timestamptz[], $3::uuid[]) AS k (tenant_id, accepted_at, id)
CROSS JOIN LATERAL (
    SELECT m.id, m.payload, m.triggered_by, m.metadata::text AS metadata, m.timeout_ms, m.max_retries FROM webhook_deliveries m
    WHERE m.tenant_id = k.tenant_id AND m.accepted_at = k.accepted_at AND m.id = k.id
        AND m.accepted_at >= $4 AND m.accepted_at <= $5 LIMIT 1
) d
"""

_LOCK_LANES = """
SELECT pg_advisory_xact_lock(k) FROM (
    SELECT DISTINCT hashtextextended(webhook_id || ' ' || ordering_key, 0) AS k
    FROM unnest($1::uuid[], $2::text[]) AS l (webhook_id, ordering_key) ORDER BY k
) locks
"""

_STAGE = """
UPDATE delivery_queue q SET ready = true FROM (
    SELECT tenant_id, id FROM delivery_queue
    WHERE NOT ready AND due_at <= now() AND (ordering_key IS NULL OR head) ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
) d
WHERE q.tenant_id = d.tenant_id AND q.id = d.id
RETURNING q.webhook_id
"""

# Hops from webhook to webhook as the candidates do, so that one with many ordering keys holds up no other's.
_UNSEEN = "NOT ready AND NOT head AND ordering_key IS NOT NULL AND due_at < 'infinity'"

_LANES_UNSEEN = f"""
WITH RECURSIVE hop AS (
    (SELECT webhook_id FROM delivery_queue WHERE {_UNSEEN} AND webhook_id > $1 ORDER BY webhook_id LIMIT 1)
    UNION ALL
    SELECT n.webhook_id FROM hop CROSS JOIN LATERAL (
        SELECT webhook_id FROM delivery_queue WHERE {_UNSEEN} AND webhook_id > hop.webhook_id ORDER BY webhook_id LIMIT 1
    ) n
)
SELECT DISTINCT l.webhook_id, l.ordering_key FROM (SELECT * FROM hop LIMIT $2) hop CROSS JOIN LATERAL (
    SELECT q.webhook_id, q.ordering_key FROM delivery_queue q WHERE {_UNSEEN} AND q.webhook_id = hop.webhook_id
    ORDER BY q.ordering_key LIMIT $3
) l
ORDER BY l.webhook_id
"""  # noqa: S608 - constants only

_PROMOTE = """
UPDATE delivery_queue q SET ready = true, head = true, due_at = now()
FROM unnest($1::uuid[], $2::text[]) AS l (webhook_id, ordering_key)
CROSS JOIN LATERAL (
    SELECT j.tenant_id, j.id FROM delivery_queue j
    WHERE j.webhook_id = l.webhook_id AND j.ordering_key = l.ordering_key ORDER BY j.seq LIMIT 1
) first
WHERE q.tenant_id = first.tenant_id AND q.id = first.id AND NOT EXISTS (
    SELECT FROM delivery_queue h WHERE h.webhook_id = l.webhook_id AND h.ordering_key = l.ordering_key AND h.head)
RETURNING q.webhook_id
"""

# Only behind a head, whose end has the next one looked at: what was accepted since _PROMOTE found nobody would wait for ever.
_BLOCK = """
UPDATE delivery_queue q SET due_at = 'infinity'
FROM unnest($1::uuid[], $2::text[]) AS l (webhook_id, ordering_key)
WHERE q.webhook_id = l.webhook_id AND q.ordering_key = l.ordering_key AND NOT q.ready AND NOT q.head AND q.due_at < 'infinity'
    AND EXISTS (SELECT FROM delivery_queue h WHERE h.webhook_id = l.webhook_id AND h.ordering_key = l.ordering_key AND h.head)
"""

# Of a process's leases those that it does not know of: the connection was lost with the claim's answer.
_DISOWN = """
UPDATE delivery_queue SET ready = true, due_at = now(), leased_by = NULL
WHERE NOT ready AND due_at BETWEEN now() AND now() + make_interval(secs => $3) AND leased_by = $1 AND id <> ALL($2)
RETURNING webhook_id
"""

_RENEW = """
UPDATE delivery_queue q SET due_at = now() + make_interval(secs => $4) FROM (
    SELECT j.tenant_id, j.id FROM unnest($1::text[], $2::uuid[], $3::int[]) AS k (tenant_id, id, claims)
    JOIN delivery_queue j ON j.tenant_id = k.tenant_id AND j.id = k.id AND j.claims = k.claims AND NOT j.ready
    ORDER BY j.tenant_id, j.id FOR UPDATE OF j SKIP LOCKED
) mine
WHERE q.tenant_id = mine.tenant_id AND q.id = mine.id
"""

_RELEASE = """
UPDATE delivery_queue q SET ready = true, due_at = now(), leased_by = NULL
FROM unnest($1::text[], $2::uuid[], $3::int[]) AS k (tenant_id, id, claims)
WHERE q.tenant_id = k.tenant_id AND q.id = k.id AND q.claims = k.claims
"""

_EXPIRED = """
SELECT tenant_id, id, accepted_at, webhook_id, ordering_key FROM delivery_queue
WHERE deliver_before <= now() AND (leased_by IS NULL OR due_at <= now()) LIMIT 500
"""

_OF_WEBHOOK = """
SELECT q.tenant_id, q.id, q.accepted_at, q.webhook_id, q.ordering_key FROM delivery_queue q
WHERE q.tenant_id = $1 AND ($2::uuid IS NULL OR q.webhook_id = $2) AND (q.leased_by IS NULL OR q.due_at <= now())
    AND NOT EXISTS (SELECT FROM n8n_webhooks w WHERE w.tenant_id = $1 AND w.id = q.webhook_id AND w.deleted_at IS NULL)
LIMIT $3
"""

# What waits for a webhook that was deleted in the very moment that it was accepted.
_ORPHANS = """
SELECT q.tenant_id, q.id, q.accepted_at, q.webhook_id, q.ordering_key FROM delivery_queue q
WHERE q.accepted_at < now() - interval '1 minute' AND (q.leased_by IS NULL OR q.due_at <= now()) AND NOT EXISTS (
    SELECT FROM n8n_webhooks w WHERE w.tenant_id = q.tenant_id AND w.id = q.webhook_id AND w.deleted_at IS NULL)
LIMIT 500
"""

_READ_CLOCK = "SELECT seen_at, clock_timestamp() AS present FROM delivery_clock FOR UPDATE SKIP LOCKED"

_SET_CLOCK = "UPDATE delivery_clock SET seen_at = clock_timestamp()"

_NO_CLOCK = "WHERE NOT EXISTS (SELECT FROM delivery_clock)"  # ON CONFLICT alone would wait for whoever has it
_START_CLOCK = f"INSERT INTO delivery_clock SELECT true, now() {_NO_CLOCK} ON CONFLICT DO NOTHING"

_SHIFT = "UPDATE delivery_queue SET due_at = due_at - $1::interval WHERE NOT ready AND due_at < 'infinity'"

_OLDEST = "SELECT min(accepted_at) FROM delivery_queue"


async def list_candidates(tx: Tx, after: UUID, limit: int) -> Sequence[Candidate]:
    """The webhooks after one that have ready jobs, in the order of their ids."""
    return [Candidate(*row) for row in await tx.fetch(_CANDIDATES, after, limit)]


async def list_named(tx: Tx, webhook_ids: Sequence[UUID]) -> Sequence[Candidate]:
    """Those of these webhooks that have ready jobs."""
    return [Candidate(*row) for row in await tx.fetch(_CANDIDATES_NAMED, webhook_ids)]


async def claim(tx: SystemTx, wanted: Sequence[tuple[UUID, int]], worker: UUID, *, suspect: bool = True) -> list[Job]:
    """Leases up to so many ready jobs of each webhook, the oldest first, to a worker; of suspect ones one, or none."""
    webhooks, most = [pair[0] for pair in wanted], [pair[1] for pair in wanted]
    return [Job(*row) for row in await tx.fetch(_CLAIM, webhooks, most, worker, LEASE_S, suspect)]


async def read_messages(tx: SystemTx, jobs: Sequence[Job]) -> dict[UUID, Message]:
    """What each job sends."""
    columns = ([job.tenant_id for job in jobs], [job.accepted_at for job in jobs], [job.id for job in jobs])
    rows = await tx.fetch(_MESSAGES, *columns, min(columns[1]), max(columns[1]))
    return {row["id"]: _message(row) for row in rows}


async def lock_lanes(tx: SystemTx, lanes: Sequence[Lane]) -> None:
    """Holds off whoever else moves jobs of these ordering keys, until the transaction ends."""
    await tx.fetch(_LOCK_LANES, *_columns(lanes))


async def advance(tx: SystemTx, lanes: Sequence[Lane]) -> Sequence[UUID]:
    """Makes the first job of each ordering key without a head its head; the heads' webhooks. The lanes must be locked."""
    return [row["webhook_id"] for row in await tx.fetch(_PROMOTE, *_columns(lanes))]


async def stage(tx: SystemTx) -> Sequence[UUID]:
    """Makes jobs ready whose time has come or whose lease has ended, STAGED_AT_ONCE at most; the webhook of each."""
    return [row["webhook_id"] for row in await tx.fetch(_STAGE, STAGED_AT_ONCE)]


async def list_unseen_lanes(tx: SystemTx, after: UUID) -> tuple[Sequence[Lane], UUID]:
    """Ordering keys with jobs that nobody has looked at, a few of each of the webhooks after one; and where to go on."""
    lanes = [Lane(*row) for row in await tx.fetch(_LANES_UNSEEN, after, _LANE_WEBHOOKS, _LANES_EACH)]
    whole = len({lane.webhook_id for lane in lanes}) == _LANE_WEBHOOKS
    return lanes, lanes[-1].webhook_id if whole else FIRST


async def promote(tx: SystemTx, lanes: Sequence[Lane]) -> Sequence[UUID]:
    """Makes the first job of each ordering key its head, unless it has one, and has the others wait; the heads' webhooks."""
    await lock_lanes(tx, lanes)
    made = await advance(tx, lanes)
    await tx.execute(_BLOCK, *_columns(lanes))
    return made


async def disown(tx: SystemTx, worker: UUID, held: Sequence[UUID]) -> list[UUID]:
    """Gives back what was claimed for a worker that never heard of it; the webhooks that have something ready now."""
    return [row["webhook_id"] for row in await tx.fetch(_DISOWN, worker, held, LEASE_S)]


async def renew(tx: SystemTx, jobs: Sequence[tuple[str, UUID, int]]) -> int:
    """Prolongs the leases of jobs: tenant, id and claims of each."""
    return await tx.execute(_RENEW, *zip(*jobs, strict=True), LEASE_S)


async def release(tx: SystemTx, jobs: Sequence[tuple[str, UUID, int]]) -> None:
    """Gives claimed jobs back that were not called."""
    await tx.execute(_RELEASE, *zip(*jobs, strict=True))


async def list_expired(tx: SystemTx) -> Sequence[Any]:
    """Jobs past their deliverBefore that nobody is calling."""
    return await tx.fetch(_EXPIRED)


async def list_orphans(tx: SystemTx) -> Sequence[Any]:
    """Jobs whose webhook is gone and that nobody is calling."""
    return await tx.fetch(_ORPHANS)


async def list_jobs(tx: SystemTx, tenant_id: str, webhook_id: UUID | None, limit: int) -> Sequence[Any]:
    """Jobs of a deleted webhook, or of all of a tenant's, that nobody is calling."""
    return await tx.fetch(_OF_WEBHOOK, tenant_id, webhook_id, limit)


async def keep_time(tx: SystemTx) -> timedelta | None:
    """Notes the database's time; when it was set back, what waits is brought back with it. By how much, if so."""
    row = await tx.fetchrow(_READ_CLOCK)
    if row is None:  # another process has it just now; written over, what that one was to bring back would stay
        await tx.execute(_START_CLOCK)
        return None
    back: timedelta = row["seen_at"] - row["present"]
    if back > _CLOCK_SLACK:
        await tx.execute(_SHIFT, back)
    await tx.execute(_SET_CLOCK)
    return back if back > _CLOCK_SLACK else None


async def oldest(tx: SystemTx) -> datetime | None:
    """When the oldest delivery that is not ended was accepted."""
    return await tx.fetchval(_OLDEST)  # type: ignore[no-any-return]


def _columns(lanes: Sequence[Lane]) -> tuple[list[UUID], list[str]]:
    return [lane.webhook_id for lane in lanes], [lane.ordering_key for lane in lanes]


def _message(row: Any) -> Message:
    metadata = None if row["metadata"] is None else row["metadata"].encode()
    return Message(row["payload"], row["triggered_by"], metadata, row["timeout_ms"], row["max_retries"])
