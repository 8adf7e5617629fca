"""A tenant's webhooks: the table with its filters, and the switch in each row."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from starlette.responses import Response
from starlette.routing import BaseRoute

from hookvault.admin.ask import part
from hookvault.admin.route import deed, page
from hookvault.admin.visit import Visit
from hookvault.admin.webhooks.rows import (
    JUDGED,
    STATUSES,
    THRESHOLDS,
    Filter,
    Row,
    asked_of,
    choose,
    count,
    cut,
    make_rows,
    split,
)
from hookvault.errors import NotFoundError

_LIST = "#webhooks-list"  # what a filter changes


async def show_table(visit: Visit) -> Response:
    """The table: whole, as a part of another page, or what a filter changes of it."""
    tenant_id = visit.path("tenant")
    which, is_filtered = _filter(visit)
    rows = await _rows(visit, tenant_id, with_figures=which.needs_figures)
    shown, after = cut(choose(rows, which), visit.query.get("after", ""))
    context = _context(visit, tenant_id, which) | {
        "counts": count(rows, which.q),
        "rows": shown,
        "after": after,
        "total": len(rows),
        "is_late": not which.needs_figures,
    }
    if not visit.is_partial:
        tenant = await visit.app.tenants.get_tenant(tenant_id)
        return visit.render("webhooks/list.html", tenant=tenant, **context)
    if "after" in visit.query:
        return visit.render("webhooks/page.html", **context)
    narrowed = visit.request.headers.get("hx-target", "").endswith(_LIST)
    response = visit.render("webhooks/filtered.html" if narrowed else "webhooks/table.html", **context)
    if is_filtered:
        _follow(visit, response, which)
    return response


async def show_figures(visit: Visit) -> Response:
    """The rows once more, with their health and figures: what the table did not wait for."""
    tenant_id = visit.path("tenant")
    which = Filter.of(visit.query)
    rows = await _rows(visit, tenant_id, with_figures=True)
    shown, _ = cut(choose(rows, which), visit.query.get("after", ""))
    context = _context(visit, tenant_id, which) | {"counts": count(rows, which.q), "rows": shown, "is_late": False}
    return visit.render("webhooks/figures.html", after="", **context)


async def switch(visit: Visit) -> Response:
    """Switches a webhook on or off; the row as it is then."""
    tenant_id, webhook_id = visit.path("tenant"), visit.path("webhook")
    form = await visit.form()
    path = f"/api/platform/tenants/{part(tenant_id)}/webhooks/{webhook_id}"
    answer = await visit.ask("PUT", path, {"isActive": form.text("on") == "true"})
    answer.require()
    row = await find_row(visit, tenant_id, UUID(webhook_id))
    if not visit.is_scripted:
        return visit.done()
    return visit.render("webhooks/changed.html", row=row, is_late=False, **_context(visit, tenant_id, Filter()))


async def find_row(visit: Visit, tenant_id: str, webhook_id: UUID) -> Row:
    """A webhook with its figures.

    Raises:
        NotFoundError: code `webhook_not_found` or `tenant_not_found`.
    """
    for row in await _rows(visit, tenant_id, with_figures=True):
        if row.webhook.id == webhook_id:
            return row
    raise NotFoundError("This tenant has no such webhook.", code="webhook_not_found")


async def _rows(visit: Visit, tenant_id: str, *, with_figures: bool) -> Sequence[Row]:
    webhooks = await visit.app.webhooks.get_n8n_webhooks_by_tenant(tenant_id)
    if not with_figures:
        return make_rows(webhooks)
    health = await visit.app.figures.list_health(tenant_id)
    return make_rows(webhooks, health, await visit.app.figures.list_hours(tenant_id))


def _filter(visit: Visit) -> tuple[Filter, bool]:
    """What is asked for, and whether this request names it. One that does not goes by the page that it is made from."""
    named = {"q", "status", "sort"} & set(visit.request.query_params)
    if named or not visit.is_partial:
        return Filter.of(visit.query), bool(named)
    return Filter.of(asked_of(visit.request.headers.get("hx-current-url", ""))), False


def _follow(visit: Visit, response: Response, which: Filter) -> None:
    """Has the address of the page that is shown say what the table shows. Typing makes one step back, not many."""
    current = visit.request.headers.get("hx-current-url", "")
    path, tenant = split(current).path, part(visit.path("tenant"))
    if path not in (f"/tenants/{tenant}/webhooks", f"/tenants/{tenant}/integrations"):
        return
    before = Filter.of(asked_of(current))
    typed = bool(before.q) and (before.status, before.sort) == (which.status, which.sort)
    response.headers["hx-replace-url" if typed else "hx-push-url"] = path + which.query()


def _context(visit: Visit, tenant_id: str, which: Filter) -> dict[str, Any]:
    """What every piece of the table is given. `root` is the address of the table."""
    base = f"/tenants/{part(tenant_id)}/webhooks"
    return {
        "root": base,
        "which": which,
        "statuses": STATUSES,
        "thresholds": THRESHOLDS,
        "judged": JUDGED,
        "may_write": visit.may_write,
    }


ROUTES: Sequence[BaseRoute] = (
    page("/tenants/{tenant}/webhooks", show_table),
    page("/tenants/{tenant}/webhooks/figures", show_figures),
    deed("/tenants/{tenant}/webhooks/{webhook:uuid}/switch", switch),
)
