"""API keys: made, shown once, listed, revoked."""

import asyncio

import pytest
from tenancy import PLATFORM, is_problem

from hookvault.wiring import build

KEYS = f"{PLATFORM}/api-keys"
FIELDS = {"id", "tenantId", "name", "hint", "scopes", "createdAt", "createdBy", "lastUsedAt", "revokedAt"}


async def test_a_platform_key_is_shown_once(client, stranger, owner):
    made = await client.post(KEYS, json={"name": " backend "})
    assert made.status_code == 201
    key = made.json()
    token = key.pop("key")
    assert key.keys() == FIELDS
    assert token.startswith("hv_")
    assert (key["name"], key["tenantId"], key["scopes"], key["hint"]) == ("backend", None, ["platform"], token[-4:])
    assert key["createdBy"].startswith("api_key:")
    works = await stranger.get(f"{PLATFORM}/tenants", headers={"authorization": f"Bearer {token}"})
    assert works.status_code == 200
    listed = (await client.get(KEYS)).json()["items"][0]
    assert listed | {"lastUsedAt": None} == key
    (row,) = await owner("SELECT k::text FROM api_keys k WHERE id = $1", key["id"])
    assert token not in row["k"]


async def test_a_tenants_key(client, acme):
    key = await acme.key()
    assert (key["tenantId"], key["scopes"]) == (acme.id, ["call", "send", "read"])
    assert (await acme.key("read"))["scopes"] == ["read"]
    listed = (await client.get(KEYS, params={"tenantId": acme.id, "limit": 1})).json()
    rest = (await client.get(KEYS, params={"tenantId": acme.id, "cursor": listed["nextCursor"]})).json()
    assert [item["scopes"] for item in [*listed["items"], *rest["items"]]] == [["read"], ["call", "send", "read"]]
    assert rest["items"][0]["id"] == key["id"]
    assert rest["nextCursor"] is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x" * 201},
        {"name": "a\tb"},
        {"name": "a", "scopes": ["call"]},
        {"name": "a", "scopes": []},
        {"name": "a", "scopes": ["everything"]},
        {"name": "a", "scopes": "platform"},
        {"name": "a", "tenantId": "a b"},
        {"name": "a", "key": "hv_mine"},
    ],
)
async def test_what_is_not_a_key(client, body):
    is_problem(await client.post(KEYS, json=body), 422, "invalid_input")


async def test_a_key_of_nobody_and_a_tenants_key_for_the_platform(client, acme):
    is_problem(await client.post(KEYS, json={"name": "a", "tenantId": "nobody"}), 404, "tenant_not_found")
    wrong = {"name": "a", "tenantId": acme.id, "scopes": ["platform"]}
    is_problem(await client.post(KEYS, json=wrong), 422, "invalid_input")


async def test_revoking_is_idempotent_and_holds_at_once(client, acme, stranger):
    key = await acme.key()
    headers = {"authorization": f"Bearer {key['key']}"}
    path = f"/api/tenants/{acme.id}/webhooks/none/call"
    is_problem(await stranger.post(path, json={"payload": 1}, headers=headers), 404, "webhook_not_found")
    for _ in range(2):
        revoked = await client.delete(f"{KEYS}/{key['id']}")
        assert (revoked.status_code, revoked.content) == (204, b"")
    is_problem(await stranger.post(path, json={"payload": 1}, headers=headers), 401, "unauthorized")
    assert (await client.get(KEYS, params={"tenantId": acme.id})).json()["items"][0]["revokedAt"]
    assert [event["action"] for event in await acme.audit()].count("api_key.revoked") == 1
    assert (await client.delete(f"{KEYS}/01890000-0000-7000-8000-000000000000")).status_code == 204


async def test_a_key_revoked_by_another_process_is_refused_within_a_second(client, acme, stranger, settings):
    key = await acme.key()
    headers = {"authorization": f"Bearer {key['key']}"}
    path = f"/api/tenants/{acme.id}/webhooks/none/call"
    is_problem(await stranger.post(path, json={"payload": 1}, headers=headers), 404, "webhook_not_found")
    other = await build(settings)
    try:
        await other.api_keys.revoke_api_key(key["id"])
    finally:
        await other.close()
    await asyncio.sleep(1.05)
    is_problem(await stranger.post(path, json={"payload": 1}, headers=headers), 401, "unauthorized")
