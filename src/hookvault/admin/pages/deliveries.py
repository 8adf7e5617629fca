"""Deliveries: a tenant's, one delivery's story, and the account of all."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from starlette.responses import Response

from hookvault.admin.advice import SHORT
from hookvault.admin.ask import part
from hookvault.admin.asked import RANGES, link, read_deliveries, read_id, read_tenant, typed
from hookvault.admin.choice import Choice, choose_tenant, choose_webhook
from hookvault.admin.route import deed, page
from hookvault.admin.trail import told
from hookvault.admin.visit import Visit
from hookvault.db.codec import decode_json
from hookvault.deliveries.model import ENDED, STATUSES, Delivery, DeliveryFilter, Story
from hookvault.errors import InvalidError, NotFoundError
from hookvault.paging import Page
from hookvault.webhooks.payload import response_json

ROWS = 50
_NAMES = ("tenantId", "status", "webhookId", "workflowName", "errorCode", "startDate", "endDate", "range")
_CONFIRMED = "expunge"
_NONE: Page[Delivery] = Page([], None)
_STATUSES = (("", "All"), *((status, status.capitalize()) for status in STATUSES))


async def list_deliveries(visit: Visit) -> Response:
    """A tenant's deliveries under the filters of the address; without a tenant, the account of all and a choice."""
    given = {name: visit.query[name].strip() for name in _NAMES if name in visit.query}
    if given.get("range") not in RANGES:
        given.pop("range", None)
    try:
        tenant_id = read_tenant(given)
        if tenant_id is None:
            return _answered(visit, await _page(visit, given, _NONE), {})
        which = await _which(visit, tenant_id, given)
        found = await visit.app.deliveries.list_deliveries(
            tenant_id, which, limit=ROWS, cursor=visit.query.get("cursor")
        )
    except InvalidError as error:
        if visit.is_partial:
            raise
        return await _page(visit, given, _NONE, problem=error.message, status=error.status)
    if visit.is_partial:
        return visit.render("deliveries/more.html", **_rows(given, found))
    return _answered(visit, await _page(visit, given, found), given)


async def show_ledger(visit: Visit) -> Response:
    """The account of all deliveries, which is counted: it comes after the page."""
    ledger, back = await visit.app.ledger(), ("/deliveries", "Deliveries")
    return visit.show_part("deliveries/ledger.html", "The account of all deliveries", back, ledger=ledger)


async def show_delivery(visit: Visit) -> Response:
    """One delivery's story; asked in part, as what goes into the drawer."""
    story = await _story(visit)
    calls = await visit.app.analytics.get_calls(story.delivery.tenant_id, story.call_ids)
    template = "deliveries/drawer.html" if visit.is_partial else "deliveries/delivery.html"
    return visit.render(
        template,
        story=story,
        delivery=story.delivery,
        calls=calls,
        steps=told(story.trail),
        causes=SHORT,
        **_body(story),
    )


async def ask_replay(visit: Visit) -> Response:
    """The form of making one delivery again."""
    return _replay_form(visit, await _story(visit))


async def replay(visit: Visit) -> Response:
    """Makes it again, and goes to the new one."""
    story = await _story(visit)
    answer = await visit.ask("POST", f"{_api(story.delivery)}/replay")
    if not answer.ok:
        return _replay_form(visit, story, answer.message, status=answer.status)
    made = f"/tenants/{part(story.delivery.tenant_id)}/deliveries/{answer.data['deliveryId']}"
    return visit.done(made, said="Replayed. This is the new delivery.")


async def ask_expunge(visit: Visit) -> Response:
    """The form of removing a delivery's payload."""
    return _expunge_form(visit, await _story(visit))


async def expunge(visit: Visit) -> Response:
    """Removes it."""
    form = await visit.form()
    story = await _story(visit)
    if form.text("confirm") != _CONFIRMED:
        return _expunge_form(visit, story, f"Type {_CONFIRMED} to confirm.")
    delivery = story.delivery
    path = f"/api/platform/tenants/{part(delivery.tenant_id)}/deliveries/{delivery.id}/expunge"
    answer = await visit.ask("POST", path)
    if not answer.ok:
        return _expunge_form(visit, story, answer.message, status=answer.status)
    return visit.done(_own(delivery), said="What this delivery sent, and its calls were answered, is removed.")


async def _which(visit: Visit, tenant_id: str, given: Mapping[str, str]) -> DeliveryFilter:
    webhook_id = read_id(given.get("webhookId"), "webhookId")
    if webhook_id is None:
        webhook_id = await _webhook_id(visit, tenant_id, given.get("workflowName"))
    return read_deliveries(given, visit.zone, webhook_id)


async def _webhook_id(visit: Visit, tenant_id: str, name: str | None) -> UUID | None:
    if name is None:
        return None
    try:
        return (await visit.app.webhooks.get_n8n_webhook_by_name(tenant_id, name)).id
    except NotFoundError as error:
        if error.code == "tenant_not_found":
            raise
        message = "This tenant has no webhook of this name."
        raise InvalidError(message, errors=[{"field": "workflowName", "message": message}]) from None


def _rows(given: Mapping[str, str], found: Page[Delivery]) -> dict[str, Any]:
    following = link("/deliveries", given, cursor=found.next_cursor) if found.next_cursor else None
    return {"deliveries": found.items, "more": following}


async def _page(
    visit: Visit, given: Mapping[str, str], found: Page[Delivery], *, problem: str = "", status: int = 200
) -> Response:
    tenant_id = given.get("tenantId")
    webhooks = Choice((), None)
    if tenant_id and not problem:
        webhooks = await _webhooks(visit, tenant_id, given)
    return visit.render(
        "deliveries/deliveries.html",
        status=status,
        given=given,
        problem=problem,
        tenants=await choose_tenant(visit.app, tenant_id),
        webhooks=webhooks,
        zone=visit.zone,
        start=_shown(given, "startDate", visit),
        end=_shown(given, "endDate", visit),
        statuses=_STATUSES,
        ranges=RANGES,
        is_filtered=any(name in given for name in _NAMES if name != "tenantId"),
        replays=await _replays(visit, given) if visit.may_write and tenant_id and not problem else None,
        **_rows(given, found),
    )


async def _webhooks(visit: Visit, tenant_id: str, given: Mapping[str, str]) -> Choice:
    """A tenant's webhooks; by their ids where a link names one by its id."""
    by_id = "webhookId" in given
    return await choose_webhook(
        visit.app, tenant_id, given.get("webhookId" if by_id else "workflowName"), by_name=not by_id
    )


def _answered(visit: Visit, response: Response, given: Mapping[str, str]) -> Response:
    if visit.is_scripted:
        response.headers["hx-push-url"] = link("/deliveries", given)
    return response


def _shown(given: Mapping[str, str], name: str, visit: Visit) -> str:
    """A date as it was typed, or on the reader's clock."""
    try:
        which = read_deliveries({name: given[name]} if name in given else {}, visit.zone, None)
    except InvalidError:
        return given.get(name, "")
    return typed(which.start or which.end, visit.zone)


async def _replays(visit: Visit, given: Mapping[str, str]) -> str:
    """Where what is listed can be made again."""
    tenant_id = given["tenantId"]
    which = await _which(visit, tenant_id, given)
    moments = {"startDate": which.start, "endDate": which.end}
    kept: dict[str, Any] = {name: moment.isoformat() for name, moment in moments.items() if moment is not None}
    if which.webhook_id is not None:
        kept["webhookId"] = which.webhook_id
    status = given.get("status")
    return link(
        f"/tenants/{part(tenant_id)}/replays",
        kept,
        status=status if status in ENDED else None,
        errorCode=given.get("errorCode"),
    )


async def _story(visit: Visit) -> Story:
    return await visit.app.deliveries.get_delivery(read_tenant_of(visit), UUID(visit.path("deliveryId")))


def read_tenant_of(visit: Visit) -> str:
    """The tenant that a path names. Raises NotFoundError for what can be none."""
    try:
        return read_tenant({"tenantId": visit.path("tenantId")}) or ""
    except InvalidError:
        raise NotFoundError("There is no such tenant.", code="tenant_not_found") from None


def _own(delivery: Delivery) -> str:
    return f"/tenants/{part(delivery.tenant_id)}/deliveries/{delivery.id}"


def _api(delivery: Delivery) -> str:
    return f"/api/tenants/{part(delivery.tenant_id)}/deliveries/{delivery.id}"


def _body(story: Story) -> dict[str, Any]:
    """What was sent, as it may be shown: parsed JSON."""
    if story.payload is None:
        return {"payload": None}
    payload, _ = response_json(story.payload, truncated=False)
    return {"payload": None if payload is None else decode_json(payload)}


def _replay_form(visit: Visit, story: Story, wrong: str = "", *, status: int = 200) -> Response:
    action = f"{_own(story.delivery)}/replay"
    response = visit.show_form(
        "deliveries/replay.html", "Replay this delivery?", action=action, delivery=story.delivery, wrong=wrong
    )
    response.status_code = status
    return response


def _expunge_form(visit: Visit, story: Story, wrong: str = "", *, status: int = 422) -> Response:
    back = _own(story.delivery)
    response = visit.show_form(
        "calls/expunge.html",
        "Remove the payload?",
        action=f"{back}/expunge",
        what="delivery",
        word=_CONFIRMED,
        wrong=wrong,
        back=back,
    )
    if wrong:
        response.status_code = status
    return response


_ONE = "/tenants/{tenantId}/deliveries/{deliveryId:uuid}"
ROUTES = (
    page("/deliveries", list_deliveries),
    page("/deliveries/ledger", show_ledger),
    page(_ONE, show_delivery),
    page(f"{_ONE}/replay", ask_replay),
    deed(f"{_ONE}/replay", replay),
    page(f"{_ONE}/expunge", ask_expunge),
    deed(f"{_ONE}/expunge", expunge),
)
