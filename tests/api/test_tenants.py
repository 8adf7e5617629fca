"""Tenants, and what was done in them."""

import secrets

import pytest
from tenancy import PLATFORM, is_done, is_problem

TENANTS = f"{PLATFORM}/tenants"
FIELDS = {
    "id",
    "slug",
    "name",
    "status",
    "version",
    "createdAt",
    "updatedAt",
    "rateLimit",
    "concurrency",
    "retentionDays",
}


async def test_create_and_read(client):
    made = await client.post(TENANTS, json={"name": "Acme GmbH"})
    assert made.status_code == 201
    tenant = made.json()
    assert tenant.keys() == FIELDS
    assert (tenant["name"], tenant["status"], tenant["version"]) == ("Acme GmbH", "active", 1)
    assert tenant["id"].startswith("acme-gmbh-")
    read = await client.get(f"{TENANTS}/{tenant['id']}")
    assert read.json() == tenant
    assert read.headers["etag"] == made.headers["etag"] == '"1"'


async def test_id_and_slug_are_chosen_or_derived(client):
    name = f"x{secrets.token_hex(4)}"
    one = (await client.post(TENANTS, json={"name": "A", "slug": name})).json()
    assert (one["id"], one["slug"]) == (name, name)
    other = (await client.post(TENANTS, json={"name": "A", "id": f"{name}b", "slug": f"{name}c"})).json()
    assert (other["id"], other["slug"]) == (f"{name}b", f"{name}c")
    longest = name + "Z_-" * 18
    assert (await client.post(TENANTS, json={"name": "A", "id": longest[:64]})).status_code == 201


@pytest.mark.parametrize("taken", ["id", "slug"])
async def test_a_taken_id_or_slug_is_a_conflict(client, acme, taken):
    again = {"name": "B", "id": acme.id if taken == "id" else f"{acme.id}-2", "slug": acme.id}
    is_problem(await client.post(TENANTS, json=again), 409, "tenant_exists")
    other = (await client.post(TENANTS, json={"name": "C"})).json()
    is_problem(await client.patch(f"{TENANTS}/{other['id']}", json={"slug": acme.id}), 409, "tenant_exists")


async def test_change_with_if_match(client, acme):
    changed = await client.patch(acme.path, json={"name": "New name"}, headers={"if-match": '"1"'})
    assert (changed.status_code, changed.json()["name"], changed.headers["etag"]) == (200, "New name", '"2"')
    assert changed.json()["slug"] == acme.id
    is_problem(await client.patch(acme.path, json={"name": "X"}, headers={"if-match": '"1"'}), 412, "version_mismatch")
    is_problem(await client.patch(acme.path, json={"name": "X"}, headers={"if-match": "abc"}), 412, "version_mismatch")
    assert (await client.patch(acme.path, json={"name": "Y"}, headers={"if-match": "*"})).status_code == 200
    assert (await client.get(acme.path)).json()["name"] == "Y"


async def test_limits_are_set_and_lifted(client, acme):
    limits = {"rateLimit": {"calls": 100, "seconds": 60}, "concurrency": 20}
    changed = (await client.patch(acme.path, json=limits)).json()
    assert changed == (await client.get(acme.path)).json()
    assert {name: changed[name] for name in limits} == limits
    assert (await client.patch(acme.path, json={"name": "B"})).json()["concurrency"] == 20
    lifted = (await client.patch(acme.path, json={"rateLimit": None, "concurrency": None})).json()
    assert (lifted["rateLimit"], lifted["concurrency"], lifted["name"]) == (None, None, "B")


@pytest.mark.parametrize(
    "change",
    [
        {"concurrency": 0},
        {"concurrency": 10_001},
        {"concurrency": "5"},
        {"rateLimit": 5},
        {"rateLimit": {"calls": 1}},
        {"rateLimit": {"calls": 0, "seconds": 1}},
        {"rateLimit": {"calls": 1, "seconds": 0}},
        {"rateLimit": {"calls": 1, "seconds": 86_401}},
        {"rateLimit": {"calls": 1, "seconds": 1, "burst": 2}},
    ],
)
async def test_what_is_not_a_limit(client, acme, change):
    is_problem(await client.patch(acme.path, json=change), 422, "invalid_input")
    assert (await client.get(acme.path)).json()["version"] == 1


async def test_a_missing_tenant(client):
    for method, path in (("GET", ""), ("PATCH", ""), ("GET", "/audit"), ("GET", "/integrations"), ("GET", "/webhooks")):
        answer = await client.request(method, f"{TENANTS}/nobody{path}", json={} if method == "PATCH" else None)
        is_problem(answer, 404, "tenant_not_found")


async def test_delete_is_idempotent_and_leaves_no_secret(client, acme, n8n, owner):
    webhook = await acme.webhook(n8n.url(), authToken="ordinary-token-of-a-test")
    await acme.call(webhook, {"n": 1})
    key = (await acme.key())["key"]
    for _ in range(2):
        gone = await client.delete(acme.path)
        assert (gone.status_code, gone.content) == (204, b"")
    is_problem(await client.get(acme.path), 404, "tenant_not_found")
    is_problem(await acme.call(webhook, {}), 404, "tenant_not_found")
    is_problem(await acme.call(webhook, {}, key=key), 401, "unauthorized")
    for table in ("tenants WHERE id", "data_keys WHERE tenant_id", "n8n_webhooks WHERE tenant_id"):
        assert await owner(f"SELECT 1 FROM {table} = $1", acme.id) == []
    # What happened stays readable.
    assert [call["requestPayload"] for call in await acme.calls()] == [{"n": 1}]
    assert (await acme.audit())[0]["action"] == "tenant.deleted"


async def test_list_pages_through_every_tenant_once(client, make_tenancy, owner):
    mine = {(await make_tenancy()).id for _ in range(3)}
    (row,) = await owner("SELECT count(*) AS all FROM tenants")
    limit = max(2, min(200, row["all"] // 3))
    seen, cursor = [], None
    while True:
        page = (await client.get(TENANTS, params={"limit": limit} | ({"cursor": cursor} if cursor else {}))).json()
        assert page.keys() == {"items", "nextCursor"}
        assert 1 <= len(page["items"]) <= limit
        seen += [tenant["id"] for tenant in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == row["all"]
    assert mine <= set(seen)


async def test_every_change_is_in_the_audit_log_newest_first(client, acme):
    await client.patch(acme.path, json={"name": "B", "status": "suspended"}, headers={"x-request-id": "req-1"})
    await client.post(f"{acme.path}/integrations/n8n", json={"baseUrl": "https://n8n.example.com/webhook"})
    await client.delete(f"{acme.path}/integrations/n8n")
    await acme.key("read")
    events = await acme.audit()
    assert [event["action"] for event in events] == [
        "api_key.created",
        "integration.deleted",
        "integration.created",
        "tenant.updated",
        "tenant.created",
    ]
    changed = events[3]
    assert changed.keys() == {
        *("id", "tenantId", "at", "actorType", "actorId", "action", "targetType", "targetId", "outcome", "detail"),
        *("ip", "requestId", "seq", "hash"),
    }
    assert changed["detail"] == {"changed": ["name", "status"]}
    assert (changed["actorType"], changed["ip"], changed["requestId"]) == ("api_key", "127.0.0.1", "req-1")

    first = (await client.get(f"{acme.path}/audit", params={"limit": 3})).json()
    rest = (await client.get(f"{acme.path}/audit", params={"limit": 3, "cursor": first["nextCursor"]})).json()
    assert [event for event in (*first["items"], *rest["items"]) if is_done(event)] == events
    assert rest["nextCursor"] is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "  "},
        {"name": "x" * 201},
        {"name": "a\nb"},
        {"name": None},
        {"name": 5},
        {"name": "A", "id": "a b"},
        {"name": "A", "id": "-a"},
        {"name": "A", "id": "x" * 65},
        {"name": "A", "id": "a\n"},
        {"name": "A", "id": "ä"},
        {"name": "A", "slug": ""},
        {"name": "A", "status": "suspended"},
        {"name": "A", "extra": 1},
    ],
)
async def test_what_is_not_a_tenant(client, body):
    is_problem(await client.post(TENANTS, json=body), 422, "invalid_input")
