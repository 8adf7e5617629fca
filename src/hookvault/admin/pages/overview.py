"""The first page: what needs attention, and how the platform does."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from hookvault.admin.board import attention
from hookvault.admin.board.chart import chart_results, list_points
from hookvault.admin.board.choice import last_hours
from hookvault.admin.board.tiles import Tile, calls_tile, failed_tile, success_tile, time_tile
from hookvault.admin.happening import title
from hookvault.admin.people import look_up, named
from hookvault.admin.route import page
from hookvault.admin.shown import number
from hookvault.admin.visit import Visit
from hookvault.errors import NotFoundError

_HOURS = 24
_TENANTS = 6
_EVENTS = 8

Load = Callable[[Visit], Awaitable[Mapping[str, Any]]]


async def load_attention(visit: Visit) -> Mapping[str, Any]:
    """What needs attention."""
    return {"lines": await attention.gather(visit.app)}


async def load_now(visit: Visit) -> Mapping[str, Any]:
    """The last 24 hours of the platform, and what is under way."""
    choice, figures = last_hours(_HOURS, visit.zone), visit.app.figures
    summary, points = await asyncio.gather(
        figures.summarize(None, choice.start, choice.end), list_points(visit.app, choice)
    )
    ledger = await visit.app.ledger()
    tiles = [
        calls_tile(summary, points, href="/analytics"),
        success_tile(summary, points, href="/analytics"),
        failed_tile(summary, points, href="/calls?status=failed"),
        time_tile("p95", summary, points, href="/analytics"),
        Tile("Deliveries pending", number(ledger.pending), note="on their way", href="/deliveries?status=pending"),
        Tile("Deliveries held", number(ledger.held), note="waiting", href="/deliveries?status=held"),
    ]
    return {"tiles": tiles, "before": choice.before, "results": chart_results(points, choice), "choice": choice}


async def load_busy(visit: Visit) -> Mapping[str, Any]:
    """The tenants that call most, and those that fail most."""
    choice, figures = last_hours(_HOURS, visit.zone), visit.app.figures
    busiest = await figures.list_tenants(choice.start, choice.end, by="busiest", limit=_TENANTS)
    failing = await figures.list_tenants(choice.start, choice.end, limit=_TENANTS)
    return {"busiest": busiest, "failing": [each for each in failing if each.figures.failed_calls]}


async def load_events(visit: Visit) -> Mapping[str, Any]:
    """The last events of the audit log."""
    events = (await visit.app.audit.list_all(limit=_EVENTS)).items
    people = await look_up(visit, [event.actor_id for event in events])
    return {
        "events": [(event, title(event.action), named(event.actor_type, event.actor_id, people)) for event in events]
    }


# By name, with the classes of their places.
PARTS: Mapping[str, tuple[Load, str]] = {
    "attention": (load_attention, ""),
    "now": (load_now, ""),
    "busy": (load_busy, "span-8"),
    "events": (load_events, "span-4"),
}


async def show_page(visit: Visit) -> Response:
    """Places for the parts, or the parts themselves with `all`; for a new installation how to begin."""
    tenants = await visit.app.tenants.list_tenants(limit=1)
    loaded: Sequence[Mapping[str, Any] | None] = [None] * len(PARTS)
    if "all" in visit.query:
        loaded = await asyncio.gather(*(load(visit) for load, _ in PARTS.values()))
    parts = [(name, width, d) for (name, (_, width)), d in zip(PARTS.items(), loaded, strict=True)]
    return visit.render("overview/page.html", parts=parts, is_new=not tenants.items)


async def show_part(visit: Visit) -> Response:
    """One of the parts; the whole page for who opens it without our script."""
    name = visit.path("name")
    if name not in PARTS:
        raise NotFoundError("There is no such part of the page.")
    if not visit.is_partial:
        return RedirectResponse("/?all=1", 303)
    load, width = PARTS[name]
    return visit.render(f"overview/{name}.html", d=await load(visit), width=width)


ROUTES: Sequence[BaseRoute] = (
    page("/", show_page),
    page("/overview/{name}", show_part),
)
