"""Recorded calls over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from hookvault.analytics.model import CallFilter
from hookvault.api.context import CallLimit, Cursor, Services, TenantID, problems
from hookvault.api.schemas import CallOut, PageOut

router = APIRouter(prefix="/api/platform/tenants/{tenantId}/webhooks", tags=["Analytics"])

Start = Annotated[datetime | None, Query(alias="startDate", description="ISO 8601; by default 30 days before the end.")]
End = Annotated[datetime | None, Query(alias="endDate", description="ISO 8601, exclusive; by default now.")]
OfWebhook = Annotated[UUID | None, Query(alias="webhookId")]
Status = Annotated[str | None, Query(max_length=7, description="success, failed, a class such as 5xx, or a code.")]
Trigger = Annotated[str | None, Query(alias="triggeredBy", max_length=200)]


@router.get("/analytics", responses=problems(404))
async def list_tenant_calls(
    app: Services,
    tenant_id: TenantID,
    start: Start = None,
    end: End = None,
    status: Status = None,
    *,
    webhook_id: OfWebhook = None,
    triggered_by: Trigger = None,
    limit: CallLimit = 100,
    cursor: Cursor = None,
) -> PageOut[CallOut]:
    """A tenant's calls, newest first."""
    which = CallFilter(start, end, status, webhook_id, triggered_by)
    page = await app.analytics.list_tenant_calls(tenant_id, which, limit=limit, cursor=cursor)
    return PageOut(items=[CallOut.model_validate(call) for call in page.items], next_cursor=page.next_cursor)


@router.get("/{webhookId}/analytics", responses=problems(404))
async def list_webhook_calls(
    app: Services,
    tenant_id: TenantID,
    webhook_id: Annotated[UUID, Path(alias="webhookId")],
    limit: CallLimit = 100,
    cursor: Cursor = None,
) -> PageOut[CallOut]:
    """A webhook's calls, newest first."""
    page = await app.analytics.list_webhook_calls(tenant_id, webhook_id, limit=limit, cursor=cursor)
    return PageOut(items=[CallOut.model_validate(call) for call in page.items], next_cursor=page.next_cursor)
