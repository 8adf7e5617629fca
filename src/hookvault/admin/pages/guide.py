"""First steps: from nothing to a first recorded call. Each step ticks itself off by what there is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from hookvault.accounts.model import APIKey
from hookvault.admin.ask import Answer, part
from hookvault.admin.pages.apikeys import example
from hookvault.admin.route import deed, page
from hookvault.admin.visit import Visit
from hookvault.analytics.model import CallFilter, WebhookCall
from hookvault.errors import NotFoundError
from hookvault.integrations.model import Integration
from hookvault.tenants.model import Tenant
from hookvault.webhooks.model import Webhook

_MOST_TENANTS = 200
_DEMO = "/api/platform/demo"


@dataclass(frozen=True, slots=True)
class Found:
    """What there is already, of the tenant that the steps are about."""

    tenants: list[Tenant]
    tenant: Tenant | None = None
    n8n: Integration | None = None
    webhook: Webhook | None = None
    key: APIKey | None = None
    call: WebhookCall | None = None

    @property
    def done(self) -> Mapping[str, bool]:
        """Which steps are done, in their order. Nobody gets here without a password of their own."""
        steps = ("tenant", "n8n", "webhook", "key", "call")
        return {"password": True} | {name: getattr(self, name) is not None for name in steps}

    @property
    def next(self) -> str:
        """The first step that is not done; empty where all are."""
        return next((name for name, done in self.done.items() if not done), "")


async def show_guide(visit: Visit) -> Response:
    """All steps."""
    return await _guide(visit, visit.query.get("tenantId"))


async def show_progress(visit: Visit) -> Response:
    """Which steps are done by now, and the first recorded call; asked again and again until there is one."""
    found = await _found(visit, visit.query.get("tenantId"))
    return visit.render("guide/progress.html", found=found, ticks=True)


async def make_tenant(visit: Visit) -> Response:
    """Makes the tenant."""
    values = (await visit.form()).given(("name",))
    answer = await visit.ask("POST", "/api/platform/tenants", {"name": values.get("name", "")})
    if not answer.ok:
        return await _guide(visit, None, failed="tenant", answer=answer, values=values)
    return visit.done(_here(answer.data["id"]), said=f"{answer.data['name']} is there. Next: its n8n.")


async def set_n8n(visit: Visit) -> Response:
    """Configures n8n."""
    form, tenant_id = await visit.form(), visit.path("tenant_id")
    values = form.given(("baseUrl", "apiKey"))
    answer = await visit.ask("POST", f"/api/platform/tenants/{part(tenant_id)}/integrations/n8n", values)
    if not answer.ok:
        return await _guide(visit, tenant_id, failed="n8n", answer=answer, values=form.values(but=["apiKey"]))
    return visit.done(_here(tenant_id), said="n8n is connected. Next: a webhook.")


async def make_webhook(visit: Visit) -> Response:
    """Makes the webhook, and shows the secret that its calls are signed with, this once."""
    form, tenant_id = await visit.form(), visit.path("tenant_id")
    values = form.given(("workflowName", "webhookUrl"))
    answer = await visit.ask("POST", f"/api/platform/tenants/{part(tenant_id)}/webhooks", values)
    if not answer.ok:
        return await _guide(visit, tenant_id, failed="webhook", answer=answer, values=values)
    return await _guide(visit, tenant_id, signing_secret=answer.data["signingSecret"])


async def make_key(visit: Visit) -> Response:
    """Makes an API key for the tenant, and shows it with a command that uses it, this once."""
    form, tenant_id = await visit.form(), visit.path("tenant_id")
    values = form.given(("keyName",))
    body = {"name": values.get("keyName", ""), "tenantId": tenant_id}
    answer = await visit.ask("POST", "/api/platform/api-keys", body)
    if not answer.ok:
        return await _guide(visit, tenant_id, failed="key", answer=answer, values=values)
    return await _guide(visit, tenant_id, made=answer.data, **await example(visit, answer.data))


async def try_webhook(visit: Visit) -> Response:
    """Calls the webhook for a test: the first recorded call."""
    tenant_id = visit.path("tenant_id")
    found = await _found(visit, tenant_id)
    if found.webhook is None:
        raise NotFoundError("The tenant has no webhook yet.", code="webhook_not_found")
    path = f"/api/platform/tenants/{part(tenant_id)}/webhooks/{found.webhook.id}/test"
    answer = await visit.ask("POST", path, {"payload": {"hello": "world"}})
    if not answer.ok:
        return await _guide(visit, tenant_id, failed="call", answer=answer)
    result, address = answer.data["result"], answer.data["address"]
    if result is None:
        refused = Answer(422, {"detail": address["message"] or "The address may not be called."})
        return await _guide(visit, tenant_id, failed="call", answer=refused)
    return visit.done(_here(tenant_id) + "#call", said="" if result["success"] else "The call is recorded, and failed.")


async def load_demo(visit: Visit) -> Response:
    """Loads demo data."""
    answer = await visit.ask("POST", _DEMO)
    if not answer.ok:
        return await _guide(visit, None, failed="demo", answer=_known(answer))
    tenants = len(answer.data["tenants"])
    return visit.done("/tenants", said=f"{tenants} demo tenants are there, with a month of calls. Look around.")


async def remove_demo(visit: Visit) -> Response:
    """Removes the demo data."""
    answer = await visit.ask("DELETE", _DEMO)
    if not answer.ok:
        return await _guide(visit, None, failed="demo", answer=_known(answer))
    return visit.done("/guide", said="The demo tenants are gone. Their calls stay in the record until retention.")


def _known(answer: Answer) -> Answer:
    """Where there is no such route, that in words."""
    return Answer(404, {"detail": "This installation has no demo data to load."}) if answer.status == 404 else answer


def _here(tenant_id: str) -> str:
    return f"/guide?{urlencode({'tenantId': tenant_id})}"


async def _found(visit: Visit, tenant_id: str | None) -> Found:
    """What there is of a tenant; by default of the one that was made last."""
    app = visit.app
    tenants = list((await app.tenants.list_tenants(limit=_MOST_TENANTS)).items)
    tenant = next((one for one in tenants if one.id == tenant_id), None)
    if tenant_id is None:
        tenant = max(tenants, key=lambda one: one.created_at, default=None)
    elif tenant is None:
        tenant = await app.tenants.get_tenant(tenant_id)
    if tenant is None:
        return Found(tenants)
    integration = await app.integrations.get_tenant_integration(tenant.id)
    webhooks = await app.webhooks.list_webhooks(tenant.id, limit=1)
    keys = await app.api_keys.list_api_keys(tenant_id=tenant.id)
    calls = await app.analytics.list_tenant_calls(tenant.id, CallFilter(), limit=1)
    return Found(
        tenants,
        tenant,
        n8n=integration.n8n if integration else None,
        webhook=next(iter(webhooks.items), None),
        key=next((key for key in keys.items if key.revoked_at is None), None),
        call=next(iter(calls.items), None),
    )


async def _guide(
    visit: Visit, tenant_id: str | None, *, failed: str = "", answer: Answer | None = None, **context: Any
) -> Response:
    """The page, as it is or with what was refused at its step.

    Args:
        visit: Whose.
        tenant_id: Whom the steps are about.
        failed: The step that was refused.
        answer: Why.
        context: What was typed (`values`), or what was made just now and is shown once.
    """
    errors = dict(answer.errors) if answer else {}
    given: dict[str, Any] = {"values": {}, "made": None, "signing_secret": None, "command": "", "does": ""} | context
    return visit.render(
        "guide/guide.html",
        status=answer.status if answer else 200,
        found=await _found(visit, tenant_id),
        failed=failed,
        errors=errors,
        problem=answer.message if answer and not errors else "",
        has_demo=await visit.app.demo.exists(),
        ticks=False,
        **given,
    )


ROUTES = (
    page("/guide", show_guide),
    page("/guide/progress", show_progress),
    deed("/guide/tenant", make_tenant),
    deed("/guide/demo", load_demo),
    deed("/guide/demo/remove", remove_demo),
    deed("/guide/{tenant_id}/n8n", set_n8n),
    deed("/guide/{tenant_id}/webhook", make_webhook),
    deed("/guide/{tenant_id}/key", make_key),
    deed("/guide/{tenant_id}/call", try_webhook),
)
