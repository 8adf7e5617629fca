"""Recorded calls over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path

from hookvault.api.context import CallLimit, Cursor, Services, TenantID, problems
from hookvault.api.schemas import CallOut, PageOut

router = APIRouter(prefix="/api/platform/tenants/{tenantId}/webhooks", tags=["Analytics"])


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
