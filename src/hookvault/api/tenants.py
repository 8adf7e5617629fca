"""Tenants over HTTP."""

from fastapi import APIRouter, Response

from hookvault.api.context import Cursor, IfVersion, Limit, Services, TenantID, Who, problems
from hookvault.api.schemas import PageOut, TenantIn, TenantOut, TenantPatch

router = APIRouter(prefix="/api/platform/tenants", tags=["Tenants"])


@router.get("", responses=problems())
async def list_tenants(app: Services, limit: Limit = 50, cursor: Cursor = None) -> PageOut[TenantOut]:
    """All tenants, by id."""
    page = await app.tenants.list_tenants(limit=limit, cursor=cursor)
    return PageOut(items=[TenantOut.model_validate(tenant) for tenant in page.items], next_cursor=page.next_cursor)


@router.post("", status_code=201, responses=problems(409))
async def create_tenant(app: Services, who: Who, body: TenantIn, response: Response) -> TenantOut:
    """Makes a tenant, with a data key of its own."""
    tenant = await app.tenants.create_tenant(
        body.name, tenant_id=body.id, slug=body.slug, retention_days=body.retention_days, actor=who.actor
    )
    response.headers["etag"] = f'"{tenant.version}"'
    return TenantOut.model_validate(tenant)


@router.get("/{tenantId}", responses=problems(404))
async def get_tenant(app: Services, tenant_id: TenantID, response: Response) -> TenantOut:
    """One tenant."""
    tenant = await app.tenants.get_tenant(tenant_id)
    response.headers["etag"] = f'"{tenant.version}"'
    return TenantOut.model_validate(tenant)


@router.patch("/{tenantId}", responses=problems(404, 409, 412))
async def update_tenant(
    app: Services, who: Who, tenant_id: TenantID, body: TenantPatch, *, if_version: IfVersion, response: Response
) -> TenantOut:
    """Changes a tenant. A suspended one's webhooks are not called."""
    changes = body.model_dump(exclude_unset=True)
    tenant = await app.tenants.update_tenant(tenant_id, changes, if_version=if_version, actor=who.actor)
    app.webhooks.forget(tenant_id)
    response.headers["etag"] = f'"{tenant.version}"'
    return TenantOut.model_validate(tenant)


@router.delete("/{tenantId}", status_code=204, responses=problems())
async def delete_tenant(app: Services, who: Who, tenant_id: TenantID) -> None:
    """Deletes a tenant with its secrets; its calls and audit events stay readable. Idempotent."""
    await app.tenants.delete_tenant(tenant_id, actor=who.actor)
    app.webhooks.forget(tenant_id)
    app.api_keys.forget()
