"""Trying webhooks: one with a payload of one's own, or several one after another."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from starlette.responses import Response
from starlette.routing import BaseRoute

from hookvault.admin.ask import Answer
from hookvault.admin.form import read_json
from hookvault.admin.pages.draft import api_path, base_path, find
from hookvault.admin.route import deed, page
from hookvault.admin.visit import Visit
from hookvault.errors import HookvaultError, InvalidError

_FORM = "webhooks/trial.html"
EXAMPLE = json.dumps({"test": True}, indent=2)


async def show_trial(visit: Visit) -> Response:
    """The form of a test, with an example to send."""
    visit.require_writer()
    webhook = await find(visit)
    return visit.show_form(_FORM, f"Test {webhook.workflow_name}", **trial_context(visit, webhook))


async def try_webhook(visit: Visit) -> Response:
    """Sends a payload to a webhook, or only looks what would be sent; the whole exchange."""
    form, webhook = await visit.form(), await find(visit)
    payload, is_sent = form.raw("payload"), form.text("do") != "check"
    context = trial_context(visit, webhook, payload, in_page=form.is_on("in_page"))
    heading = f"Test {webhook.workflow_name}"
    try:
        body = {"payload": read_json(payload), "call": is_sent}
    except ValueError as error:
        return visit.show_form(_FORM, heading, answer=_not_json(error), **context)
    answer = await visit.ask("POST", f"{api_path(visit, webhook)}/test", body)
    if answer.ok:
        return visit.show_form(_FORM, heading, **context | {"trial": answer.data})
    return visit.show_form(_FORM, heading, answer=answer, **context)


async def show_trials(visit: Visit) -> Response:
    """The list of webhooks that are tested one after another; each row asks for its own test when its turn comes."""
    visit.require_writer()
    form = await visit.form()
    wanted = set(form.all("id"))
    found = await visit.app.webhooks.get_n8n_webhooks_by_tenant(visit.path("tenant"))
    chosen = [each for each in found if form.is_on("all") or str(each.id) in wanted]
    if not chosen:
        raise InvalidError("Tick the webhooks that are to be tested.")
    return visit.show_form("webhooks/trials.html", "Test webhooks", webhooks=chosen, root=base_path(visit))


async def try_one(visit: Visit) -> Response:
    """Tests one webhook of several, says how that went, and lets the next one begin."""
    form, webhook_id = await visit.form(), visit.path("webhook")
    counts = {name: _whole(form.text(name)) for name in ("done", "good", "of")}
    webhook = None
    try:
        webhook = await find(visit)
        answer = await visit.ask("POST", f"{api_path(visit, webhook)}/test", {"payload": {"test": True}})
    except HookvaultError as error:  # deleted meanwhile; the others are tested all the same
        answer = Answer(error.status, {"detail": error.message})
    result = answer.data.get("result") if answer.ok else None
    counts["done"] += 1
    counts["good"] += bool(result and result["success"])
    name = webhook.workflow_name if webhook else "Deleted webhook"
    context: dict[str, Any] = {"name": name, "result": result, "problem": answer.message, "counts": counts}
    return visit.render("webhooks/tried.html", events={f"tried-{webhook_id}": {}}, **context)


def trial_context(visit: Visit, webhook: Any, payload: str = EXAMPLE, *, in_page: bool = False) -> dict[str, Any]:
    """What the form of a test is given."""
    return {
        "webhook": webhook,
        "root": base_path(visit),
        "payload": payload,
        "trial": None,
        "in_page": in_page,
    }


def _not_json(error: Exception) -> Answer:
    where = f" in line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
    message = f"This is not JSON: look{where}." if where else "This is not JSON, or too deep."
    return Answer(422, {"detail": message, "errors": [{"field": "payload", "message": message}]})


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 6 else 0


def known_ids(texts: Sequence[str]) -> list[UUID]:
    """The ids among submitted texts; what is none is left out."""
    found = []
    for text in texts:
        try:
            found.append(UUID(text))
        except ValueError:
            continue
    return found


ROUTES: Sequence[BaseRoute] = (
    deed("/tenants/{tenant}/webhooks/test", show_trials),
    page("/tenants/{tenant}/webhooks/{webhook:uuid}/test", show_trial),
    deed("/tenants/{tenant}/webhooks/{webhook:uuid}/test", try_webhook),
    deed("/tenants/{tenant}/webhooks/{webhook:uuid}/probe", try_one),
)
