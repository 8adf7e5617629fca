"""A webhook before it is stored: its address, and its fields' first values."""

from hookvault.db.pool import TenantTx
from hookvault.errors import InvalidError
from hookvault.ids import new_id
from hookvault.integrations import store as integrations
from hookvault.outbound.guard import AddressPolicy
from hookvault.tenants import store as tenants
from hookvault.webhooks.change import Editing
from hookvault.webhooks.edit import check_url, kebab_case
from hookvault.webhooks.model import StoredWebhook


async def address(tx: TenantTx, policy: AddressPolicy, workflow_name: str, url: str | None) -> str:
    """The address to store: the one given, or one derived from the tenant's n8n base URL.

    Raises:
        NotFoundError: code `tenant_not_found`.
        InvalidError: `invalid_url`, `address_blocked`, or no URL and nothing to derive it from.
    """
    tenant = await tenants.get(tx, tx.tenant_id)
    if url is None:
        row = await integrations.find(tx)
        n8n = row.configs.get("n8n") if row else None
        if n8n is None or not n8n.enabled:
            message = "Give webhookUrl, or configure and enable the tenant's n8n integration to derive it from."
            raise InvalidError(message, errors=[{"field": "webhookUrl", "message": "is required"}])
        url = derived(n8n.values["baseUrl"], tenant.id, tenant.slug, workflow_name)
    check_url(url, policy)
    return url


def derived(base_url: str, tenant_id: str, slug: str, workflow_name: str) -> str:
    """A webhook's address under a tenant's n8n base URL."""
    base = base_url.rstrip("/")
    named = base.replace("{tenantId}", tenant_id).replace("{slug}", slug)
    return f"{named if named != base else f'{base}/{tenant_id}'}/{kebab_case(workflow_name)}"


def blank(tenant_id: str, workflow_name: str, url: str, editing: Editing) -> StoredWebhook:
    """A new webhook before its fields are set."""
    return StoredWebhook(
        id=new_id(),
        tenant_id=tenant_id,
        workflow_name=workflow_name,
        webhook_url=url,
        description="",
        is_active=True,
        auth_type="none",
        auth_config={},
        auth_token=None,
        static_headers={},
        signing_secret=None,
        policy={},
        secret_hints={},
        key_version=editing.cipher.version,
        config_version=1,
        created_at=editing.moment,
        created_by=editing.author,
        updated_at=editing.moment,
        updated_by=editing.author,
    )
