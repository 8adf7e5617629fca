"""Who may what: no key, wrong keys, scopes, and the wall between tenants."""

import asyncio

import pytest
from tenancy import PLATFORM, is_problem

from hookvault.deliveries.model import DeliveryFilter

ID = "01890000-0000-7000-8000-000000000000"
CALL_ID = "01890000-0000-7000-8000-00000000000c"
TENANT = f"{PLATFORM}/tenants/{{tenant}}"
USER_ID, INVITATION_ID, SESSION_ID = (f"{CALL_ID[:-1]}{digit}" for digit in "def")
MASTER_KEY = "mk_" + "0" * 16
ROUTES = [
    ("GET", f"{PLATFORM}/tenants"),
    ("POST", f"{PLATFORM}/tenants"),
    ("GET", TENANT),
    ("PATCH", TENANT),
    ("DELETE", TENANT),
    ("GET", f"{TENANT}/audit"),
    ("GET", f"{PLATFORM}/audit"),
    ("GET", f"{TENANT}/integrations"),
    *[
        (method, f"{TENANT}/integrations/{kind}")
        for kind in ("whatsapp", "sms", "n8n")
        for method in ("POST", "PUT", "DELETE")
    ],
    *[
        (method, f"{TENANT}/integrations/n8n{tail}")
        for tail, methods in {
            "/test": ["POST"],
            "/rotation": ["GET", "POST", "DELETE"],
            "/rotation/test": ["POST"],
            "/rotation/switch": ["POST"],
            "/rotation/rollback": ["POST"],
            "/rotation/revoke": ["POST"],
            "/rotation/versions": ["GET"],
        }.items()
        for method in methods
    ],
    ("GET", f"{TENANT}/webhooks"),
    ("POST", f"{TENANT}/webhooks"),
    ("GET", f"{TENANT}/webhooks/{{webhook}}"),
    ("PUT", f"{TENANT}/webhooks/{{webhook}}"),
    ("DELETE", f"{TENANT}/webhooks/{{webhook}}"),
    ("POST", f"{TENANT}/webhooks/{{webhook}}/signing-secret/rotate"),
    ("POST", f"{TENANT}/webhooks/dry-run"),
    ("POST", f"{TENANT}/webhooks/{{webhook}}/test"),
    ("GET", f"{TENANT}/webhooks/{{webhook}}/analytics"),
    ("GET", f"{TENANT}/webhooks/analytics"),
    ("GET", f"{TENANT}/webhooks/analytics/export"),
    ("GET", f"{TENANT}/calls/{{call}}"),
    ("GET", f"{PLATFORM}/calls"),
    ("GET", f"{PLATFORM}/calls/export"),
    ("GET", f"{PLATFORM}/calls/{{call}}"),
    *[
        ("GET", f"{TENANT}/webhooks/analytics/{question}")
        for question in ("summary", "series", "errors", "slowest", "failing", "heatmap", "health")
    ],
    *[
        ("GET", f"{PLATFORM}/analytics/{question}")
        for question in ("summary", "series", "errors", "heatmap", "tenants")
    ],
    ("GET", f"{TENANT}/webhooks/analytics/live"),
    ("GET", f"{PLATFORM}/calls/live"),
    ("GET", f"{PLATFORM}/api-keys"),
    ("POST", f"{PLATFORM}/api-keys"),
    ("DELETE", f"{PLATFORM}/api-keys/{ID}"),
    ("GET", f"{PLATFORM}/users"),
    *[(method, f"{PLATFORM}/users/{USER_ID}") for method in ("PATCH", "DELETE")],
    *[(method, f"{PLATFORM}/invitations") for method in ("GET", "POST")],
    ("DELETE", f"{PLATFORM}/invitations/{INVITATION_ID}"),
    ("POST", f"{PLATFORM}/invitations/{INVITATION_ID}/resend"),
    *[(method, "/api/session") for method in ("GET", "DELETE")],
    *[(method, "/api/session/totp") for method in ("POST", "PUT", "DELETE")],
    ("POST", "/api/session/second-factor"),
    ("PUT", "/api/session/password"),
    *[(method, "/api/sessions") for method in ("GET", "DELETE")],
    ("DELETE", f"/api/sessions/{SESSION_ID}"),
    ("GET", f"{PLATFORM}/storage"),
    ("POST", f"{TENANT}/calls/{CALL_ID}/expunge"),
    ("POST", f"{TENANT}/deliveries/{{delivery}}/expunge"),
    ("GET", f"{PLATFORM}/keys"),
    ("POST", f"{PLATFORM}/keys/rotate"),
    ("POST", f"{PLATFORM}/keys/{MASTER_KEY}/retire"),
    *[(method, f"{PLATFORM}/keys/rekey") for method in ("GET", "POST", "DELETE")],
    *[(method, f"{PLATFORM}/keys/scan") for method in ("GET", "POST")],
    *[(method, f"{PLATFORM}/demo") for method in ("POST", "DELETE")],
    ("POST", f"{TENANT}/shred"),
    ("POST", "/api/tenants/{tenant}/webhooks/{name}/call"),
    ("POST", "/api/tenants/{tenant}/webhooks/{name}/deliveries"),
    ("GET", "/api/tenants/{tenant}/deliveries"),
    ("GET", "/api/tenants/{tenant}/deliveries/{delivery}"),
    ("POST", "/api/tenants/{tenant}/deliveries/{delivery}/replay"),
    ("POST", "/api/tenants/{tenant}/deliveries/replay"),
    ("GET", "/api/tenants/{tenant}/deliveries/replays"),
    ("GET", "/api/tenants/{tenant}/deliveries/replays/{replay}"),
    ("POST", "/api/tenants/{tenant}/deliveries/replays/{replay}/cancel"),
]
# Where nobody need be known; the tests of each say what it takes instead.
ANYBODYS = {
    ("POST", "/api/session"),
    ("POST", "/api/password-resets"),
    ("PUT", "/api/password-resets"),
    ("GET", "/api/invitations/{token}"),
    ("POST", "/api/invitations/{token}"),
}
OPEN = {"/healthz", "/readyz", "/metrics", "/api/docs", "/api/docs.css", "/api/openapi.json"}
EVERY_ROUTE = pytest.mark.parametrize(("method", "path"), ROUTES)


async def test_the_list_of_routes_above_is_whole(client):
    document = (await client.get("/api/openapi.json")).json()
    known = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    shape = {
        "{tenant}": "{tenantId}",
        "{webhook}": "{webhookId}",
        ID: "{keyId}",
        MASTER_KEY: "{fingerprint}",
        CALL_ID: "{callId}",
        USER_ID: "{userId}",
        INVITATION_ID: "{invitationId}",
        SESSION_ID: "{sessionId}",
        "{name}": "{workflowName}",
    }
    shape |= {"{delivery}": "{deliveryId}", "{replay}": "{replayId}", "{call}": "{callId}"}

    def written(path):
        for kind in ("whatsapp", "sms", "n8n"):
            path = path.replace(f"integrations/{kind}", "integrations/{kind}")
        for ours, theirs in shape.items():
            path = path.replace(ours, theirs)
        return path

    listed = {(method, written(path)) for method, path in ROUTES}
    assert listed | ANYBODYS == {item for item in known if item[1] not in OPEN}
    assert not listed & ANYBODYS


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
    url = path.format(tenant="nobody", webhook=ID, name="orders", delivery=ID, replay=ID, call=ID)
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
        delivery = await app.webhooks.enqueue(tenant.id, "orders", {"of": name}, max_retries=0)
        async with asyncio.timeout(30):
            while (await app.deliveries.get_delivery(tenant.id, delivery)).delivery.status != "failed":
                await asyncio.sleep(0.01)
        replay = await app.replays.start(tenant.id, DeliveryFilter())
        await app.replays.cancel(tenant.id, replay.id)
        key = await app.api_keys.create_api_key("two", tenant_id=tenant.id)
        made[name] = {"id": tenant.id, "webhook": str(webhook.id), "key": key.token.open()}
        made[name] |= {"delivery": str(delivery), "replay": str(replay.id)}
    return made


def placed(path, one):
    """A route of one of the two."""
    found = {"tenant": one["id"], "webhook": one["webhook"], "delivery": one["delivery"], "replay": one["replay"]}
    return path.format(name="orders", call=ID, **found)


async def state_of(owner, tenant_id):
    """Everything stored of a tenant, as text."""
    tables = (
        "tenant_integrations",
        "credential_versions",
        "n8n_webhooks",
        "n8n_webhook_counters",
        "webhook_analytics",
        "audit_events",
        "api_keys",
        "webhook_deliveries",
        "delivery_queue",
        "delivery_holds",
        "delivery_replays",
        "idempotency_keys",
    )
    rows = [await owner("SELECT t::text FROM tenants t WHERE id = $1", tenant_id)]
    for table in tables:
        rows.append(await owner(f"SELECT t::text FROM {table} t WHERE tenant_id = $1 ORDER BY 1", tenant_id))
    return [[row[0] for row in found] for found in rows]


@EVERY_ROUTE
async def test_a_tenants_key_gets_403_from_the_platform_and_from_every_other_tenant(stranger, two, owner, method, path):
    headers = {"authorization": f"Bearer {two['a']['key']}"}
    before = await state_of(owner, two["b"]["id"])
    other = placed(path, two["b"])
    existing = await stranger.request(method, other, json={"payload": 1}, headers=headers)
    is_problem(existing, 403, "forbidden")
    nowhere = {"id": "nobody", "webhook": ID, "delivery": ID, "replay": ID}
    missing = await stranger.request(method, placed(path, nowhere), json={}, headers=headers)
    assert (missing.status_code, missing.content) == (existing.status_code, existing.content)
    if path.startswith(PLATFORM):
        own = await stranger.request(method, placed(path, two["a"]), json={}, headers=headers)
        assert own.content == existing.content
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
        ("POST", "/test", None),
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


async def test_another_tenants_delivery_or_replay_is_not_found_under_the_own_path(stranger, two, owner):
    before = await state_of(owner, two["b"]["id"])
    headers = {"authorization": f"Bearer {two['a']['key']}"}
    path = f"/api/tenants/{two['a']['id']}/deliveries"
    for method, tail, kind in (
        ("GET", "", "delivery"),
        ("POST", "/replay", "delivery"),
        ("GET", "", "replay"),
        ("POST", "/cancel", "replay"),
    ):
        place = path if kind == "delivery" else f"{path}/replays"
        foreign = await stranger.request(method, f"{place}/{two['b'][kind]}{tail}", headers=headers)
        missing = await stranger.request(method, f"{place}/{ID}{tail}", headers=headers)
        is_problem(foreign, 404, f"{kind}_not_found")
        assert foreign.text.replace(two["b"][kind], ID) == missing.text
    listed = await stranger.get(path, headers=headers)
    assert [item["id"] for item in listed.json()["items"]] == [two["a"]["delivery"]]
    replay = {"webhookId": two["b"]["webhook"], "preview": True}
    counted = await stranger.post(f"{path}/replay", json=replay, headers=headers)
    assert (counted.status_code, counted.json()["count"]) == (200, 0)
    assert await state_of(owner, two["b"]["id"]) == before


@pytest.mark.parametrize("scopes", [["read"], ["send"], ["read", "send"]])
async def test_a_key_without_the_scope_cannot_deliver_or_replay(stranger, two, acme, n8n, scopes):
    webhook = await acme.webhook(n8n.url())
    headers = {"authorization": f"Bearer {(await acme.key(*scopes))['key']}"}
    path = f"/api/tenants/{acme.id}"
    hook = f"{path}/webhooks/{webhook['workflowName']}/deliveries"
    for url, body in (
        (hook, {"payload": 1}),
        (f"{path}/deliveries/replay", {}),
        (f"{path}/deliveries/replay", {"preview": True}),
        (f"{path}/deliveries/{ID}/replay", None),
        (f"{path}/deliveries/replays/{ID}/cancel", None),
    ):
        is_problem(await stranger.post(url, json=body, headers=headers), 403, "forbidden")
    expected = 200 if "read" in scopes else 403
    assert (await stranger.get(f"{path}/deliveries", headers=headers)).status_code == expected
    assert n8n.seen == []
    caller = {"authorization": f"Bearer {(await acme.key('call'))['key']}"}
    assert (await stranger.post(hook, json={"payload": 1}, headers=caller)).status_code == 202
    is_problem(await stranger.get(f"{path}/deliveries", headers=caller), 403, "forbidden")


@pytest.mark.parametrize(
    "path",
    [
        "/api/tenants/{a}/../{b}/webhooks/orders/call",
        "/api/tenants/{a}/../{b}/webhooks/orders/deliveries",
        "/api/tenants/{b}%2fwebhooks/orders/deliveries",
        "/api/tenants/{a}/webhooks/..%2F..%2F{b}%2Fwebhooks%2Forders/deliveries",
        "/api/tenants/{a}/..%2F{b}/deliveries",
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
