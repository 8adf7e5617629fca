"""Recorded calls over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from hookvault.analytics.model import Figures
from hookvault.api.context import CallLimit, Cursor, Services, TenantID, problems
from hookvault.api.schemas import CallOut, FiguresOut, PageOut, SummaryOut

router = APIRouter(prefix="/api/platform/tenants/{tenantId}/webhooks", tags=["Analytics"])

Start = Annotated[datetime | None, Query(alias="startDate", description="ISO 8601; by default 30 days before the end.")]
End = Annotated[datetime | None, Query(alias="endDate", description="ISO 8601, exclusive; by default now.")]
OfWebhook = Annotated[UUID | None, Query(alias="webhookId")]


@router.get("/analytics/summary", responses=problems(404))
async def get_summary(
    app: Services, tenant_id: TenantID, start: Start = None, end: End = None, webhook_id: OfWebhook = None
) -> SummaryOut:
    """Counted calls of a period with exact percentiles, beside the period before."""
    summary = await app.analytics.get_webhook_analytics_summary(tenant_id, start, end, webhook_id=webhook_id)
    return SummaryOut(
        **_figures(summary.figures).model_dump(),
        start_date=summary.start,
        end_date=summary.end,
        previous=_figures(summary.previous),
    )


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


def _figures(figures: Figures) -> FiguresOut:
    return FiguresOut.model_validate(figures)
