"""Counted calls over HTTP, of one tenant and of all together. Every answer holds the calls of a moment ago."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from hookvault.analytics.model import Summary
from hookvault.api.asked import End, OfWebhook, Start
from hookvault.api.context import Services, TenantID, problems
from hookvault.api.counted import (
    ErrorGroupOut,
    HealthOut,
    HeatCellOut,
    IntervalIn,
    ItemsOut,
    PointOut,
    RankedOut,
    TenantFiguresOut,
)
from hookvault.api.schemas import FiguresOut, SummaryOut

router = APIRouter(tags=["Analytics"])

_TENANT = "/api/platform/tenants/{tenantId}/webhooks/analytics"
_PLATFORM = "/api/platform/analytics"

FirstPoint = Annotated[
    datetime | None,
    Query(alias="startDate", description="ISO 8601; by default 60 minutes, 48 hours or 30 days before the end."),
]
Zone = Annotated[str, Query(alias="timeZone", max_length=64, description="Of the IANA database, as Europe/Berlin.")]
Ranks = Annotated[int, Query(ge=1, le=20)]
TenantRanks = Annotated[int, Query(ge=1, le=1000)]


@router.get(f"{_TENANT}/summary", responses=problems(404))
async def get_summary(
    app: Services, tenant_id: TenantID, start: Start = None, end: End = None, webhook_id: OfWebhook = None
) -> SummaryOut:
    """Counted calls of a period, beside the period before; percentiles within 5 %."""
    return _summary(await app.figures.summarize(tenant_id, start, end, webhook_id=webhook_id))


@router.get(f"{_TENANT}/series", responses=problems(404))
async def list_series(
    app: Services,
    tenant_id: TenantID,
    start: FirstPoint = None,
    end: End = None,
    interval: IntervalIn = "day",
    *,
    zone: Zone = "UTC",
    webhook_id: OfWebhook = None,
) -> ItemsOut[PointOut]:
    """Counted calls by minute, hour or day, as the clocks of a time zone go; 2,000 points at most."""
    points = await app.figures.list_series(tenant_id, interval, start=start, end=end, zone=zone, webhook_id=webhook_id)
    return ItemsOut(items=[PointOut.of(point) for point in points])


@router.get(f"{_TENANT}/errors", responses=problems(404))
async def list_errors(
    app: Services, tenant_id: TenantID, start: Start = None, end: End = None, webhook_id: OfWebhook = None
) -> ItemsOut[ErrorGroupOut]:
    """Why calls failed, the most frequent cause first."""
    groups = await app.figures.list_errors(tenant_id, start, end, webhook_id=webhook_id)
    return ItemsOut(items=[ErrorGroupOut.of(group) for group in groups])


@router.get(f"{_TENANT}/slowest", responses=problems(404))
async def list_slowest(
    app: Services, tenant_id: TenantID, start: Start = None, end: End = None, limit: Ranks = 10
) -> ItemsOut[RankedOut]:
    """The slowest webhooks, by p95."""
    ranked = await app.figures.rank_webhooks(tenant_id, "slowest", start, end, limit=limit)
    return ItemsOut(items=[RankedOut.of(each) for each in ranked])


@router.get(f"{_TENANT}/failing", responses=problems(404))
async def list_failing(
    app: Services, tenant_id: TenantID, start: Start = None, end: End = None, limit: Ranks = 10
) -> ItemsOut[RankedOut]:
    """The webhooks with the most failed calls, and why most of them failed."""
    ranked = await app.figures.rank_webhooks(tenant_id, "failing", start, end, limit=limit)
    return ItemsOut(items=[RankedOut.of(each) for each in ranked])


@router.get(f"{_TENANT}/heatmap", responses=problems(404))
async def get_heat_map(
    app: Services,
    tenant_id: TenantID,
    start: Start = None,
    end: End = None,
    zone: Zone = "UTC",
    *,
    webhook_id: OfWebhook = None,
) -> ItemsOut[HeatCellOut]:
    """Counted calls by weekday and hour in a time zone."""
    cells = await app.figures.map_heat(tenant_id, start, end, zone=zone, webhook_id=webhook_id)
    return ItemsOut(items=[HeatCellOut.model_validate(cell) for cell in cells])


@router.get(f"{_TENANT}/health", responses=problems(404))
async def list_health(app: Services, tenant_id: TenantID) -> ItemsOut[HealthOut]:
    """How each webhook does: failing, degraded, healthy, idle or disabled, and why; the worst first."""
    return ItemsOut(items=[HealthOut.of(each) for each in await app.figures.list_health(tenant_id)])


@router.get(f"{_PLATFORM}/summary", responses=problems())
async def get_platform_summary(app: Services, start: Start = None, end: End = None) -> SummaryOut:
    """Counted calls of all tenants in a period, beside the period before."""
    return _summary(await app.figures.summarize(None, start, end))


@router.get(f"{_PLATFORM}/series", responses=problems())
async def list_platform_series(
    app: Services, start: FirstPoint = None, end: End = None, interval: IntervalIn = "day", *, zone: Zone = "UTC"
) -> ItemsOut[PointOut]:
    """Counted calls of all tenants by minute, hour or day."""
    points = await app.figures.list_series(None, interval, start=start, end=end, zone=zone)
    return ItemsOut(items=[PointOut.of(point) for point in points])


@router.get(f"{_PLATFORM}/errors", responses=problems())
async def list_platform_errors(app: Services, start: Start = None, end: End = None) -> ItemsOut[ErrorGroupOut]:
    """Why calls of all tenants failed, the most frequent cause first."""
    groups = await app.figures.list_errors(None, start, end)
    return ItemsOut(items=[ErrorGroupOut.of(group) for group in groups])


@router.get(f"{_PLATFORM}/heatmap", responses=problems())
async def get_platform_heat_map(
    app: Services, start: Start = None, end: End = None, zone: Zone = "UTC"
) -> ItemsOut[HeatCellOut]:
    """Counted calls of all tenants by weekday and hour in a time zone."""
    cells = await app.figures.map_heat(None, start, end, zone=zone)
    return ItemsOut(items=[HeatCellOut.model_validate(cell) for cell in cells])


@router.get(f"{_PLATFORM}/tenants", responses=problems())
async def list_tenant_figures(
    app: Services, start: Start = None, end: End = None, limit: TenantRanks = 100
) -> ItemsOut[TenantFiguresOut]:
    """Counted calls of each tenant, those with the most failed calls first."""
    found = await app.figures.list_tenants(start, end, limit=limit)
    return ItemsOut(items=[TenantFiguresOut.of(each) for each in found])


def _summary(summary: Summary) -> SummaryOut:
    return SummaryOut(
        **FiguresOut.model_validate(summary.figures).model_dump(),
        start_date=summary.start,
        end_date=summary.end,
        previous=FiguresOut.model_validate(summary.previous),
    )
