"""The call log, and one call in all its parts."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from starlette.responses import Response
from starlette.routing import BaseRoute

from hookvault.admin.advice import SHORT
from hookvault.admin.ask import part
from hookvault.admin.asked import RANGES, Asked, link, read_calls, read_given, typed, without
from hookvault.admin.choice import Choice, choose_tenant, choose_webhook
from hookvault.admin.inspect import Inspected, inspect_call
from hookvault.admin.route import blank, deed, page
from hookvault.admin.visit import Visit
from hookvault.analytics.cause import CAUSES
from hookvault.analytics.filter import position_of
from hookvault.analytics.model import CallFilter, WebhookCall
from hookvault.errors import InvalidError
from hookvault.paging import Page

ROWS = 50
# A page is answered at once; what it has not searched by then, it goes on to search by itself.
_AT_ONCE_S = 0.02
_FURTHER_S = 1.0
_CONFIRMED = "expunge"
_NONE: Page[WebhookCall] = Page([], None)


async def list_calls(visit: Visit) -> Response:
    """The call log under the filters of the address; asked in part, the rows that follow."""
    given = read_given(visit.query)
    try:
        asked = read_calls(given, visit.zone)
        found = await _find(visit, asked)
    except InvalidError as error:
        if visit.is_partial:
            raise
        return await _page(visit, Asked(given, CallFilter()), _NONE, problem=error.message, status=error.status)
    if visit.is_partial:
        return visit.render("calls/more.html", **_rows(visit, asked, found))
    return await _page(visit, asked, found)


async def show_call(visit: Visit) -> Response:
    """One call; asked in part, as what goes into the drawer."""
    found = await _inspect(visit)
    if visit.is_partial:
        return visit.render("calls/drawer.html", found=found, call=found.call, causes=SHORT)
    return visit.render("calls/call.html", found=found, call=found.call, causes=SHORT)


async def ask_expunge(visit: Visit) -> Response:
    """The form of removing what a call sent and was answered."""
    return _expunge_form(visit, (await _inspect(visit)).call)


async def expunge(visit: Visit) -> Response:
    """Removes it."""
    form = await visit.form()
    call = (await _inspect(visit)).call
    if form.text("confirm") != _CONFIRMED:
        return _expunge_form(visit, call, f"Type {_CONFIRMED} to confirm.")
    answer = await visit.ask("POST", f"/api/platform/tenants/{part(call.tenant_id)}/calls/{call.id}/expunge")
    if not answer.ok:
        return _expunge_form(visit, call, answer.message, status=answer.status)
    return visit.done(f"/calls/{call.id}", said="What this call sent and was answered is removed.")


async def _find(visit: Visit, asked: Asked) -> Page[WebhookCall]:
    within_s = _FURTHER_S if visit.is_partial else _AT_ONCE_S
    return await visit.app.analytics.browse_calls(
        asked.which, limit=ROWS, cursor=visit.query.get("cursor"), within_s=within_s
    )


def _rows(visit: Visit, asked: Asked, found: Page[WebhookCall]) -> dict[str, Any]:
    """What the rows of a page need. The next page asks the very same question, though time goes on."""
    position = position_of(asked.which, found.next_cursor)
    following = link("/calls", asked.exact, cursor=found.next_cursor) if found.next_cursor else None
    return {
        "calls": found.items,
        "causes": SHORT,
        "more": following,
        "back_to": position[0] if position else None,
        # Short, and not the last one: there was no time to search on.
        "short": position is not None and len(found.items) < ROWS,
        "searched": visit.is_partial,
    }


async def _page(
    visit: Visit, asked: Asked, found: Page[WebhookCall], *, problem: str = "", status: int = 200
) -> Response:
    given = dict(asked.given)
    tenants = await choose_tenant(visit.app, given.get("tenantId"))
    webhooks = Choice((), None)
    if tenants.chosen:
        webhooks = await choose_webhook(visit.app, tenants.chosen, given.get("webhookId"))
    response = visit.render(
        "calls/calls.html",
        status=status,
        given=given,
        problem=problem,
        tenants=tenants,
        webhooks=webhooks,
        zone=visit.zone,
        start=typed(asked.which.start, visit.zone) if "startDate" in given else "",
        end=typed(asked.which.end, visit.zone),
        every_cause=CAUSES,
        statuses=_STATUSES,
        ranges=RANGES,
        is_filtered=bool(given),
        live=None if "endDate" in given or problem else link("/calls/live", without(given, ("startDate", "range"))),
        exports={form: link("/api/platform/calls/export", asked.exact, format=form) for form in ("csv", "ndjson")},
        replays=_replays(asked) if visit.may_write else None,
        **_rows(visit, asked, found),
    )
    if visit.is_scripted:
        response.headers["hx-push-url"] = link("/calls", given)
    return response


_STATUSES = (("", "All"), ("success", "Success"), ("failed", "Failed"), ("4xx", "4xx"), ("5xx", "5xx"))


def _replays(asked: Asked) -> str | None:
    """Where the deliveries of these calls can be made again; None where no tenant is chosen."""
    exact = asked.exact
    tenant_id = exact.get("tenantId")
    if tenant_id is None:
        return None
    kept: dict[str, Any] = {name: exact[name] for name in ("webhookId", "startDate", "endDate") if name in exact}
    status = exact.get("status", "")
    if status.isdigit():
        kept["errorCode"] = f"http_{status}"
    return link(f"/tenants/{part(tenant_id)}/replays", kept, status="delivered" if status == "success" else None)


async def _inspect(visit: Visit) -> Inspected:
    return await inspect_call(visit.app, UUID(visit.path("callId")))


def _expunge_form(visit: Visit, call: WebhookCall, wrong: str = "", *, status: int = 422) -> Response:
    heading, action = "Remove what was sent and answered?", f"/calls/{call.id}/expunge"
    response = visit.show_form(
        "calls/expunge.html",
        heading,
        action=action,
        what="call",
        word=_CONFIRMED,
        wrong=wrong,
        back=f"/calls/{call.id}",
    )
    if wrong:
        response.status_code = status
    return response


ROUTES: Sequence[BaseRoute] = (
    page("/calls", list_calls),
    page("/calls/{callId:uuid}", show_call),
    blank("/calls/{callId:uuid}/expunge", ask_expunge),
    deed("/calls/{callId:uuid}/expunge", expunge),
)
