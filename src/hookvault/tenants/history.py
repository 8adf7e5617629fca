"""From when on what was recorded of a tenant may be shown."""

from datetime import UTC, datetime

from hookvault.audit import store as audit
from hookvault.db.pool import TenantTx
from hookvault.errors import NotFoundError
from hookvault.tenants import store


async def require_history(tx: TenantTx) -> datetime:
    """From when on the tenant's calls and deliveries may be shown.

    That is its creation, so that whoever is given a deleted tenant's id does not see that one's. Those of a tenant that is
    deleted, and not made anew, stay readable.

    Raises:
        NotFoundError: code `tenant_not_found`, for a tenant that never was.
    """
    created_at = await store.find_created_at(tx)
    if created_at is not None:
        return created_at
    if not await audit.has_events(tx, tx.tenant_id):  # its deletion at least is there
        raise NotFoundError(f"There is no tenant {tx.tenant_id}.", code="tenant_not_found")
    return datetime.min.replace(tzinfo=UTC)
