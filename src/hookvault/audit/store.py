"""All SQL on audit_events. The database roles can insert and read them, and nothing else."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from hookvault.audit.model import Actor, AuditEvent, Outcome
from hookvault.clock import iso, now
from hookvault.db.pool import TenantTx, Tx
from hookvault.ids import new_id
from hookvault.paging import Page, cut, encode_cursor, time_id_cursor

_CURSOR = "audit"

_INSERT = """
INSERT INTO audit_events (tenant_id, id, at, actor_type, actor_id, action, target_type, target_id, outcome, detail, ip, request_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""

# A page of one tenant's events, newest first. UUIDv7 ids sort by time, so the primary key serves the page.
_LIST = """
SELECT id, tenant_id, at, actor_type, actor_id, action, target_type, target_id, outcome, detail, ip, request_id
FROM audit_events
WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC
LIMIT $3
"""

_EXISTS = "SELECT EXISTS (SELECT FROM audit_events WHERE tenant_id = $1)"


async def record(
    tx: Tx,
    actor: Actor,
    action: str,
    target: tuple[str, str],
    *,
    tenant_id: str = "",
    outcome: Outcome = "success",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Appends an event in the caller's transaction: the change and its event are committed together or not at all.

    Args:
        tx: The transaction of the change.
        actor: Who did it.
        action: Noun and verb, such as `webhook.updated`.
        target: Its type and id.
        tenant_id: The tenant it belongs to; empty for the platform's own events. A TenantTx names its own.
        outcome: `success`, or `denied` / `failed` for what was tried.
        detail: Names of changed fields and hints; never a secret.
    """
    owner = tx.tenant_id if isinstance(tx, TenantTx) else tenant_id
    values = (actor.kind, actor.id, action, *target, outcome, dict(detail or {}), actor.ip, actor.request_id)
    await tx.execute(_INSERT, owner, new_id(), now(), *values)


async def list_events(tx: TenantTx, *, limit: int, cursor: str | None) -> Page[AuditEvent]:
    """A page of the tenant's events, newest first. Raises InvalidError for a foreign cursor."""
    after = time_id_cursor(_CURSOR, cursor)
    rows = await tx.fetch(_LIST, tx.tenant_id, after[1] if after else None, limit + 1)
    return cut([AuditEvent(**row) for row in rows], limit, lambda event: _cursor(event.at, event.id))


async def has_events(tx: TenantTx) -> bool:
    """Whether the tenant ever left an event here, also when it was deleted since."""
    return bool(await tx.fetchval(_EXISTS, tx.tenant_id))


def _cursor(at: datetime, identifier: UUID) -> str:
    return encode_cursor(_CURSOR, iso(at), str(identifier))
