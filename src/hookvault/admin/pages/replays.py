"""Deliveries made again by a filter: counted first, watched, stopped."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from starlette.responses import Response

from hookvault.admin.ask import Answer, part
from hookvault.admin.asked import link, read_moment, typed
from hookvault.admin.choice import choose_webhook
from hookvault.admin.form import Form
from hookvault.admin.pages.deliveries import read_tenant_of
from hookvault.admin.route import deed, page
from hookvault.admin.visit import Visit
from hookvault.clock import iso
from hookvault.deliveries.model import ENDED, Replay
from hookvault.errors import InvalidError
from hookvault.webhooks.replay import DEFAULT_RATE

ROWS = 20
_DATES = ("startDate", "endDate")
_NO_ANSWER = Answer(200, {})


async def list_replays(visit: Visit) -> Response:
    """The form, filled in from the address, and all replays of the tenant; asked in part, those that follow."""
    if visit.is_partial:
        return visit.render("replays/more.html", **await _past(visit))
    query = visit.query
    values = {name: query.get(name, "") for name in ("webhookId", "errorCode", "ratePerSecond")}
    values["ratePerSecond"] = values["ratePerSecond"] or f"{DEFAULT_RATE:g}"
    values |= {name: _typed(visit, query.get(name, "")) for name in _DATES}
    chosen: list[str] = [text for text in visit.request.query_params.getlist("status") if text in ENDED]
    return await _page(visit, values, chosen or ["failed", "expired"])


async def preview(visit: Visit) -> Response:
    """Counts what would be made again, and offers to begin."""
    form = await visit.form()
    body, errors = _body(visit, form)
    tenant_id = read_tenant_of(visit)
    answer = _NO_ANSWER
    if not errors:
        answer = await visit.ask("POST", _api(tenant_id, "replay"), {**body, "preview": True})
    return await _asked(visit, form, answer, errors, found=answer.data if answer.ok and not errors else None)


async def start(visit: Visit) -> Response:
    """Begins."""
    form = await visit.form()
    body, errors = _body(visit, form)
    tenant_id = read_tenant_of(visit)
    if errors:
        return await _asked(visit, form, _NO_ANSWER, errors)
    answer = await visit.ask("POST", _api(tenant_id, "replay"), body)
    if not answer.ok:
        return await _asked(visit, form, answer, {})
    return visit.done(f"/tenants/{part(tenant_id)}/replays", said="The replay has begun.")


async def show_replay(visit: Visit) -> Response:
    """How far a replay has come, as it is shown in the list."""
    found = await visit.app.replays.get(read_tenant_of(visit), UUID(visit.path("replayId")))
    return _item(visit, found)


async def cancel(visit: Visit) -> Response:
    """Stops a replay; what it made already is delivered all the same."""
    tenant_id, replay_id = read_tenant_of(visit), UUID(visit.path("replayId"))
    answer = await visit.ask("POST", _api(tenant_id, f"replays/{replay_id}/cancel"))
    if answer.code != "replay_ended":  # which is what was wanted
        answer.require()
    if visit.is_partial:
        return _item(visit, await visit.app.replays.get(tenant_id, replay_id))
    return visit.done(f"/tenants/{part(tenant_id)}/replays", said="The replay is stopped.")


def _item(visit: Visit, replay: Replay) -> Response:
    if visit.is_partial:
        return visit.render("replays/replay.html", replay=replay, webhooks={})
    return visit.done(f"/tenants/{part(replay.tenant_id)}/replays")


async def _asked(
    visit: Visit, form: Form, answer: Answer, errors: Mapping[str, str], *, found: Mapping[str, Any] | None = None
) -> Response:
    """The form as it was submitted, with what is wrong or what was found."""
    wrong = {**errors, **answer.errors}
    problem = answer.message if not answer.ok and not answer.errors else ""
    status = 422 if errors else answer.status
    context: dict[str, Any] = {"errors": wrong, "problem": problem, "found": found}
    if visit.is_partial:
        context |= await _form(visit, form.values(), form.all("status"))
        return visit.render("replays/form.html", status=status, **context)
    return await _page(visit, form.values(), form.all("status"), status=status, **context)


async def _page(
    visit: Visit, values: Mapping[str, str], statuses: list[str], *, status: int = 200, **context: Any
) -> Response:
    context = {"errors": {}, "problem": "", "found": None} | context
    context |= await _form(visit, values, statuses) | await _past(visit)
    return visit.render("replays/replays.html", status=status, **context)


async def _form(visit: Visit, values: Mapping[str, str], statuses: list[str]) -> dict[str, Any]:
    tenant = await visit.app.tenants.get_tenant(read_tenant_of(visit))
    webhooks = await choose_webhook(visit.app, tenant.id, values.get("webhookId") or None)
    return {
        "tenant": tenant,
        "values": values,
        "statuses": statuses,
        "ended": ENDED,
        "webhook_choice": webhooks,
        "zone": visit.zone,
    }


async def _past(visit: Visit) -> dict[str, Any]:
    tenant_id = read_tenant_of(visit)
    found = await visit.app.replays.list_page(tenant_id, limit=ROWS, cursor=visit.query.get("cursor"))
    path = f"/tenants/{part(tenant_id)}/replays"
    following = link(path, {}, cursor=found.next_cursor) if found.next_cursor else None
    return {"replays": found.items, "more": following}


def _body(visit: Visit, form: Form) -> tuple[dict[str, Any], dict[str, str]]:
    """What the API is asked, and what of it can't be: times are of the reader's clock, and the API knows only the world's."""
    body: dict[str, Any] = {"status": form.all("status"), **form.given(("webhookId", "errorCode"))}
    errors: dict[str, str] = {}
    if not body["status"]:
        errors["status"] = "Choose one at least."
    rate = form.number("ratePerSecond")
    if rate is not None:
        body["ratePerSecond"] = rate
    for name in _DATES:
        try:
            moment = read_moment(form.text(name), name, visit.zone)
        except InvalidError as error:
            errors[name] = error.message
        else:
            body |= {} if moment is None else {name: iso(moment)}
    return body, errors


def _typed(visit: Visit, text: str) -> str:
    """A moment of the address on the reader's clock; as it is, where it is none."""
    try:
        return typed(read_moment(text, "", visit.zone), visit.zone)
    except InvalidError:
        return text


def _api(tenant_id: str, path: str) -> str:
    return f"/api/tenants/{part(tenant_id)}/deliveries/{path}"


_ALL = "/tenants/{tenantId}/replays"
ROUTES = (
    page(_ALL, list_replays),
    deed(_ALL, start),
    deed(f"{_ALL}/preview", preview),
    page(f"{_ALL}/{{replayId:uuid}}", show_replay),
    deed(f"{_ALL}/{{replayId:uuid}}/cancel", cancel),
)
