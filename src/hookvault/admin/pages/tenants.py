"""All tenants: find one, see how its last day went, make a new one."""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlencode

from starlette.responses import Response

from hookvault.admin.ask import part
from hookvault.admin.charts.spark import spark_bars
from hookvault.admin.route import blank, deed, page
from hookvault.admin.visit import Visit
from hookvault.errors import InvalidError
from hookvault.ids import is_name
from hookvault.tenants.model import TenantStatus

_SHOWN = 50
_STATUSES = ("active", "suspended")
_FIELDS = ("name", "id", "slug")


async def show_tenants(visit: Visit) -> Response:
    """A page of tenants; their statistics come after it, in one request for all rows."""
    query = visit.query
    search, status = query.get("q", "").strip(), query.get("status", "")
    wanted = cast(TenantStatus, status) if status in _STATUSES else None
    found = await visit.app.tenants.list_tenants(
        limit=_SHOWN, cursor=query.get("cursor"), search=search or None, status=wanted
    )
    holdings = await visit.app.census.list_holdings([tenant.id for tenant in found.items])
    filters = {name: value for name, value in (("q", search), ("status", wanted)) if value}
    rows: dict[str, Any] = {
        "tenants": found.items,
        "holdings": holdings,
        "stats": _stats_url([tenant.id for tenant in found.items]),
        "more": f"/tenants?{urlencode({**filters, 'cursor': found.next_cursor})}" if found.next_cursor else None,
    }
    if visit.is_partial and "cursor" in query:
        return visit.render("tenants/rows.html", **rows)
    return visit.render(
        "tenants/list.html", search=search, state=wanted or "", filters=filters, continued="cursor" in query, **rows
    )


async def show_statistics(visit: Visit) -> Response:
    """The last 24 hours of the tenants that are named, as cells that find their rows by themselves."""
    ids = visit.query.get("ids", "").split(",")
    if len(ids) > _SHOWN or not all(map(is_name, ids)):
        raise InvalidError(f"Name 1 to {_SHOWN} tenants by their ids, with commas between.")
    found = await visit.app.census.list_activity(ids)
    sparks = {key: spark_bars(one.successful, one.failed, label="Calls, 24 h") for key, one in found.items()}
    return visit.render("tenants/statistics.html", activity=found, sparks=sparks)


async def show_new(visit: Visit) -> Response:
    """The form of a new tenant."""
    return visit.show_form("tenants/new.html", "New tenant", values={})


async def create(visit: Visit) -> Response:
    """Makes a tenant and goes to it."""
    form = await visit.form()
    body: Mapping[str, Any] = form.given(_FIELDS)
    answer = await visit.ask("POST", "/api/platform/tenants", {"name": "", **body})
    if not answer.ok:
        return visit.show_form("tenants/new.html", "New tenant", answer=answer, values=form.values())
    made = answer.data
    return visit.done(
        f"/tenants/{part(made['id'])}/integrations", said=f"{made['name']} is there. Connect what it uses."
    )


def _stats_url(ids: list[str]) -> str:
    return f"/tenant-statistics?{urlencode({'ids': ','.join(ids)}, safe=',')}" if ids else ""


ROUTES = (
    page("/tenants", show_tenants),
    blank("/new-tenant", show_new),
    deed("/new-tenant", create),
    page("/tenant-statistics", show_statistics),
)
