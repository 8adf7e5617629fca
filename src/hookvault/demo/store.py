"""All SQL of the demo: which tenants are its, and how old they say they are."""

from datetime import datetime
from typing import NamedTuple

from hookvault.db.pool import SystemTx

# A webhook of the demo keeps who made it, whatever is changed later; a real tenant of the same id has none of that maker.
_LIST = r"""
SELECT tenant_id AS id, max(substring(webhook_url FROM '^http://127\.0\.0\.1:([0-9]+)/webhook/')::int) AS port
FROM n8n_webhooks WHERE created_by = $1 AND deleted_at IS NULL GROUP BY tenant_id ORDER BY tenant_id
"""

_TAKEN = """
SELECT EXISTS (SELECT FROM tenants WHERE id = $1 OR slug = $1) OR EXISTS (SELECT FROM audit_events WHERE tenant_id = $1)
"""

# What was recorded before its tenant was made is never shown, so that the tenant must be as old as its calls.
_AGE = (
    "UPDATE tenants SET created_at = $2 WHERE id = $1",
    "UPDATE tenant_integrations SET created_at = $2 WHERE tenant_id = $1",
    "UPDATE n8n_webhooks SET created_at = $2 WHERE tenant_id = $1",
)


class DemoTenant(NamedTuple):
    """A tenant of the demo, and the port that its webhooks lead to."""

    id: str
    port: int | None


async def list_tenants(tx: SystemTx, maker: str) -> list[DemoTenant]:
    """The tenants with webhooks that the demo made, by id."""
    return [DemoTenant(row["id"], row["port"]) for row in await tx.fetch(_LIST, maker)]


async def is_taken(tx: SystemTx, tenant_id: str) -> bool:
    """Whether a tenant has this id or slug, or had this id once: what is left of that one is not to be mixed with another."""
    return bool(await tx.fetchval(_TAKEN, tenant_id))


async def make_older(tx: SystemTx, tenant_id: str, created_at: datetime) -> None:
    """Has a tenant and what it has be made at an earlier moment."""
    for statement in _AGE:
        await tx.execute(statement, tenant_id, created_at)
