"""The audit log over HTTP: a tenant's, and the platform's with all of them."""

from typing import Annotated

from fastapi import APIRouter, Query

from hookvault.api.context import Cursor, Limit, Services, TenantID, Who, problems
from hookvault.api.schemas import AuditEventOut, PageOut
from hookvault.api.trail import note_read
from hookvault.audit.model import AuditEvent, AuditFilter, Outcome
from hookvault.ids import NAME_PATTERN
from hookvault.paging import Page

router = APIRouter(prefix="/api/platform", tags=["Audit"])

OfTenant = Annotated[str | None, Query(alias="tenantId", pattern=NAME_PATTERN)]
Action = Annotated[str | None, Query(pattern=r"^[a-z_]{1,40}\.[a-z_]{1,40}$", description="Such as webhook.updated.")]


@router.get("/tenants/{tenantId}/audit", responses=problems(404))
async def list_audit_events(
    app: Services, who: Who, tenant_id: TenantID, limit: Limit = 50, cursor: Cursor = None
) -> PageOut[AuditEventOut]:
    """Who did what in a tenant, newest first."""
    page = await app.audit.list_events(tenant_id, limit=limit, cursor=cursor)
    note_read(app, who, "audit.listed", tenant_id)
    return _out(page)


@router.get("/audit", responses=problems())
async def list_all_audit_events(
    app: Services,
    who: Who,
    *,
    tenant_id: OfTenant = None,
    action: Action = None,
    outcome: Outcome | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PageOut[AuditEventOut]:
    """Who did what anywhere, the platform's own events among them, newest first."""
    page = await app.audit.list_all(AuditFilter(tenant_id, action, outcome), limit=limit, cursor=cursor)
    note_read(app, who, "audit.listed", None, tenantId=tenant_id, action=action, outcome=outcome)
    return _out(page)


def _out(page: Page[AuditEvent]) -> PageOut[AuditEventOut]:
    items = [AuditEventOut.model_validate(event) for event in page.items]
    return PageOut(items=items, next_cursor=page.next_cursor)
