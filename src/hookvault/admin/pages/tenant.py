"""One tenant: how it does, its settings, and its end."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from starlette.responses import Response
from starlette.routing import Route

from hookvault.admin.ask import Answer, part
from hookvault.admin.attention import list_notices
from hookvault.admin.board.chart import chart_results, list_points
from hookvault.admin.board.choice import Choice
from hookvault.admin.board.tiles import calls_tile, failed_tile, success_tile, time_tile
from hookvault.admin.form import Form
from hookvault.admin.route import blank, deed, page
from hookvault.admin.visit import Visit
from hookvault.analytics.model import CallFilter
from hookvault.clock import now
from hookvault.tenants.model import Tenant

_DAY = timedelta(hours=24)
_FAILURES = 8
_FORM = "tenant/settings.html"


class Act(NamedTuple):
    """Something that needs a second thought: its form's heading, what is typed to confirm it, and what is said once done."""

    heading: str
    by_name: bool
    said: str


_ACTS: Mapping[str, Act] = {
    "suspend": Act("Suspend this tenant", True, "{name} is suspended. Its deliveries wait."),
    "shred": Act("Destroy this tenant's secrets", False, "The secrets of {name} are destroyed. Enter new ones."),
    "rekey": Act("Give this tenant a new data key", False, "Its secrets are being sealed anew, in the background."),
    "delete": Act("Delete this tenant", True, "{name} is deleted."),
}


async def show_tenant(visit: Visit) -> Response:
    """How a tenant does. The figures come after the page, which does not wait for them."""
    tenant = await _tenant(visit)
    return visit.render("tenant/overview.html", tenant=tenant, figures=None)


async def show_figures(visit: Visit) -> Response:
    """The last 24 hours, what needs attention, and recent failures: as a part of the page, or a page of its own."""
    tenant = await _tenant(visit)
    figures = await _figures(visit, tenant)
    if visit.is_partial:
        return visit.render("tenant/figures.html", tenant=tenant, **figures)
    return visit.render("tenant/overview.html", tenant=tenant, figures=figures, **figures)


async def show_settings(visit: Visit) -> Response:
    """What may be set of a tenant."""
    tenant = await _tenant(visit)
    return _settings(visit, tenant, _values(tenant))


async def save_settings(visit: Visit) -> Response:
    """Changes a tenant. Where another admin was faster, what was typed stays and what is set now is shown beside it."""
    form = await visit.form()
    identifier = visit.path("tenant")
    version = form.number("version")
    answer = await visit.ask(
        "PATCH", _api(identifier), _changes(form), version=version if isinstance(version, int) else 1
    )
    if answer.ok:
        return visit.done(f"/tenants/{part(identifier)}/settings", said="Saved.")
    tenant = await _tenant(visit)
    return _settings(visit, tenant, form.values(), answer)


async def do_act(visit: Visit, act: str) -> Response:
    """Suspends, shreds, rekeys or deletes, once what was to be typed was typed."""
    tenant = await _tenant(visit)
    wanted = tenant.name if _ACTS[act].by_name else tenant.id
    if act != "rekey" and (await visit.form()).text("confirm") != wanted:
        return _asked_again(visit, tenant, act, problem=f"Type {wanted} to confirm.")
    answer = await _done(visit, act, tenant)
    if not answer.ok:
        return _asked_again(visit, tenant, act, answer=answer)
    after = "/tenants" if act == "delete" else f"/tenants/{part(tenant.id)}/settings"
    return visit.done(after, said=_ACTS[act].said.format(name=tenant.name))


async def resume(visit: Visit) -> Response:
    """Lets a suspended tenant go on."""
    tenant = await _tenant(visit)
    (await visit.ask("PATCH", _api(tenant.id), {"status": "active"})).require()
    return visit.done(f"/tenants/{part(tenant.id)}/settings", said=f"{tenant.name} is active again.")


async def _done(visit: Visit, act: str, tenant: Tenant) -> Answer:
    if act == "suspend":
        return await visit.ask("PATCH", _api(tenant.id), {"status": "suspended"})
    if act == "shred":
        return await visit.ask("POST", f"{_api(tenant.id)}/shred", {"confirm": tenant.id})
    if act == "rekey":
        return await visit.ask("POST", "/api/platform/keys/rekey", {"tenantId": tenant.id})
    return await visit.ask("DELETE", _api(tenant.id))


def _act_routes(act: str) -> tuple[Route, Route]:
    """The form that asks once more, and what it submits."""

    async def show(visit: Visit) -> Response:
        return _asked_again(visit, await _tenant(visit), act)

    async def do(visit: Visit) -> Response:
        return await do_act(visit, act)

    path = f"/tenants/{{tenant}}/{act}"
    return blank(path, show), deed(path, do)


def _asked_again(
    visit: Visit, tenant: Tenant, act: str, *, answer: Answer | None = None, problem: str = ""
) -> Response:
    """The form of an act, with what the API said against it or what was not typed."""
    known = {"tenant": tenant, "act": act, "note": problem, "wanted": tenant.name if _ACTS[act].by_name else tenant.id}
    shown = visit.show_form("tenant/act.html", _ACTS[act].heading, answer=answer, **known)
    if problem:
        shown.status_code = 422
    return shown


def _settings(visit: Visit, tenant: Tenant, values: Mapping[str, str], answer: Answer | None = None) -> Response:
    stale = answer is not None and answer.status == 412
    stored = _values(tenant)
    others = {name: text for name, text in stored.items() if stale and text != values.get(name)}
    errors = dict(answer.errors) if answer else {}
    problem = answer.message if answer and not errors and not stale else ""
    known: dict[str, Any] = {
        "tenant": tenant,
        "values": {**values, "version": stored["version"]},
        "errors": errors,
        "problem": problem,
    }
    return visit.render(
        _FORM if visit.is_partial else "tenant/change.html",
        status=answer.status if answer else 200,
        failed=answer is not None,
        stale=stale,
        others=others,
        **known,
    )


def _values(tenant: Tenant) -> dict[str, str]:
    """A tenant's settings as its form has them."""
    limit = tenant.rate_limit
    found = {
        "name": tenant.name,
        "slug": tenant.slug,
        "rateLimit.calls": limit.calls if limit else "",
        "rateLimit.seconds": limit.seconds if limit else "",
        "concurrency": tenant.concurrency or "",
        "retentionDays": tenant.retention_days or "",
        "version": tenant.version,
    }
    return {name: str(value) for name, value in found.items()}


def _changes(form: Form) -> dict[str, Any]:
    limit = {name: form.number(f"rateLimit.{name}") for name in ("calls", "seconds")}
    return {
        "name": form.text("name"),
        "slug": form.text("slug"),
        "rateLimit": {k: v for k, v in limit.items() if v is not None}
        if any(v is not None for v in limit.values())
        else None,
        "concurrency": form.number("concurrency"),
        "retentionDays": form.number("retentionDays"),
    }


async def _figures(visit: Visit, tenant: Tenant) -> dict[str, Any]:
    end = now()
    choice = Choice(tenant.id, None, "24h", end - _DAY, end, "hour", visit.zone, {"tenantId": tenant.id})
    points = await list_points(visit.app, choice)
    summary = await visit.app.figures.summarize(tenant.id, choice.start, end)
    calls = f"/calls?tenantId={tenant.id}"
    failures = await visit.app.analytics.list_tenant_calls(
        tenant.id, CallFilter(start=choice.start, status="failed"), limit=_FAILURES
    )
    return {
        "tiles": [
            calls_tile(summary, points, href=calls),
            success_tile(summary, points, href=calls),
            failed_tile(summary, points, href=f"{calls}&status=failed"),
            time_tile("p95", summary, points, href=calls),
        ],
        "before": choice.before,
        "chart": chart_results(points, choice),
        "zone": choice.zone_name,
        "failures": failures.items,
        "notices": await list_notices(visit.app, tenant),
    }


async def _tenant(visit: Visit) -> Tenant:
    return await visit.app.tenants.get_tenant(visit.path("tenant"))


def _api(tenant_id: str) -> str:
    return f"/api/platform/tenants/{part(tenant_id)}"


ROUTES = (
    page("/tenants/{tenant}", show_tenant),
    page("/tenants/{tenant}/figures", show_figures),
    page("/tenants/{tenant}/settings", show_settings),
    deed("/tenants/{tenant}/settings", save_settings),
    deed("/tenants/{tenant}/resume", resume),
    *(route for act in _ACTS for route in _act_routes(act)),
)
