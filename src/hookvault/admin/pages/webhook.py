"""One webhook's page: how it does, its calls, a test, how it is set up; its signing secret's rotation, and its end."""

import json
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from hookvault.admin.board.chart import (
    chart_causes,
    chart_codes,
    chart_latency,
    chart_results,
    list_groups,
    list_points,
)
from hookvault.admin.board.choice import Choice
from hookvault.admin.board.tiles import six_tiles
from hookvault.admin.charts.series import zone_name
from hookvault.admin.pages.draft import api_path, base_path, find, show_secret
from hookvault.admin.pages.trial import trial_context
from hookvault.admin.people import look_up, named_label
from hookvault.admin.route import deed, page
from hookvault.admin.visit import Visit
from hookvault.admin.webhooks.fields import mark_of
from hookvault.admin.webhooks.periods import RANGES, Range
from hookvault.admin.webhooks.rows import JUDGED, THRESHOLDS
from hookvault.clock import now
from hookvault.deliveries.model import DeliveryFilter
from hookvault.webhooks.model import Webhook
from hookvault.webhooks.retry import plan_of

_TABS = ("overview", "test", "setup")
_CALLS_SHOWN = 15
_WAITING_SHOWN = 5
_MANY = 10**9
_CALL = """curl -X POST "{url}/api/tenants/{tenant}/webhooks/{name}/{what}" \\
  -H "Authorization: Bearer $HOOKVAULT_KEY" \\
  -H "Content-Type: application/json" \\{more}
  -d '{body}'"""


async def show_webhook(visit: Visit) -> Response:
    """The page; what is counted comes after it."""
    webhook = await find(visit)
    tenant = await visit.app.tenants.get_tenant(webhook.tenant_id)
    tab = visit.query.get("tab", "")
    tab = tab if tab in _TABS and (tab != "test" or visit.may_write) else "overview"
    context: dict[str, Any] = (
        trial_context(visit, webhook, in_page=True) if tab == "test" else {"webhook": webhook, "root": base_path(visit)}
    )
    if tab == "setup":
        people = await look_up(visit, [webhook.updated_by])
        context |= _setup(visit, webhook) | {"author": named_label(webhook.updated_by, people)}
    asked = RANGES.get(visit.query.get("range", ""), RANGES["24h"])
    return visit.render(
        "webhooks/webhook.html",
        **context,
        tenant=tenant,
        tab=tab,
        asked=asked,
        ranges=RANGES,
        at=f"{base_path(visit)}/{webhook.id}",
        may_write=visit.may_write,
        heading=f"Test {webhook.workflow_name}",
        errors={},
        problem="",
        failed=False,
    )


async def show_health(visit: Visit) -> Response:
    """How the webhook does, and why."""
    webhook = await find(visit)
    health = await visit.app.figures.list_health(webhook.tenant_id)
    found = next((each for each in health if each.webhook_id == webhook.id), None)
    return visit.show_part(
        "webhooks/health.html", "Health", _back(webhook), standing=found, thresholds=THRESHOLDS, judged=JUDGED
    )


async def show_counted(visit: Visit) -> Response:
    """The tiles and charts of a period."""
    webhook, figures = await find(visit), visit.app.figures
    asked = RANGES.get(visit.query.get("range", ""), RANGES["24h"])
    choice = _chosen(visit, webhook, asked)
    summary = await figures.summarize(webhook.tenant_id, choice.start, choice.end, webhook_id=webhook.id)
    points = await list_points(visit.app, choice)
    groups = await list_groups(visit.app, choice)
    charts_of = [
        chart_results(points, choice),
        chart_latency(points, choice),
        chart_causes(groups, choice),
        chart_codes(groups, summary.figures, choice),
    ]
    return visit.show_part(
        "webhooks/counted.html",
        "Figures",
        _back(webhook),
        asked=asked,
        tiles=six_tiles(summary, points),
        before=choice.before,
        charts_of=charts_of,
        zone=choice.zone_name,
    )


def _chosen(visit: Visit, webhook: Webhook, asked: Range) -> Choice:
    end = now()
    zone = visit.zone if "/" in zone_name(visit.zone) else UTC
    given = {"tenantId": webhook.tenant_id, "webhookId": str(webhook.id)}
    start = end - asked.length
    return Choice(webhook.tenant_id, webhook.id, asked.name, start, end, asked.interval, zone, given)


async def show_recent(visit: Visit) -> Response:
    """The last calls, and the deliveries that wait."""
    webhook = await find(visit)
    calls = await visit.app.analytics.list_webhook_calls(webhook.tenant_id, webhook.id, limit=_CALLS_SHOWN)
    waiting = await visit.app.deliveries.list_deliveries(
        webhook.tenant_id, DeliveryFilter(("pending", "held"), webhook.id), limit=_WAITING_SHOWN
    )
    return visit.show_part(
        "webhooks/recent.html", "Last calls", _back(webhook), webhook=webhook, calls=calls.items, waiting=waiting
    )


def _back(webhook: Webhook) -> tuple[str, str]:
    return f"/tenants/{webhook.tenant_id}/webhooks/{webhook.id}", webhook.workflow_name


async def show_rotation(visit: Visit) -> Response:
    """The form of a new signing secret."""
    visit.require_writer()
    webhook = await find(visit)
    return _show_rotation(visit, webhook, "24")


async def rotate(visit: Visit) -> Response:
    """Makes a new signing secret; shows it, this once."""
    form, webhook = await visit.form(), await find(visit)
    hours = form.number("overlapHours")
    # A number with more digits than any float has is left for the API to refuse.
    body = {"overlapHours": float(hours) if isinstance(hours, int) and hours < _MANY else hours}
    answer = await visit.ask("POST", f"{api_path(visit, webhook)}/signing-secret/rotate", body)
    if answer.ok:
        return show_secret(visit, answer, "Signing secret rotated", made=False)
    return _show_rotation(visit, webhook, form.text("overlapHours"), answer)


async def show_deletion(visit: Visit) -> Response:
    """Asks for the webhook's name before it is deleted."""
    visit.require_writer()
    webhook = await find(visit)
    return visit.show_form(
        "webhooks/delete.html", f"Delete {webhook.workflow_name}", webhook=webhook, root=base_path(visit), wrong=False
    )


async def delete(visit: Visit) -> Response:
    """Deletes a webhook whose name was typed."""
    form, webhook = await visit.form(), await find(visit)
    context: dict[str, Any] = {"webhook": webhook, "root": base_path(visit)}
    if form.text("confirm") != webhook.workflow_name:
        return visit.show_form("webhooks/delete.html", f"Delete {webhook.workflow_name}", wrong=True, **context)
    (await visit.ask("DELETE", api_path(visit, webhook))).require()
    integrations = base_path(visit).removesuffix("/webhooks") + "/integrations"
    return visit.done(integrations, said=f"{webhook.workflow_name} is deleted. Its calls stay readable.")


def _show_rotation(visit: Visit, webhook: Webhook, hours: str, answer: Any = None) -> Response:
    return visit.show_form(
        "webhooks/rotate.html",
        f"Rotate the signing secret of {webhook.workflow_name}",
        answer=answer,
        webhook=webhook,
        root=base_path(visit),
        hours=hours,
    )


def _pause(seconds: float) -> str:
    """A pause as one says it: 5 s, 5 min, 2 h."""
    for length, unit in ((3600, "h"), (60, "min")):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _setup(visit: Visit, webhook: Webhook) -> dict[str, Any]:
    """How it is set up, and how the platform's backend calls it."""
    settings, plan = visit.app.settings, plan_of(webhook.policy)
    named = {"url": settings.app_url, "tenant": webhook.tenant_id, "name": webhook.workflow_name}
    body = json.dumps({"payload": {"test": True}, "triggeredBy": "backend"})
    key = '\n  -H "Idempotency-Key: order-1234" \\'
    return {
        "auth": mark_of(webhook.auth_token),
        "headers": {name: mark_of(mark) for name, mark in webhook.static_headers.items()},
        "signing": mark_of(webhook.signing_secret),
        "plan": plan,
        "pauses": ", ".join(map(_pause, plan.schedule[: plan.max_retries])),
        "timeout_ms": webhook.policy.timeout_ms or settings.webhook_timeout_s * 1000,
        "call": _CALL.format(**named, what="call", more="", body=body),
        "delivery": _CALL.format(**named, what="deliveries", more=key, body=body),
    }


ROUTES: Sequence[BaseRoute] = (
    page("/tenants/{tenant}/webhooks/{webhook:uuid}", show_webhook),
    page("/tenants/{tenant}/webhooks/{webhook:uuid}/health", show_health),
    page("/tenants/{tenant}/webhooks/{webhook:uuid}/counted", show_counted),
    page("/tenants/{tenant}/webhooks/{webhook:uuid}/recent", show_recent),
    page("/tenants/{tenant}/webhooks/{webhook:uuid}/rotate", show_rotation),
    deed("/tenants/{tenant}/webhooks/{webhook:uuid}/rotate", rotate),
    page("/tenants/{tenant}/webhooks/{webhook:uuid}/delete", show_deletion),
    deed("/tenants/{tenant}/webhooks/{webhook:uuid}/delete", delete),
)
