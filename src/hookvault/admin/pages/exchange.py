"""A tenant's webhooks out to a file, and in from one: first what would be done, then, if that is wanted, that."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from starlette.responses import Response
from starlette.routing import BaseRoute

from hookvault.admin.ask import Answer, part
from hookvault.admin.form import Form
from hookvault.admin.pages.draft import api_path, base_path
from hookvault.admin.route import deed, page
from hookvault.admin.visit import Visit
from hookvault.admin.webhooks.file import MOST, read_items, to_csv, to_json
from hookvault.admin.webhooks.plan import Step, make_plan
from hookvault.clock import iso, now
from hookvault.errors import InvalidError
from hookvault.outbound.guard import AddressPolicy

_DONE = {"create": "Created", "change": "Changed"}
_AT_ONCE = 25  # webhooks, a third of a second; then the page says how far it is, and asks for more


class Told(NamedTuple):
    """What the page tells of an import that it goes on with: how many webhooks of the file are gone through, and how."""

    after: int = 0
    done: int = 0
    refused: int = 0


_NOTHING = Told()


async def show_exchange(visit: Visit) -> Response:
    """Where files are made and read."""
    tenant = await visit.app.tenants.get_tenant(visit.path("tenant"))
    return _page(visit, tenant)


async def export(visit: Visit) -> Response:
    """All webhooks of the tenant as a file, without their secrets."""
    tenant_id = visit.path("tenant")
    webhooks = await visit.app.webhooks.get_n8n_webhooks_by_tenant(tenant_id)
    if visit.query.get("format") == "csv":
        body, kind, ending = to_csv(webhooks), "text/csv; charset=utf-8", "csv"
    else:
        body, kind, ending = to_json(webhooks, tenant_id, iso(now())), "application/json", "json"
    named = f'attachment; filename="webhooks-{part(tenant_id)}.{ending}"'
    return Response(body, media_type=kind, headers={"content-disposition": named})


async def bring_in(visit: Visit) -> Response:
    """What a file would do; with `apply`, does it, each webhook by the API's own route, some at a time."""
    visit.require_writer()
    form, tenant = await visit.form(), await visit.app.tenants.get_tenant(visit.path("tenant"))
    text = form.raw("text").replace("\r\n", "\n")
    told = Told(*(_told(form, name) for name in Told._fields))
    try:
        items = read_items(text)
    except InvalidError as error:
        return _page(visit, tenant, told=told, problem=error.message)
    present = await visit.app.webhooks.get_n8n_webhooks_by_tenant(tenant.id)
    settings = visit.app.settings
    policy = AddressPolicy(allow_http=settings.allow_http, allowed_networks=settings.allowed_networks)
    steps = make_plan(items, present, policy)
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
    counts = Counter(step.verdict for step in steps)
    if not form.text("apply"):
        return _page(visit, tenant, steps=steps, counts=counts, digest=digest)
    if form.text("apply") != digest:
        problem = "The text is another one than was looked at. Look at what it would do now, then apply it."
        return _page(visit, tenant, told=told, steps=steps, counts=counts, digest=digest, problem=problem)
    return await _do(visit, tenant, steps, told, digest)


async def _do(visit: Visit, tenant: Any, steps: Sequence[Step], told: Told, digest: str) -> Response:
    """Goes on behind what was gone through: the plan is made anew each time, so what is done already is the same then."""
    # Without our script nobody asks for more.
    passed = _take(steps[told.after :], _AT_ONCE if visit.is_partial else len(steps))
    report = [(step, await _apply(visit, step) if step.verdict in _DONE else None) for step in passed]
    report = [(step, answer) for step, answer in report if step.verdict != "same"]
    done = sum(answer is not None and answer.ok for _, answer in report)
    far = Told(told.after + len(passed), told.done + done, told.refused + len(report) - done)
    return _page(visit, tenant, told=told, report=report, far=far, whole=len(steps), digest=digest)


def _told(form: Form, name: str) -> int:
    """What the page tells of what was done before: a number up to as many webhooks as a file may hold."""
    number = form.number(name)
    return number if isinstance(number, int) and 0 <= number <= MOST else 0


def _take(steps: Sequence[Step], most: int) -> Sequence[Step]:
    """The first steps, of which so many do something, with all between them."""
    doing = 0
    for place, step in enumerate(steps):
        doing += step.verdict in _DONE
        if doing > most:
            return steps[:place]
    return steps


async def _apply(visit: Visit, step: Step) -> Answer:
    if step.webhook is None:
        return await visit.ask("POST", api_path(visit), step.body)
    version = step.webhook.config_version
    return await visit.ask("PUT", api_path(visit, step.webhook), step.body, version=version)


def _page(visit: Visit, tenant: Any, *, problem: str = "", told: Told = _NOTHING, **context: Any) -> Response:
    known: dict[str, Any] = {"steps": None, "report": None, "counts": Counter(), "digest": "", "far": None}
    known |= {"problem": problem, "tenant": tenant, "root": base_path(visit), "most": MOST, "done": _DONE, "told": told}
    template = "webhooks/outcome.html" if visit.is_partial else "webhooks/exchange.html"
    if told.after and visit.is_partial:
        template = "webhooks/onward.html"
    status = 422 if problem else 200
    return visit.render(template, status=status, may_write=visit.may_write, **known | context)


ROUTES: Sequence[BaseRoute] = (
    page("/tenants/{tenant}/webhooks/exchange", show_exchange),
    page("/tenants/{tenant}/webhooks/export", export),
    deed("/tenants/{tenant}/webhooks/exchange", bring_in),
)
