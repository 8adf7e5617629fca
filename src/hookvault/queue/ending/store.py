"""The SQL that ends jobs: the job goes, its story ends, the ledger counts it, in one statement."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from hookvault.db.pool import SystemTx
from hookvault.queue import store
from hookvault.queue.model import Ack, Lane


class UntoldError(Exception):
    """Jobs ended whose stories were not found: they were removed by hand, or the database has a fault."""

    def __init__(self, missing: int) -> None:
        super().__init__(f"{missing} deliveries ended whose stories did not")
        self.missing = missing


# What every way to an end shares: the job goes, its story ends, the ledger counts it. {gone} says which jobs. What failed keeps
# its payload, and with it the policy that hides it.
_END = """
, story AS (
    UPDATE webhook_deliveries d SET status = e.status, attempts = e.attempts, status_code = e.status_code,
        error_code = e.error_code, error_message = e.error_message, finished_at = clock_timestamp(),
        trail = d.trail || e.trail || e.events, kept_policy = CASE WHEN e.status <> 'delivered' THEN coalesce(d.kept_policy, (
            SELECT w.policy FROM n8n_webhooks w WHERE w.tenant_id = d.tenant_id AND w.id = d.webhook_id
                AND w.policy ?| ARRAY['redactPaths', 'keepPayloads'])) END
    FROM gone e
    WHERE d.tenant_id = e.tenant_id AND d.accepted_at = e.accepted_at AND d.id = e.id
        AND d.accepted_at >= $1 AND d.accepted_at <= $2
    RETURNING 1
), counted AS (
    INSERT INTO delivery_ledger AS l (id, delivered, failed, expired)
    SELECT $3, count(*) FILTER (WHERE status = 'delivered'), count(*) FILTER (WHERE status = 'failed'),
        count(*) FILTER (WHERE status = 'expired') FROM gone
    HAVING count(*) > 0
    ON CONFLICT (tenant_id, id) DO UPDATE SET delivered = l.delivered + excluded.delivered, failed = l.failed + excluded.failed,
        expired = l.expired + excluded.expired, updated_at = clock_timestamp()
)
"""

# Fenced by claims: whoever was thought dead and answers late changes nothing that another worker has by then. A retry for a
# webhook that was deleted during the call is due at once, so that it ends as what waited did.
_ACK = f"""
WITH given AS (
    SELECT * FROM unnest($4::text[], $5::uuid[], $6::timestamptz[], $7::int[], $8::text[], $9::float8[], $10::int[], $11::int[],
        $12::text[], $13::text[], $14::jsonb[]) AS g (tenant_id, id, accepted_at, claims, status, pause_s, attempts, status_code,
        error_code, error_message, events)
), gone AS (
    DELETE FROM delivery_queue q USING given g
    WHERE q.tenant_id = g.tenant_id AND q.id = g.id AND q.claims = g.claims AND g.status <> 'pending'
    RETURNING g.*, q.trail
), again AS (
    UPDATE delivery_queue q SET ready = false, leased_by = NULL, due_at = CASE WHEN EXISTS (
            SELECT FROM n8n_webhooks w WHERE w.tenant_id = q.tenant_id AND w.id = q.webhook_id AND w.deleted_at IS NULL
        ) THEN now() + make_interval(secs => g.pause_s) ELSE now() END,
        attempts = g.attempts, lost = q.lost + (q.attempts = g.attempts)::int, trail = q.trail || g.events
    FROM given g
    WHERE q.tenant_id = g.tenant_id AND q.id = g.id AND q.claims = g.claims AND g.status = 'pending'
    RETURNING 1
){_END}
SELECT (SELECT count(*) FROM gone) AS ended, (SELECT count(*) FROM story) AS told, (SELECT count(*) FROM again) AS put_off
"""  # noqa: S608 - constants only

_END_CHOSEN = f"""
WITH gone AS (
    DELETE FROM delivery_queue q USING (
        SELECT j.tenant_id, j.id FROM unnest($4::text[], $5::uuid[]) AS k (tenant_id, id)
        JOIN delivery_queue j ON j.tenant_id = k.tenant_id AND j.id = k.id
        WHERE j.leased_by IS NULL OR j.due_at <= now() ORDER BY j.tenant_id, j.id FOR UPDATE OF j SKIP LOCKED
    ) k
    WHERE q.tenant_id = k.tenant_id AND q.id = k.id
    RETURNING q.tenant_id, q.id, q.accepted_at, q.attempts, q.trail, $6::text AS status, NULL::int AS status_code,
        $7::text AS error_code, $8::text AS error_message, $9::jsonb AS events
){_END}
SELECT count(*) FROM gone
"""  # noqa: S608 - constants only


async def ack(tx: SystemTx, acks: Sequence[Ack], ledger_id: UUID, *, strict: bool = True) -> int:
    """Ends jobs or puts them off; how many were still this worker's.

    Raises:
        UntoldError: a job ended whose story did not, and that is not accepted: the transaction must be undone.
    """
    span = _span([ack.accepted_at for ack in acks])
    row = await tx.fetchrow(_ACK, *span, ledger_id, *zip(*acks, strict=True))
    assert row is not None  # noqa: S101 - it has no FROM
    if strict and row["told"] < row["ended"]:
        raise UntoldError(row["ended"] - row["told"])
    return int(row["ended"] + row["put_off"])


async def end(tx: SystemTx, jobs: Sequence[Any], verdict: tuple[str, str, str], entry: Any, ledger_id: UUID) -> int:
    """Ends jobs that nobody is calling; how many.

    Args:
        tx: The transaction.
        jobs: Rows of `list_expired` or `list_jobs`.
        verdict: Status, error code and message.
        entry: For their trails.
        ledger_id: Whose row of the ledger counts them.
    """
    if not jobs:
        return 0
    lanes = [Lane(job["webhook_id"], job["ordering_key"]) for job in jobs if job["ordering_key"] is not None]
    if lanes:
        await store.lock_lanes(tx, lanes)
    keys = [job["tenant_id"] for job in jobs], [job["id"] for job in jobs]
    span = _span([job["accepted_at"] for job in jobs])
    ended = int(await tx.fetchval(_END_CHOSEN, *span, ledger_id, *keys, *verdict, [entry]))
    if lanes:
        await store.advance(tx, lanes)
    return ended


def _span(moments: Sequence[datetime]) -> tuple[datetime, datetime]:
    """The first and the last moment: with them a statement touches the partitions of those days only."""
    return min(moments), max(moments)
