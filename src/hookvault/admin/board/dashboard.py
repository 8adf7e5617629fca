"""What fills each part of the dashboard."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from hookvault.admin.ask import part
from hookvault.admin.board.choice import INTERVALS, Choice, link
from hookvault.admin.board.tiles import six_tiles
from hookvault.admin.board.timeline import latencies, results
from hookvault.admin.charts.bars import stacked
from hookvault.admin.charts.heat import heated
from hookvault.admin.charts.lines import lined
from hookvault.admin.charts.ranks import Rank, ranked
from hookvault.admin.charts.series import Kind
from hookvault.admin.charts.table import timeline_table, week_table
from hookvault.admin.shown import milliseconds, plural
from hookvault.admin.visit import Visit
from hookvault.analytics.cause import CAUSES
from hookvault.analytics.figures import Point, Ranked, WebhookHealth
from hookvault.analytics.model import CallFilter
from hookvault.api.services import App

_RECENT = 8  # failed calls
_RANKED = 5
_MOST_TENANTS = 10
_SLOW: Kind = "p95"  # the colour of what takes long
NO_CALL, NO_FAILURE = "Nothing was called in this period.", "No call failed in this period."
_WEEK, _YEAR = timedelta(days=7), timedelta(days=365)
# What the receiver or the way to it did wrong; the others are answered by changing something here or there.
_BROKEN = frozenset({"timeout", "connection_failed", "receiver_failed", "workflow_failed", "dns_error", "tls_error"})


async def list_points(app: App, choice: Choice) -> Sequence[Point]:
    """The points of the charts over time."""
    return await app.figures.list_series(
        choice.tenant_id,
        choice.interval,
        start=choice.start,
        end=choice.end,
        zone=choice.zone_name,
        webhook_id=choice.webhook_id,
        causes=choice.tells_timeouts,
    )


async def load_figures(visit: Visit, choice: Choice) -> Mapping[str, Any]:
    """Tiles, calls by result, response times."""
    summary, points = await asyncio.gather(
        visit.app.figures.summarize(choice.tenant_id, choice.start, choice.end, webhook_id=choice.webhook_id),
        list_points(visit.app, choice),
    )
    bars, lines = results(points, choice), latencies(points, choice)
    return {
        "tiles": six_tiles(summary, points),
        "results": stacked(bars),
        "results_table": timeline_table(bars, totals=True),
        "latency": lined(lines),
        "latency_table": timeline_table(lines),
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
    ranks = await rank_causes(visit.app, choice)
    return {"total": sum(rank.value or 0 for rank in ranks), "ranks": ranked(ranks, empty=NO_FAILURE)}


async def rank_causes(app: App, choice: Choice) -> Sequence[Rank]:
    """Why calls failed, the most frequent cause first."""
    groups = await app.figures.list_errors(choice.tenant_id, choice.start, choice.end, webhook_id=choice.webhook_id)
    counted: Counter[str] = Counter()
    for group in groups:
        counted[group.cause] += group.failed_calls
    total = sum(counted.values())
    within = {**choice.whose, **choice.when, "status": "failed"}
    return [
        Rank(
            CAUSES[cause],
            calls,
            calls / total,
            "fail" if cause in _BROKEN else "warn",
            _calls({**within, "cause": cause}),
        )
        for cause, calls in counted.most_common()
    ]


async def load_heat(visit: Visit, choice: Choice) -> Mapping[str, Any]:
    """Failed calls by weekday and hour: of a week at least, of a year at most."""
    values, span = await map_failures(visit.app, choice)
    title = f"Failed calls by hour, {span}"
    return {
        "span": span,
        "map": heated(values, title=title, name="Failed calls"),
        "table": week_table(values, title=title),
    }


async def map_failures(app: App, choice: Choice) -> tuple[Mapping[tuple[int, int], float], str]:
    """Failed calls by weekday and hour, and of which time."""
    length = choice.end - choice.start
    start = min(choice.end - _WEEK, choice.start) if length <= _YEAR else choice.end - _YEAR
    span = "last 7 days" if length < _WEEK else "this period" if length <= _YEAR else "its last year"
    if length < _WEEK and choice.name == "custom":
        span = "the 7 days until then"
    cells = await app.figures.map_heat(
        choice.tenant_id, start, choice.end, zone=choice.zone_name, webhook_id=choice.webhook_id
    )
    return {(cell.weekday, cell.hour): float(cell.failed_calls) for cell in cells}, span


async def load_webhooks(visit: Visit, choice: Choice) -> Mapping[str, Any]:
    """The tenant's webhooks that are slowest, and those that fail most."""
    return {
        "slowest": ranked(await rank_slowest(visit.app, choice), unit="ms", empty=NO_CALL),
        "failing": ranked(await rank_failing(visit.app, choice), empty=NO_FAILURE),
    }


async def rank_slowest(app: App, choice: Choice) -> Sequence[Rank]:
    """The tenant's webhooks by their p95."""
    tenant, kind = str(choice.tenant_id), _SLOW
    found = await app.figures.rank_webhooks(tenant, "slowest", choice.start, choice.end, limit=_RANKED)
    return [Rank(_label(each), each.figures.p95, None, kind, _webhook(tenant, each), _usual(each)) for each in found]


async def rank_failing(app: App, choice: Choice) -> Sequence[Rank]:
    """The tenant's webhooks by their failed calls."""
    tenant = str(choice.tenant_id)
    found = await app.figures.rank_webhooks(tenant, "failing", choice.start, choice.end, limit=_RANKED)
    return [_failing(tenant, each) for each in found]


def _failing(tenant: str, each: Ranked) -> Rank:
    failed = each.figures.failed_calls
    note = CAUSES[each.cause] if each.cause else None
    return Rank(_label(each), failed, failed / each.figures.total_calls, "fail", _webhook(tenant, each), note)


def _usual(each: Ranked) -> str:
    return f"{plural(each.figures.total_calls, 'call')}, p50 {milliseconds(each.figures.p50)}"


def _label(each: Ranked) -> str:
    return f"{each.workflow_name} (deleted)" if each.deleted else each.workflow_name


def _webhook(tenant: str, each: Ranked) -> str | None:
    return None if each.deleted else f"/tenants/{part(tenant)}/webhooks/{each.webhook_id}"


async def load_tenants(visit: Visit, choice: Choice) -> Mapping[str, Any]:
    """The tenants with the most failed calls."""
    found = await visit.app.figures.list_tenants(choice.start, choice.end, limit=_MOST_TENANTS)
    when = {name: choice.given[name] for name in ("startDate", "endDate", "timeZone") if name in choice.given}
    kept = {"range": choice.name} if choice.name != "custom" else when
    return {"tenants": [(each, link("/analytics", kept, tenantId=each.tenant_id)) for each in found]}


def _calls(query: Mapping[str, str]) -> str:
    return f"/calls?{urlencode(query)}"
