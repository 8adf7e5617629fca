"""API keys of programs: listed, made and shown once, revoked."""

from typing import Any
from uuid import UUID

from starlette.responses import Response

from hookvault.accounts.model import TENANT_SCOPES, APIKey
from hookvault.admin.ask import Answer, part
from hookvault.admin.people import look_up, named_label
from hookvault.admin.route import deed, page
from hookvault.admin.visit import Visit
from hookvault.errors import InvalidError, NotFoundError
from hookvault.ids import is_name

_KEYS = "/api/platform/api-keys"
_MOST_TENANTS = 200
SCOPES = (
    ("call", "Call webhooks", "and wait for the answer"),
    ("send", "Send deliveries", "accepted at once, delivered with retries"),
    ("read", "Read", "deliveries and how they went"),
)


async def show_keys(visit: Visit) -> Response:
    """All keys, the newest first; a tenant's where one is named."""
    tenant_id, cursor = visit.query.get("tenantId"), visit.query.get("cursor")
    if tenant_id is not None and not is_name(tenant_id):
        raise NotFoundError(f"There is no tenant {tenant_id[:64]}.", code="tenant_not_found")
    keys = await visit.app.api_keys.list_api_keys(tenant_id=tenant_id, cursor=cursor)
    people = await look_up(visit, [key.created_by for key in keys.items])
    by = {key.id: named_label(key.created_by, people) for key in keys.items}
    template = "apikeys/rows.html" if visit.is_partial else "apikeys/apikeys.html"
    return visit.render(template, keys=keys, by=by, tenant_id=tenant_id)


async def show_create(visit: Visit) -> Response:
    """The form of a new key."""
    visit.require_writer()
    tenant_id = visit.query.get("tenantId", "")
    values = {"tenantId": tenant_id, "kind": "tenant", "scopes": list(TENANT_SCOPES), "name": ""}
    return await _create_form(visit, values)


async def create(visit: Visit) -> Response:
    """Makes a key and shows it, this once."""
    form = await visit.form()
    kind, tenant_id = form.text("kind"), form.text("tenantId")
    values = {"name": form.text("name"), "kind": kind, "tenantId": tenant_id, "scopes": form.all("scopes")}
    if kind == "platform":
        body: dict[str, Any] = {"name": values["name"]}
    else:
        body = {"name": values["name"], "tenantId": tenant_id, "scopes": values["scopes"]}
    answer = await visit.ask("POST", _KEYS, body)
    if not answer.ok:
        return await _create_form(visit, values, answer)
    return visit.show_form(
        "apikeys/made.html", "Your new API key", made=answer.data, **await example(visit, answer.data)
    )


async def show_revoke(visit: Visit) -> Response:
    """Asks for the name of the key to be revoked."""
    visit.require_writer()
    return visit.show_form("apikeys/revoke.html", "Revoke API key", key=await _key(visit))


async def revoke(visit: Visit) -> Response:
    """Revokes a key, once its name was typed."""
    key, form = await _key(visit), await visit.form()
    if form.text("confirm") != key.name:
        raise InvalidError("The name that was typed is another one. Nothing was revoked.", code="not_confirmed")
    (await visit.ask("DELETE", f"{_KEYS}/{part(key.id)}")).require()
    return visit.done("/api-keys", said=f"{key.name} is revoked: refused everywhere within a second.")


async def example(visit: Visit, made: dict[str, Any]) -> dict[str, Any]:
    """A request that uses a new key, as a command to be pasted: `command`, and in words what it does, `does`."""
    url, header = visit.app.settings.app_url, f"-H 'Authorization: Bearer {made['key']}'"
    tenant_id, scopes = made["tenantId"], made["scopes"]
    if tenant_id is None:
        return {"does": "lists the tenants", "command": f"curl {url}/api/platform/tenants \\\n  {header}"}
    if not {"call", "send"} & set(scopes):
        return {"does": "lists deliveries", "command": f"curl {url}/api/tenants/{tenant_id}/deliveries \\\n  {header}"}
    webhooks = await visit.app.webhooks.list_webhooks(tenant_id, limit=1)
    name = webhooks.items[0].workflow_name if webhooks.items else "WORKFLOW"
    kind = "call" if "call" in scopes else "deliveries"
    command = (
        f"curl {url}/api/tenants/{tenant_id}/webhooks/{name}/{kind} \\\n  {header} \\\n"
        '  -H \'Content-Type: application/json\' \\\n  -d \'{"payload": {"hello": "world"}}\''
    )
    return {"does": f"{'calls' if kind == 'call' else 'sends to'} the webhook {name}", "command": command}


async def _key(visit: Visit) -> APIKey:
    """The key of the path. Raises NotFoundError, code `api_key_not_found`."""
    try:
        return await visit.app.api_keys.get_api_key(UUID(visit.path("key_id")))
    except ValueError:
        raise NotFoundError("There is no such API key.", code="api_key_not_found") from None


async def _create_form(visit: Visit, values: dict[str, Any], answer: Answer | None = None) -> Response:
    tenants = await visit.app.tenants.list_tenants(limit=_MOST_TENANTS)
    return visit.show_form(
        "apikeys/create.html", "New API key", answer=answer, values=values, tenants=tenants.items, scopes=SCOPES
    )


ROUTES = (
    page("/api-keys", show_keys),
    page("/api-keys/new", show_create),
    deed("/api-keys/new", create),
    page("/api-keys/{key_id}/revoke", show_revoke),
    deed("/api-keys/{key_id}/revoke", revoke),
)
