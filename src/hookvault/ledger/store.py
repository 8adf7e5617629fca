"""All SQL that reads and folds delivery_ledger. Whoever accepts or ends a delivery counts it there in the same statement."""

from collections.abc import Sequence
from uuid import UUID

from hookvault.db.pool import SystemTx, Tx
from hookvault.ledger.model import Ledger

_FOLDED = UUID(int=0)  # the row that takes in those of writers that are gone

_HOLDS = "held AS (SELECT DISTINCT tenant_id, webhook_id FROM delivery_holds WHERE until IS NULL)"
_IS_HELD = """EXISTS (SELECT FROM held h WHERE h.tenant_id = q.tenant_id
    AND h.webhook_id IN (q.webhook_id, '00000000-0000-0000-0000-000000000000'))"""

_LEDGER = f"""
WITH {_HOLDS}, jobs AS (SELECT count(*) AS jobs, count(*) FILTER (WHERE {_IS_HELD}) AS held FROM delivery_queue q)
SELECT coalesce(sum(accepted), 0)::bigint AS accepted, coalesce(sum(delivered), 0)::bigint AS delivered,
    coalesce(sum(failed), 0)::bigint AS failed, coalesce(sum(expired), 0)::bigint AS expired,
    (SELECT jobs - held FROM jobs) AS pending, (SELECT held FROM jobs) AS held
FROM delivery_ledger
"""  # noqa: S608 - constants only

_HELD = f"""
WITH {_HOLDS}
SELECT q.tenant_id, count(*) AS held FROM delivery_queue q WHERE {_IS_HELD} GROUP BY 1 ORDER BY 2 DESC, 1
"""  # noqa: S608 - constants only

_FOLD = """
WITH old AS (
    DELETE FROM delivery_ledger WHERE (tenant_id, id) IN (
        SELECT tenant_id, id FROM delivery_ledger WHERE id <> $1 AND updated_at < now() - interval '10 minutes' LIMIT 5000
        FOR UPDATE SKIP LOCKED)
    RETURNING accepted, delivered, failed, expired
)
INSERT INTO delivery_ledger AS l (id, accepted, delivered, failed, expired)
SELECT $1, sum(accepted), sum(delivered), sum(failed), sum(expired) FROM old HAVING count(*) > 0
ON CONFLICT (tenant_id, id) DO UPDATE SET accepted = l.accepted + excluded.accepted, delivered = l.delivered + excluded.delivered,
    failed = l.failed + excluded.failed, expired = l.expired + excluded.expired, updated_at = clock_timestamp()
"""


async def read_ledger(tx: Tx) -> Ledger:
    """The whole account, from one snapshot. Counts the queue: ask rarely."""
    row = await tx.fetchrow(_LEDGER)
    assert row is not None  # noqa: S101 - an aggregate always gives a row
    return Ledger(**row)


async def count_held(tx: SystemTx) -> Sequence[tuple[str, int]]:
    """Tenants with how many of their deliveries are held, most first. Reads the queue: ask rarely."""
    return [(row["tenant_id"], row["held"]) for row in await tx.fetch(_HELD)]


async def fold_ledger(tx: SystemTx) -> None:
    """Adds the rows of writers that are gone to one."""
    await tx.execute(_FOLD, _FOLDED)
