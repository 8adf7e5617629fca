"""The forms of a webhook: a new one, a copy, a change, and its auth secret alone."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from starlette.responses import Response
from starlette.routing import BaseRoute

from hookvault.admin.ask import Answer, part
from hookvault.admin.form import Form
from hookvault.admin.people import look_up, named_label
from hookvault.admin.route import deed, page
from hookvault.admin.visit import Visit
from hookvault.admin.webhooks.fields import (
    AUTH_TYPES,
    Mark,
    auth_of,
    blank_values,
    body_of,
    header_rows,
    landed,
    mark_of,
    theirs,
    typed_values,
    values_of,
)
from hookvault.ids import is_name
from hookvault.webhooks.draft import derived
from hookvault.webhooks.model import Webhook

_FORM = "webhooks/form.html"
_AUTH_FORM = "webhooks/auth.html"


async def show_new(visit: Visit) -> Response:
    """The form of a new webhook."""
    visit.require_writer()
    return await _show(visit, "Add webhook", values=blank_values(), headers=[("0", "")])


async def create(visit: Visit) -> Response:
    """Makes a webhook; shows its signing secret, which nothing shows again."""
    form = await visit.form()
    answer = await visit.ask("POST", api_path(visit), body_of(form))
    if answer.ok:
        return show_secret(visit, answer, "Webhook added", made=True)
    headers = header_rows(form)
    return await _show(visit, "Add webhook", values=typed_values(form), headers=headers, answer=landed(answer, headers))


async def show_copy(visit: Visit) -> Response:
    """The form of a new webhook, filled with what another one has, but for its secrets."""
    visit.require_writer()
    webhook = await find(visit)
    values = values_of(webhook) | {"workflowName": f"{webhook.workflow_name[:59]}-copy"}
    headers = [(str(number), name) for number, name in enumerate(webhook.static_headers)] or [("0", "")]
    heading = f"Duplicate {webhook.workflow_name}"
    return await _show(visit, heading, values=values, headers=headers, copied=webhook)


async def show_edit(visit: Visit) -> Response:
    """The form of a change."""
    visit.require_writer()
    webhook = await find(visit)
    return await _show(
        visit, f"Edit {webhook.workflow_name}", values=values_of(webhook), headers=[("0", "")], webhook=webhook
    )


async def edit(visit: Visit) -> Response:
    """Changes a webhook, if nobody else did so since the form was opened."""
    form, webhook = await visit.form(), await find(visit)
    answer = await visit.ask("PUT", api_path(visit, webhook), body_of(form, before=webhook), version=_version(form))
    if answer.ok:
        return visit.done(said=f"{answer.data['workflowName']} is saved.")
    headers = header_rows(form)
    context: dict[str, Any] = {"values": typed_values(form), "headers": headers, "webhook": webhook}
    if answer.status == 412:
        context["theirs"] = theirs(webhook, form)
    return await _show(visit, f"Edit {webhook.workflow_name}", answer=landed(answer, headers), **context)


async def show_auth(visit: Visit) -> Response:
    """The form of how a webhook authenticates itself, and of nothing else."""
    visit.require_writer()
    webhook = await find(visit)
    return _show_auth(visit, webhook, values_of(webhook))


async def change_auth(visit: Visit) -> Response:
    """Changes how a webhook authenticates itself."""
    form, webhook = await visit.form(), await find(visit)
    answer = await visit.ask("PUT", api_path(visit, webhook), auth_of(form), version=_version(form))
    if answer.ok:
        return visit.done(said=f"The auth of {webhook.workflow_name} is changed. The next call uses it.")
    return _show_auth(visit, webhook, dict(typed_values(form)), landed(answer))


async def show_fields(visit: Visit) -> Response:
    """The fields of one type of auth, in place of another's."""
    asked, kind = visit.query.get("of", ""), visit.query.get("authType", "none")
    mark = None
    if asked:
        webhook = await visit.app.webhooks.get_n8n_webhook(visit.path("tenant"), _uuid(asked))
        mark = _mark(webhook, kind)
    values = {"authType": kind if kind in dict(AUTH_TYPES) else "none"}
    return visit.render("webhooks/authfields.html", values=values, errors={}, mark=mark)


async def show_address(visit: Visit) -> Response:
    """What the address of a webhook would be, as its name is typed."""
    name, url = visit.query.get("workflowName", ""), visit.query.get("webhookUrl", "")
    return visit.render("webhooks/address.html", address=await _address(visit, name), given=url.strip())


def show_secret(visit: Visit, answer: Answer, heading: str, *, made: bool) -> Response:
    """A new signing secret, this once, and how a receiver uses it."""
    return visit.show_form(
        "webhooks/secret.html",
        heading,
        webhook=answer.data,
        until=datetime.fromisoformat(until) if (until := answer.data["previousSigningUntil"]) else None,
        made=made,
        at=f"{base_path(visit)}/{answer.data['id']}",
    )


async def find(visit: Visit) -> Webhook:
    """The webhook of the path. Raises NotFoundError."""
    return await visit.app.webhooks.get_n8n_webhook(visit.path("tenant"), UUID(visit.path("webhook")))


def base_path(visit: Visit) -> str:
    """Where the tenant's webhooks are."""
    return f"/tenants/{part(visit.path('tenant'))}/webhooks"


def api_path(visit: Visit, webhook: Webhook | None = None) -> str:
    """The API's address of the tenant's webhooks, or of one of them."""
    path = f"/api/platform/tenants/{part(visit.path('tenant'))}/webhooks"
    return f"{path}/{webhook.id}" if webhook else path


async def _show(
    visit: Visit,
    heading: str,
    *,
    answer: Answer | None = None,
    webhook: Webhook | None = None,
    copied: Webhook | None = None,
    **context: Any,
) -> Response:
    values = context["values"]
    kind = values.get("authType", "none")
    if answer is not None and answer.status == 412:
        who = named_label(webhook.updated_by, await look_up(visit, [webhook.updated_by])) if webhook else "somebody"
        answer = replace(answer, data={**answer.data, "detail": _changed(who)})
    return visit.show_form(
        _FORM,
        heading,
        answer=answer,
        **{"theirs": [], **context},
        root=base_path(visit),
        webhook=webhook,
        copied=copied,
        auth_types=AUTH_TYPES,
        mark=_mark(webhook, kind) if webhook else None,
        marks={name: mark_of(mark) for name, mark in webhook.static_headers.items()} if webhook else {},
        address=await _address(visit, values.get("workflowName", "")),
        given=values.get("webhookUrl", ""),
    )


def _show_auth(visit: Visit, webhook: Webhook, values: dict[str, str], answer: Answer | None = None) -> Response:
    return visit.show_form(
        _AUTH_FORM,
        f"Auth of {webhook.workflow_name}",
        answer=answer,
        webhook=webhook,
        root=base_path(visit),
        values=values,
        auth_types=AUTH_TYPES,
        mark=_mark(webhook, values.get("authType", "none")),
    )


def _changed(who: str) -> str:
    return (
        f"This webhook was changed by {who} since you opened the form. What you typed is kept. Look at the differences below, "
        "then save again to put yours in place of theirs."
    )


def _mark(webhook: Webhook, kind: str) -> Mark | None:
    """The stored secret, where it is one of this type of auth: another type asks for its own."""
    return mark_of(webhook.auth_token) if kind == webhook.auth_type else None


async def _address(visit: Visit, name: str) -> str:
    """The address that is derived for a name; empty where there is nothing to derive it from."""
    tenant = await visit.app.tenants.get_tenant(visit.path("tenant"))
    found = await visit.app.integrations.get_tenant_integration(tenant.id)
    n8n = found.n8n if found else None
    base = n8n.values.get("baseUrl") if n8n and n8n.enabled else None
    return derived(base, tenant.id, tenant.slug, name if is_name(name) else "workflow-name") if base else ""


def _version(form: Form) -> int | None:
    version = form.number("version")
    return version if isinstance(version, int) and 0 <= version < 10**9 else None


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)


ROUTES: Sequence[BaseRoute] = (
    page("/tenants/{tenant}/webhooks/new", show_new),
    deed("/tenants/{tenant}/webhooks/new", create),
    page("/tenants/{tenant}/webhooks/authfields", show_fields),
    page("/tenants/{tenant}/webhooks/address", show_address),
    page("/tenants/{tenant}/webhooks/{webhook:uuid}/duplicate", show_copy),
    page("/tenants/{tenant}/webhooks/{webhook:uuid}/edit", show_edit),
    deed("/tenants/{tenant}/webhooks/{webhook:uuid}/edit", edit),
    page("/tenants/{tenant}/webhooks/{webhook:uuid}/auth", show_auth),
    deed("/tenants/{tenant}/webhooks/{webhook:uuid}/auth", change_auth),
)
