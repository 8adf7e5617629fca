"""What fills each part of the dashboard."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from hookvault.admin.board.chart import (
    chart_causes,
    chart_failing,
    chart_heat,
    chart_latency,
    chart_results,
    chart_slowest,
    heat_span,
    list_groups,
    list_points,
)
from hookvault.admin.board.choice import INTERVALS, Choice, link
from hookvault.admin.board.tiles import six_tiles
from hookvault.admin.visit import Visit
from hookvault.analytics.figures import WebhookHealth
from hookvault.analytics.model import CallFilter

_RECENT = 10  # failed calls
_MOST_TENANTS = 10


async def load_figures(visit: Visit, choice: Choice) -> Mapping[str, Any]:
    """Tiles, calls by result, response times."""
    summary, points = await asyncio.gather(
        visit.app.figures.summarize(choice.tenant_id, choice.start, choice.end, webhook_id=choice.webhook_id),
        list_points(visit.app, choice),
    )
    return {
        "tiles": six_tiles(summary, points),
        "results": chart_results(points, choice),
        "latency": chart_latency(points, choice),
        "interval": INTERVALS[choice.interval],
        "zoom": link("/analytics", choice.whose),
    }


async def load_health(visit: Visit, choice: Choice) -> Mapping[str, Any]:
    """The tenant's webhooks that fail or are degraded, in words."""
    webhooks = await visit.app.figures.list_health(str(choice.tenant_id))
    if choice.webhook_id is not None:
        webhooks = [each for each in webhooks if each.webhook_id == choice.webhook_id]
    unwell = [each for each in webhooks if each.health.status in ("failing", "degraded")]
    counts = Counter(each.health.status for each in webhooks)
    failures = _calls({**choice.whose, "status": "failed"})
    return {"unwell": unwell[:3], "more": len(unwell) - 3, "counts": counts, "kind": _kind(unwell), "href": failures}


def _kind(unwell: Sequence[WebhookHealth]) -> str:
    if not unwell:
        return ""
    return "bad" if any(each.health.status == "failing" for each in unwell) else "warn"


async def load_failures(visit: Visit, choice: Choice) -> Mapping[str, Any]:
    """The last calls that failed."""
    which = CallFilter(choice.start, choice.end, status="failed", webhook_id=choice.webhook_id)
    if choice.tenant_id is None:
        found = await visit.app.analytics.list_platform_calls(which, limit=_RECENT)
    else:
        found = await visit.app.analytics.list_tenant_calls(choice.tenant_id, which, limit=_RECENT)
    return {"calls": found.items, "href": _calls({**choice.whose, **choice.when, "status": "failed"})}


async def load_causes(visit: Visit, choice: Choice) -> Mapping[str, Any]:
    """Why calls failed, with the share of each cause."""
    groups = await list_groups(visit.app, choice)
    return {"total": sum(group.failed_calls for group in groups), "chart": chart_causes(groups, choice)}


async def load_heat(visit: Visit, choice: Choice) -> Mapping[str, Any]:
    """Failed calls by weekday and hour."""
    return {"span": heat_span(choice), "chart": await chart_heat(visit.app, choice)}


async def load_webhooks(visit: Visit, choice: Choice) -> Mapping[str, Any]:
    """The tenant's webhooks that are slowest, and those that fail most."""
    return {"slowest": await chart_slowest(visit.app, choice), "failing": await chart_failing(visit.app, choice)}


async def load_tenants(visit: Visit, choice: Choice) -> Mapping[str, Any]:
    """The tenants with the most failed calls."""
    found = await visit.app.figures.list_tenants(choice.start, choice.end, limit=_MOST_TENANTS)
    when = {name: choice.given[name] for name in ("startDate", "endDate", "timeZone") if name in choice.given}
    kept = {"range": choice.name} if choice.name != "custom" else when
    return {"tenants": [(each, link("/analytics", kept, tenantId=each.tenant_id)) for each in found]}


def _calls(query: Mapping[str, str]) -> str:
    return f"/calls?{urlencode(query)}"
