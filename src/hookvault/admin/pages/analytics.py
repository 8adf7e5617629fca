"""What happened, in charts: of all tenants, of one, or of one webhook; the filters stand in the address."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from hookvault.admin.ask import part
from hookvault.admin.board import dashboard
from hookvault.admin.board.choice import CUSTOM, INTERVALS, RANGES, Choice, link, read_choice
from hookvault.admin.board.drawings import draw_file
from hookvault.admin.route import page
from hookvault.admin.visit import Visit
from hookvault.analytics.figures import WebhookName
from hookvault.errors import InvalidError, NotFoundError

_PATH = "/analytics"
_MOST_TENANTS = 12  # in the list that one is chosen from; others are found by typing

Load = Callable[[Visit, Choice], Awaitable[Mapping[str, Any]]]


class Part(NamedTuple):
    """A part of the page that is asked for apart: its name and template, what fills it, and where it is shown."""

    name: str
    load: Load
    width: str = ""  # a class of the columns
    tenant: bool | None = None  # whether with a tenant only, without one only, or always


# In the order of the page. The first two are what one looks at first.
PARTS = (
    Part("health", dashboard.load_health, tenant=True),
    Part("figures", dashboard.load_figures),
    Part("failures", dashboard.load_failures, "span-8"),
    Part("causes", dashboard.load_causes, "span-4"),
    Part("heat", dashboard.load_heat, "span-6"),
    Part("webhooks", dashboard.load_webhooks, "span-6", tenant=True),
    Part("tenants", dashboard.load_tenants, "span-6", tenant=False),
)


async def show_page(visit: Visit) -> Response:
    """The filters, and places for the parts; with `all` the parts themselves."""
    given = {name: value for name, value in visit.query.items() if name not in ("all", "of")}
    filters: dict[str, Any] = {"given": given, "tenant": None, "webhooks": (), **await _tenants(visit)}
    try:
        choice = read_choice(given, visit.zone)
        filters |= await _of_tenant(visit, choice)
    except (InvalidError, NotFoundError) as error:
        return _page(visit, filters, None, [], problem=error.message)
    parts = [each for each in PARTS if each.tenant is None or each.tenant == (choice.tenant_id is not None)]
    loaded: Sequence[Mapping[str, Any] | None] = [None] * len(parts)
    if "all" in visit.query:
        loaded = await asyncio.gather(*(each.load(visit, choice) for each in parts))
    return _page(visit, filters, choice, list(zip(parts, loaded, strict=True)))


async def show_part(visit: Visit) -> Response:
    """One of the parts; the whole page for who opens it without our script."""
    found = next((each for each in PARTS if each.name == visit.path("name")), None)
    if found is None:
        raise NotFoundError("There is no such part of the page.")
    if not visit.is_partial:
        return RedirectResponse(link(_PATH, visit.query, all="1"), 303)
    choice = read_choice(visit.query, visit.zone)
    data = await found.load(visit, choice)
    return visit.render(f"analytics/{found.name}.html", choice=choice, d=data, width=found.width)


async def list_tenants(visit: Visit) -> Response:
    """The tenants that what was typed may mean, to choose one."""
    return visit.render("analytics/choices.html", given=visit.query, link=link, **await _tenants(visit))


async def show_file(visit: Visit) -> Response:
    """A chart as an SVG file."""
    choice, kind = read_choice(visit.query, visit.zone), visit.query.get("kind", "results")
    drawn = await draw_file(visit.app, choice, kind)
    name = f"hookvault-{kind}-{choice.start:%Y%m%d-%H%M}.svg"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(drawn, media_type="image/svg+xml", headers=headers)


async def _tenants(visit: Visit) -> dict[str, Any]:
    """Those to choose from: whose names hold what was typed, else the first by name."""
    sought = visit.query.get("find", "")
    found = await visit.app.tenants.search_tenants(sought.strip(), limit=_MOST_TENANTS + 1)
    return {"tenants": found[:_MOST_TENANTS], "more": len(found) > _MOST_TENANTS, "sought": sought}


async def _of_tenant(visit: Visit, choice: Choice) -> dict[str, Any]:
    """The tenant that was chosen and its webhooks.

    Raises:
        NotFoundError: code `tenant_not_found` or `webhook_not_found`.
    """
    if choice.tenant_id is None:
        return {}
    webhooks = await visit.app.figures.list_names(choice.tenant_id)
    _require(choice, webhooks)
    named = await visit.app.tenants.list_named([choice.tenant_id])
    return {"tenant": named[0] if named else None, "webhooks": webhooks}


def _require(choice: Choice, webhooks: Sequence[WebhookName]) -> None:
    if choice.webhook_id is not None and choice.webhook_id not in {each.webhook_id for each in webhooks}:
        raise NotFoundError(f"This tenant has no webhook {choice.webhook_id}.", code="webhook_not_found")


def _page(
    visit: Visit,
    filters: Mapping[str, Any],
    choice: Choice | None,
    parts: Sequence[tuple[Part, Mapping[str, Any] | None]],
    *,
    problem: str = "",
) -> Response:
    given = filters["given"]
    custom = CUSTOM if {"startDate", "endDate"} & set(given) else given.get("range", "24h")
    shown = {"present": custom, "ranges": RANGES, "intervals": INTERVALS, "link": link, "export": _export(choice)}
    context = {**filters, **shown, "choice": choice, "parts": parts, "problem": problem}
    return visit.render("analytics/page.html", status=422 if problem else 200, **context)


def _export(choice: Choice | None) -> str:
    """The API's route for the calls that are counted, as a file."""
    if choice is None:
        return ""
    query = {**choice.when, **({"webhookId": str(choice.webhook_id)} if choice.webhook_id else {}), "format": "csv"}
    path = f"tenants/{part(choice.tenant_id)}/webhooks/analytics" if choice.tenant_id else "calls"
    return f"/api/platform/{path}/export?{urlencode(query)}"


ROUTES: Sequence[BaseRoute] = (
    page(_PATH, show_page),
    page(f"{_PATH}/tenants-to-choose", list_tenants),
    page(f"{_PATH}/chart.svg", show_file),
    page(f"{_PATH}/{{name}}", show_part),
)
