"""Rotation and tests of credentials over HTTP: the whole way, If-Match, limits; secrets go in and never come out."""

import secrets

import httpx
import pytest
from tenancy import PLATFORM, Tenancy, is_problem

from canary import CANARY, planted
from hookvault.api.app import create_app
from hookvault.wiring import build
from houses import CASES, Houses, twilio


@pytest.fixture(scope="module")
async def houses():
    async with Houses() as opened:
        yield opened


@pytest.fixture(scope="module")
async def client(settings, houses):
    """The API, with the providers on loopback."""
    app = await build(settings.model_copy(update={"provider_base_urls": houses.base_urls}))
    key = (await app.api_keys.create_api_key("rotation")).token.open()
    CANARY.made(key)
    transport, hooks = httpx.ASGITransport(create_app(app)), {"response": [CANARY.record]}
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers=headers, event_hooks=hooks
    ) as opened:
        yield opened
    await app.close()


@pytest.fixture
async def acme(client):
    tenant_id = f"t-{secrets.token_hex(6)}"
    assert (await client.post(f"{PLATFORM}/tenants", json={"id": tenant_id, "name": "Acme"})).status_code == 201
    return Tenancy(client, tenant_id)


@pytest.fixture
def begun(acme, houses, client):
    """An integration that is there, with the path of its rotation."""

    async def made(name="twilio"):
        config = houses.config(name)
        path = f"{acme.path}/integrations/{CASES[name][0]}"
        assert (await client.post(path, json=config)).status_code == 201
        return config, path, f"{path}/rotation"

    return made


@pytest.mark.parametrize("name", CASES)
async def test_the_whole_way(client, houses, begun, name):
    config, path, rotation = await begun(name)
    new = CASES[name][2]()
    status = (await client.get(rotation)).json()
    assert (status["version"], status["current"]["number"], status["staged"], status["previous"]) == (1, 1, None, None)
    staged = await client.post(rotation, json=new)
    assert (staged.status_code, staged.headers["etag"]) == (201, '"1"')
    field, value = next(iter(new.items()))
    assert staged.json()["staged"]["secrets"][field]["hint"] == "••••" + value[-4:]
    is_problem(await client.post(rotation, json=new), 409, "rotation_in_progress")
    is_problem(await client.post(f"{rotation}/switch"), 409, "untested")

    tested = await client.post(f"{rotation}/test", json={"version": "staged"})
    assert (tested.status_code, tested.json()["ok"], tested.json()["code"]) == (200, False, "auth_failed")
    houses.take(config | new)
    assert (await client.post(f"{rotation}/test")).json()["ok"] is True
    switched = await client.post(f"{rotation}/switch", json={"graceSeconds": 60})
    assert (switched.status_code, switched.headers["etag"]) == (200, '"2"')
    assert (switched.json()["current"]["number"], switched.json()["previous"]["number"]) == (2, 1)
    assert (await client.get(rotation)).json() == switched.json()
    for version in ("current", "previous"):
        answer = await client.post(f"{rotation}/test", json={"version": version})
        assert answer.json().keys() == {"ok", "code", "message", "checkedAt"}
        assert answer.json()["ok"] is True
    assert (await client.post(f"{path}/test")).json()["ok"] is True

    rolled = await client.post(f"{rotation}/rollback")
    assert (rolled.status_code, rolled.json()["current"]["number"]) == (200, 3)
    assert (await client.post(rotation, json=new)).status_code == 201
    await client.post(f"{rotation}/switch", json={"force": True})
    assert (await client.post(f"{rotation}/revoke")).json()["previous"] is None
    assert (await client.post(rotation, json=CASES[name][2]())).status_code == 201
    replaced = await client.post(rotation, json=CASES[name][2]() | {"replace": True})
    assert replaced.json()["staged"]["number"] == 6
    for _ in range(2):
        gone = await client.delete(rotation)
        assert (gone.status_code, gone.content) == (204, b"")
    listed = (await client.get(f"{rotation}/versions")).json()["items"]
    assert [item["state"] for item in listed] == [
        "discarded",
        "discarded",
        "current",
        "revoked",
        "revoked",
        "revoked",
    ]


async def test_if_match(client, begun):
    _, _, rotation = await begun()
    new = {"authToken": planted("if-match")}
    stale = {"if-match": '"7"'}
    is_problem(await client.post(rotation, json=new, headers=stale), 412, "version_mismatch")
    assert (await client.post(rotation, json=new, headers={"if-match": '"1"'})).status_code == 201
    for method, path in (("DELETE", ""), ("POST", "/switch"), ("POST", "/rollback"), ("POST", "/revoke")):
        answer = await client.request(method, f"{rotation}{path}", headers=stale)
        is_problem(answer, 412, "version_mismatch")
    answer = await client.post(f"{rotation}/switch", json={"force": True}, headers={"if-match": '"1"'})
    assert answer.status_code == 200
    is_problem(await client.post(f"{rotation}/rollback", headers={"if-match": '"1"'}), 412, "version_mismatch")


async def test_refusals(client, acme, begun):
    for tail, method in (("", "GET"), ("/versions", "GET"), ("/switch", "POST"), ("/test", "POST"), ("", "DELETE")):
        path = f"{acme.path}/integrations/sms/rotation{tail}"
        is_problem(await client.request(method, path), 404, "integration_not_found")
        fax = f"{acme.path}/integrations/fax/rotation{tail}"
        is_problem(await client.request(method, fax), 404, "integration_not_found")
    _, _, rotation = await begun()
    for tail, code in (("/rollback", "no_previous"), ("/revoke", "no_previous"), ("/switch", "nothing_staged")):
        is_problem(await client.post(f"{rotation}{tail}"), 409, code)
    for body in (
        {"graceSeconds": -1},
        {"graceSeconds": 2_592_001},
        {"graceSeconds": 1.5},
        {"force": "yes"},
        {"surprise": 1},
    ):
        is_problem(await client.post(f"{rotation}/switch", json=body), 422, "invalid_input")
    is_problem(await client.post(f"{rotation}/test", json={"version": "revoked"}), 422, "invalid_input")
    is_problem(await client.post(rotation, json={"authToken": "a-token", "replace": "yes"}), 422, "invalid_input")
    is_problem(await client.post(rotation, json={"authToken": "••••3f9c"}), 422, "mask_submitted")
    is_problem(await client.get(f"{rotation}/versions", params={"cursor": "x"}), 422, "invalid_cursor")


async def test_a_draft_is_tested_before_anything_is_saved(client, acme, houses):
    path = f"{acme.path}/integrations/sms"
    config = twilio()
    is_problem(await client.post(f"{path}/test"), 404, "integration_not_found")
    is_problem(await client.post(f"{path}/test", json={"provider": "twilio"}), 422, "invalid_input")
    assert (await client.post(f"{path}/test", json=config)).json()["code"] == "auth_failed"
    houses.take(config)
    good = await client.post(f"{path}/test", json=config)
    assert (good.status_code, good.json()["code"]) == (200, "ok")
    assert (await client.get(f"{acme.path}/integrations")).json()["sms"] is None
    tested = [event for event in await acme.audit() if event["action"] == "integration.tested"]
    assert [(event["outcome"], event["detail"]["code"]) for event in tested] == [
        ("success", "ok"),
        ("failed", "auth_failed"),
    ]
    assert tested[0]["detail"]["changed"] == ["accountSid", "authToken", "phoneNumber"]


async def test_a_stored_secret_is_never_tested_at_a_new_place(client, houses, begun):
    """The way by which a test of a connection would give a stored secret away."""
    async with Houses() as evil:
        _, path, _ = await begun("n8n")
        refused = await client.post(f"{path}/test", json={"baseUrl": evil.url("/webhook")})
        problem = is_problem(refused, 422, "secrets_required")
        assert [error["field"] for error in problem["errors"]] == ["apiKey"]
        assert evil.seen == []
        typed = planted("typed")
        answer = await client.post(f"{path}/test", json={"baseUrl": evil.url("/webhook"), "apiKey": typed})
        assert answer.json()["code"] == "auth_failed"
        assert [seen.headers["x-n8n-api-key"] for seen in evil.seen] == [typed]
    same = await client.post(f"{path}/test", json={"baseUrl": houses.url("/webhook"), "enabled": False})
    assert same.json()["ok"] is True  # as it is stored, so the stored key may go there
    stored = (await client.get(path.rpartition("/")[0])).json()["n8n"]
    assert (stored["enabled"], stored["version"]) == (True, 1)


async def test_another_number_asks_for_the_token_again(client, begun):
    _, path, _ = await begun("whatsapp")
    for name in ("phoneNumberId", "businessAccountId"):
        is_problem(await client.post(f"{path}/test", json={name: "20654035224"}), 422, "secrets_required")


async def test_a_phone_number_of_another_account(client, houses, acme):
    config = houses.config("whatsapp")
    for name in ("phoneNumberId", "businessAccountId"):
        answer = await client.post(f"{acme.path}/integrations/whatsapp/test", json=config | {name: "20654035224"})
        assert (answer.status_code, answer.json()["code"]) == (200, "wrong_account")


async def test_ten_tests_a_minute(client, houses, begun, acme):
    _, path, rotation = await begun()
    before = len(houses.seen)
    codes = [(await client.post(f"{path}/test")).status_code for _ in range(8)]
    codes += [(await client.post(f"{rotation}/test", json={"version": "current"})).status_code for _ in range(2)]
    assert codes == [200] * 10
    for url, body in ((f"{path}/test", None), (f"{rotation}/test", {"version": "current"})):
        refused = await client.post(url, json=body)
        is_problem(refused, 429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 6
    assert len(houses.seen) == before + 10
