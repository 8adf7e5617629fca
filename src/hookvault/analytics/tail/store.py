"""All SQL of the live tail: the calls that others name, what a reader missed, names, and telling other processes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from hookvault.analytics.tail.model import SHOWN, LiveCall
from hookvault.analytics.tail.notice import CallKey
from hookvault.db.listen import LIVE
from hookvault.db.pool import Row, SystemTx, TenantTx, Tx
from hookvault.ids import id_time

_COLUMNS = ", ".join(f'a."{name}"' for name in SHOWN)

_TELL = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload"

_GET = f"""
SELECT {_COLUMNS} FROM unnest($1::text[], $2::timestamptz[], $3::uuid[]) AS wanted (tenant_id, moment, id)
JOIN webhook_analytics a ON a.tenant_id = wanted.tenant_id AND a."timestamp" = wanted.moment AND a.id = wanted.id
"""  # noqa: S608 - constants only

# A call's end is not indexed; none takes longer than 120 s, so it began at most that long before. One of a clock that is
# ahead would seem to have ended just now again and again.
_ENDED = """a."timestamp" > $1::timestamptz - interval '130 seconds'
    AND a."timestamp" < clock_timestamp() + interval '5 seconds'
    AND a."timestamp" + a.response_time * interval '1 millisecond' >= $1"""
_NEWEST = 'ORDER BY a."timestamp" DESC, a.id DESC LIMIT $2'

_LIST = f"SELECT {_COLUMNS} FROM webhook_analytics a WHERE {_ENDED} AND a.tenant_id = $3 {_NEWEST}"  # noqa: S608 - constants only

# Without those of a deleted tenant whose id another one has now.
_LIST_ALL = f"""
SELECT {_COLUMNS} FROM webhook_analytics a LEFT JOIN tenants t ON t.id = a.tenant_id
WHERE {_ENDED} AND (t.created_at IS NULL OR a."timestamp" >= t.created_at) {_NEWEST}
"""  # noqa: S608 - constants only

_TIME = 'SELECT response_time FROM webhook_analytics WHERE "timestamp" = $1 AND id = $2'

_NAMES = """
SELECT wanted.tenant_id, wanted.webhook_id, w.workflow_name, t.created_at
FROM unnest($1::text[], $2::uuid[]) AS wanted (tenant_id, webhook_id)
LEFT JOIN n8n_webhooks w ON w.tenant_id = wanted.tenant_id AND w.id = wanted.webhook_id
LEFT JOIN tenants t ON t.id = wanted.tenant_id
"""


class Named(NamedTuple):
    """What a webhook is called, and since when its tenant exists; None where they are gone."""

    workflow_name: str | None
    created_at: datetime | None


async def tell(tx: SystemTx, notices: Sequence[str]) -> None:
    """Sends notifications to every process that listens, this one among them."""
    await tx.execute(_TELL, LIVE, notices)


async def get_calls(tx: SystemTx, keys: Sequence[CallKey]) -> list[LiveCall]:
    """The calls of these ids, in their order; those that are not there are missing."""
    tenant_ids, call_ids = zip(*keys, strict=True)
    rows = await tx.fetch(_GET, tenant_ids, [id_time(call_id) for call_id in call_ids], call_ids)
    found = {(row["tenant_id"], row["id"]): row for row in rows}
    return [_call(found[key]) for key in keys if key in found]


async def list_ended(tx: Tx, since: datetime, limit: int) -> list[LiveCall]:
    """The newest calls that ended since a moment, the first that ended first: a tenant's in its transaction, else all."""
    if isinstance(tx, TenantTx):
        rows = await tx.fetch(_LIST, since, limit, tx.tenant_id)
    else:
        rows = await tx.fetch(_LIST_ALL, since, limit)
    return sorted([_call(row) for row in rows], key=lambda call: (call.ended, call.id))


async def find_end(tx: Tx, call_id: UUID) -> datetime:
    """When a call ended; of one that is not there, the moment when it was made."""
    began = id_time(call_id)
    response_time: int | None = await tx.fetchval(_TIME, began, call_id)
    return began + timedelta(milliseconds=response_time or 0)


async def get_names(tx: SystemTx, webhooks: Sequence[tuple[str, UUID]]) -> dict[tuple[str, UUID], Named]:
    """What webhooks are called, by tenant and webhook."""
    tenant_ids, webhook_ids = zip(*webhooks, strict=True)
    rows = await tx.fetch(_NAMES, tenant_ids, webhook_ids)
    return {(row["tenant_id"], row["webhook_id"]): Named(row["workflow_name"], row["created_at"]) for row in rows}


def _call(row: Row) -> LiveCall:
    return LiveCall(*[row[name] for name in SHOWN])
