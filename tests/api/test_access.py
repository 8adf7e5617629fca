"""Who may what: no key, wrong keys, scopes, and the wall between tenants."""

import pytest
from tenancy import PLATFORM, is_problem

ID = "01890000-0000-7000-8000-000000000000"
TENANT = f"{PLATFORM}/tenants/{{tenant}}"
ROUTES = [
    ("GET", f"{PLATFORM}/tenants"),
    ("POST", f"{PLATFORM}/tenants"),
    ("GET", TENANT),
    ("PATCH", TENANT),
    ("DELETE", TENANT),
    ("GET", f"{TENANT}/audit"),
    ("GET", f"{TENANT}/integrations"),
    *[
        (method, f"{TENANT}/integrations/{kind}")
        for kind in ("whatsapp", "sms", "n8n")
        for method in ("POST", "PUT", "DELETE")
    ],
    ("GET", f"{TENANT}/webhooks"),
    ("POST", f"{TENANT}/webhooks"),
    ("GET", f"{TENANT}/webhooks/{{webhook}}"),
    ("PUT", f"{TENANT}/webhooks/{{webhook}}"),
    ("DELETE", f"{TENANT}/webhooks/{{webhook}}"),
    ("POST", f"{TENANT}/webhooks/{{webhook}}/signing-secret/rotate"),
    ("GET", f"{TENANT}/webhooks/{{webhook}}/analytics"),
    ("GET", f"{TENANT}/webhooks/analytics"),
    ("GET", f"{TENANT}/webhooks/analytics/summary"),
    ("GET", f"{PLATFORM}/api-keys"),
    ("POST", f"{PLATFORM}/api-keys"),
    ("DELETE", f"{PLATFORM}/api-keys/{ID}"),
    ("POST", "/api/tenants/{tenant}/webhooks/{name}/call"),
]
OPEN = {"/", "/healthz", "/readyz", "/metrics", "/api/docs", "/api/docs.css", "/api/openapi.json"}
EVERY_ROUTE = pytest.mark.parametrize(("method", "path"), ROUTES)


async def test_the_list_of_routes_above_is_whole(client):
    document = (await client.get("/api/openapi.json")).json()
    known = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    shape = {"{tenant}": "{tenantId}", "{webhook}": "{webhookId}", ID: "{keyId}", "{name}": "{workflowName}"}

    def written(path):
        for kind in ("whatsapp", "sms", "n8n"):
            path = path.replace(f"integrations/{kind}", "integrations/{kind}")
        for ours, theirs in shape.items():
            path = path.replace(ours, theirs)
        return path

    assert {(method, written(path)) for method, path in ROUTES} == {item for item in known if item[1] not in OPEN}


KEYS = [
    None,
    "",
    "Bearer",
    "Bearer ",
    "Bearer hv_",
    "Bearer hv_" + "a" * 43,
    "Bearer hv_" + "a" * 5000,
    "Bearer hv_\xff\xfe",
    "Basic aHY6aHY=",
    "hv_" + "a" * 43,
]


@EVERY_ROUTE
async def test_without_a_valid_key_nothing_but_401(stranger, method, path):
    url = path.format(tenant="nobody", webhook=ID, name="orders")
    for key in KEYS:
        headers = {} if key is None else {"authorization": key.encode("latin-1")}
        answer = await stranger.request(method, url, json={}, headers=headers)
        problem = is_problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == 'Bearer realm="hookvault"'
        assert "aaa" not in problem["detail"]


@pytest.fixture(scope="session")
async def two(client, app):
    """Two tenants, each with a webhook and a key; the tests here change nothing of either."""
    made = {}
    for name in ("a", "b"):
        tenant = await app.tenants.create_tenant(f"Tenant {name}")
        webhook = await app.webhooks.create_n8n_webhook(tenant.id, "orders", webhook_url="http://127.0.0.1:1/x")
        key = await app.api_keys.create_api_key("two", tenant_id=tenant.id)
        made[name] = {"id": tenant.id, "webhook": str(webhook.id), "key": key.token.open()}
    return made


async def state_of(owner, tenant_id):
    """Everything stored of a tenant, as text."""
    tables = (
        "tenant_integrations",
        "n8n_webhooks",
        "n8n_webhook_counters",
        "webhook_analytics",
        "audit_events",
        "api_keys",
    )
    rows = [await owner("SELECT t::text FROM tenants t WHERE id = $1", tenant_id)]
    for table in tables:
        rows.append(await owner(f"SELECT t::text FROM {table} t WHERE tenant_id = $1 ORDER BY 1", tenant_id))
    return [[row[0] for row in found] for found in rows]


@EVERY_ROUTE
async def test_a_tenants_key_gets_403_from_the_platform_and_from_every_other_tenant(stranger, two, owner, method, path):
    headers = {"authorization": f"Bearer {two['a']['key']}"}
    before = await state_of(owner, two["b"]["id"])
    other = path.format(tenant=two["b"]["id"], webhook=two["b"]["webhook"], name="orders")
    existing = await stranger.request(method, other, json={"payload": 1}, headers=headers)
    is_problem(existing, 403, "forbidden")
    missing = await stranger.request(
        method, path.format(tenant="nobody", webhook=ID, name="x"), json={}, headers=headers
    )
    assert (missing.status_code, missing.content) == (existing.status_code, existing.content)
    if path.startswith(PLATFORM):
        own = path.format(tenant=two["a"]["id"], webhook=two["a"]["webhook"], name="orders")
        assert (await stranger.request(method, own, json={}, headers=headers)).content == existing.content
    assert await state_of(owner, two["b"]["id"]) == before


@pytest.mark.parametrize("scopes", [["read"], ["send"], ["read", "send"]])
async def test_a_key_without_the_scope_cannot_call(acme, n8n, scopes):
    webhook = await acme.webhook(n8n.url())
    key = (await acme.key(*scopes))["key"]
    is_problem(await acme.call(webhook, key=key), 403, "forbidden")
    assert n8n.seen == []
    caller = (await acme.key("call"))["key"]
    assert (await acme.call(webhook, key=caller)).status_code == 200


async def test_another_tenants_webhook_id_is_not_found_under_the_own_path(client, two, owner):
    before = await state_of(owner, two["b"]["id"])
    for method, tail, body in (
        ("GET", "", None),
        ("PUT", "", {"description": "mine now"}),
        ("POST", "/signing-secret/rotate", None),
        ("GET", "/analytics", None),
    ):
        path = f"{PLATFORM}/tenants/{two['a']['id']}/webhooks"
        foreign = await client.request(method, f"{path}/{two['b']['webhook']}{tail}", json=body)
        missing = await client.request(method, f"{path}/{ID}{tail}", json=body)
        is_problem(foreign, 404, "webhook_not_found")
        assert foreign.text.replace(two["b"]["webhook"], ID) == missing.text
    await client.delete(f"{PLATFORM}/tenants/{two['a']['id']}/webhooks/{two['b']['webhook']}")
    query = {"webhookId": two["b"]["webhook"]}
    calls = await client.get(f"{PLATFORM}/tenants/{two['a']['id']}/webhooks/analytics", params=query)
    assert calls.json()["items"] == []
    assert await state_of(owner, two["b"]["id"]) == before


@pytest.mark.parametrize(
    "path",
    [
        "/api/tenants/{a}/../{b}/webhooks/orders/call",
        "/api/tenants/{a}%2F..%2F{b}/webhooks/orders/call",
        "/api/tenants/{b}%2fwebhooks/orders/call",
        "//api/tenants/{b}/webhooks/orders/call",
        "/api/tenants//{b}/webhooks/orders/call",
        "/api/tenants/{b}%00/webhooks/orders/call",
        "/API/tenants/{b}/webhooks/orders/call",
        "/api/tenants/{a}/webhooks/orders/call/../../../../{b}/webhooks/orders/call",
        "/api/tenants/{a}/webhooks/..%2F..%2F{b}%2Fwebhooks%2Forders/call",
        "/api/platform%2Ftenants",
        "/api/tenants/{a}/..%2F..%2Fplatform/tenants",
        "/api/docs/../platform/tenants",
    ],
)
async def test_no_spelling_of_a_path_leads_around_the_wall(stranger, two, owner, path):
    headers = {"authorization": f"Bearer {two['a']['key']}"}
    before = await state_of(owner, two["b"]["id"])
    url = path.format(a=two["a"]["id"], b=two["b"]["id"])
    for method in ("POST", "GET"):
        answer = await stranger.request(method, url, json={"payload": 1}, headers=headers)
        assert answer.status_code in (403, 404, 405, 422), answer.text
        assert answer.json()["code"]
    assert await state_of(owner, two["b"]["id"]) == before
