"""The call log over HTTP: every filter, of a tenant and of the platform, one call, causes in plain words."""

from datetime import UTC, datetime, timedelta

import pytest
from tenancy import PLATFORM, is_problem

from hookvault.analytics.cause import CAUSES
from hookvault.ids import new_id
from hookvault.paging import encode_cursor
from n8n import Answer

NOT_ACTIVE = b'{"code":404,"message":"The requested webhook \\"POST x\\" is not registered.","hint":"must be active"}'


@pytest.fixture
async def history(acme, n8n):
    """Calls 1 to 3 well, 4 to a workflow that is not active, 5 too slow; 6 in two attempts."""
    orders = await acme.webhook(n8n.url("/webhook/orders"), "orders")
    for n in (1, 2, 3):
        assert (await acme.call(orders, n, triggeredBy="shop")).status_code == 200
    n8n.answers["/webhook/orders"] = Answer(404, NOT_ACTIVE, "application/json")
    await acme.call(orders, 4)
    n8n.answers["/webhook/orders"] = Answer(delay=5)
    await acme.call(orders, 5, timeoutMs=300)
    n8n.answers["/webhook/orders"] = Answer(503, b"", "text/plain")
    await acme.call(orders, 6, maxRetries=1)
    n8n.answers.clear()
    return orders


def payloads(items):
    return [item["requestPayload"] for item in items]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"cause": "workflow_not_active"}, {4}),
        ({"cause": "timeout"}, {5}),
        ({"cause": "receiver_failed", "status": "5xx"}, {6}),
        ({"cause": "timeout", "status": "failed"}, {5}),
        ({"cause": "timeout", "status": "404"}, set()),
        ({"cause": "gone"}, set()),
        ({"minResponseTime": 250}, {5}),
        ({"maxResponseTime": 249, "status": "failed"}, {4, 6}),
        ({"minResponseTime": 0, "maxResponseTime": 249, "triggeredBy": "shop"}, {1, 2, 3}),
        ({"status": "success", "minResponseTime": 2_147_483_647}, set()),
        ({"callId": "01890000-0000-7000-8000-000000000000"}, set()),
        ({"callId": "ffffffff-ffff-ffff-ffff-ffffffffffff"}, set()),
    ],
)
async def test_filters_of_a_tenant_and_of_the_platform_agree(client, acme, history, query, expected):
    mine = await acme.calls(**query)
    assert set(payloads(mine)) == expected
    platform = await client.get(f"{PLATFORM}/calls", params={**query, "tenantId": acme.id})
    assert platform.json()["items"] == mine


async def test_causes_are_told_in_plain_words(acme, history):
    told = {item["requestPayload"]: (item["cause"], item["causeText"]) for item in await acme.calls()}
    assert told == {
        **dict.fromkeys((1, 2, 3), (None, None)),
        4: ("workflow_not_active", CAUSES["workflow_not_active"]),
        5: ("timeout", CAUSES["timeout"]),
        6: ("receiver_failed", CAUSES["receiver_failed"]),
    }


async def test_a_call_with_its_retries(client, acme, history):
    second, first = [item for item in await acme.calls() if item["requestPayload"] == 6][:2]
    assert second["retryOf"] == first["id"]
    assert await acme.calls(callId=first["id"]) == [second, first]
    assert await acme.calls(callId=second["id"]) == [second]
    everywhere = (await client.get(f"{PLATFORM}/calls", params={"callId": first["id"]})).json()
    assert everywhere == {"items": [second, first], "nextCursor": None}
    assert await acme.calls(callId=first["id"], status="success") == []


async def test_the_calls_of_a_delivery(client, acme, deliveries, n8n):
    await acme.webhook(n8n.url("/webhook/orders"), "orders")
    accepted = (
        await acme.client.post(f"/api/tenants/{acme.id}/webhooks/orders/deliveries", json={"payload": 7})
    ).json()
    identifier = accepted["deliveryId"]
    (story,) = await deliveries.ended(identifier)
    (call,) = await acme.calls(callId=identifier)
    assert (call["deliveryId"], call["requestPayload"]) == (identifier, 7)
    assert [item["id"] for item in story["calls"]] == [call["id"]]
    everywhere = (await client.get(f"{PLATFORM}/calls", params={"callId": identifier})).json()
    assert everywhere["items"] == [call]


async def test_one_call(client, make_tenancy, acme, history):
    call = (await acme.calls(limit=1))[0]
    assert (await client.get(f"{acme.path}/calls/{call['id']}")).json() == call
    assert (await client.get(f"{PLATFORM}/calls/{call['id']}")).json() == call
    other = await make_tenancy()
    is_problem(await client.get(f"{other.path}/calls/{call['id']}"), 404, "call_not_found")
    is_problem(await client.get(f"{PLATFORM}/calls/{new_id()}"), 404, "call_not_found")
    is_problem(await client.get(f"{PLATFORM}/tenants/never-was/calls/{call['id']}"), 404, "tenant_not_found")
    is_problem(await client.get(f"{PLATFORM}/calls/x"), 422, "invalid_input")


async def test_the_platform_sees_every_tenant_newest_first_in_pages(client, make_tenancy, n8n):
    start = datetime.now(UTC).isoformat()
    tenancies = [await make_tenancy() for _ in range(3)]
    for tenancy in tenancies:
        await tenancy.webhook(n8n.url("/webhook/ok"), "ok")
    for n in range(9):
        await tenancies[n % 3].call("ok", n)
    mine, cursor, pages = [], None, 0
    while True:
        query = {"startDate": start, "limit": 4} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(f"{PLATFORM}/calls", params=query)).json()
        mine += [item for item in page["items"] if item["tenantId"] in {tenancy.id for tenancy in tenancies}]
        cursor, pages = page["nextCursor"], pages + 1
        if cursor is None:
            break
        await tenancies[0].call("ok", "new")
    assert payloads(mine) == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert pages >= 3


async def test_only_the_platform_sees_what_another_tenant_of_this_id_did(client, acme, history):
    before = await acme.calls()
    assert (await client.delete(acme.path)).status_code == 204
    assert [item["id"] for item in await acme.calls()] == [item["id"] for item in before]
    assert (await client.post(f"{PLATFORM}/tenants", json={"id": acme.id, "name": "Another"})).status_code == 201
    assert await acme.calls() == []
    assert await acme.calls(callId=before[0]["id"]) == []
    is_problem(await client.get(f"{acme.path}/calls/{before[0]['id']}"), 404, "call_not_found")
    whole = (await client.get(f"{PLATFORM}/calls", params={"tenantId": acme.id})).json()["items"]
    assert [item["id"] for item in whole] == [item["id"] for item in before]
    assert (await client.get(f"{PLATFORM}/calls/{before[0]['id']}")).json()["id"] == before[0]["id"]


BAD = [
    ({"cause": "bad_luck"}, "invalid_input", "workflow_not_active"),  # lists the known ones
    ({"cause": "timeout", "status": "success"}, "invalid_input", "status success"),
    ({"status": "600"}, "invalid_input", "5xx"),
    ({"minResponseTime": -1}, "invalid_input", "greater than or equal to 0"),
    ({"maxResponseTime": 2**31}, "invalid_input", "less than or equal to"),
    ({"minResponseTime": "1.5"}, "invalid_input", "minResponseTime"),
    ({"minResponseTime": 5, "maxResponseTime": 4}, "invalid_input", "minResponseTime"),
    ({"triggeredBy": "a\x00b"}, "invalid_input", "NUL"),
    ({"triggeredBy": "x" * 201}, "invalid_input", "200"),
    ({"startDate": "2026-02-30"}, "invalid_input", "startDate"),
    ({"startDate": "2026-01-02", "endDate": "2026-01-01"}, "invalid_range", "before it ends"),
    ({"startDate": "9999-12-31T23:59:59-23:59"}, "invalid_range", "where the calendar begins or ends"),
    ({"callId": "7"}, "invalid_input", "callId"),
    ({"webhookId": "\x00"}, "invalid_input", "webhookId"),
]
PAGED = [
    ({"limit": 1001}, "invalid_input", "1000"),
    ({"limit": 10**30}, "invalid_input", "1000"),
    ({"cursor": "garbage"}, "invalid_cursor", "cursor"),
    ({"cursor": encode_cursor("calls", "2026-01-01T00:00:00+00:00", str(new_id()))}, "invalid_cursor", "cursor"),
    ({"cursor": encode_cursor("calls", "2026-01-01", str(new_id()), "x")}, "invalid_cursor", "cursor"),
    ({"cursor": encode_cursor("calls", "0001-01-01T00:00:00+23:59", str(new_id()), "x")}, "invalid_cursor", "cursor"),
    ({"cursor": encode_cursor("calls", "2026-01-01T00:00:00Z", str(new_id()), "x")}, "invalid_cursor", "other filters"),
]


@pytest.mark.parametrize("path", ["{tenant}/webhooks/analytics", "{platform}/calls"])
@pytest.mark.parametrize(("query", "code", "said"), [*BAD, *PAGED])
async def test_what_is_no_question_is_refused_with_the_reason(client, acme, path, query, code, said):
    answer = await client.get(path.format(tenant=acme.path, platform=PLATFORM), params=query)
    assert said in is_problem(answer, 422, code)["detail"]


@pytest.mark.parametrize("path", ["{tenant}/webhooks/analytics/export", "{platform}/calls/export"])
@pytest.mark.parametrize(("query", "code", "said"), [*BAD, ({"format": "xlsx"}, "invalid_input", "parquet")])
async def test_what_is_no_export_is_refused_with_the_reason(client, acme, path, query, code, said):
    answer = await client.get(path.format(tenant=acme.path, platform=PLATFORM), params=query)
    assert said in is_problem(answer, 422, code)["detail"]


async def test_the_tenant_of_a_platform_question_is_a_name(client):
    for bad in ("a b", "\x00", "x" * 65, ""):
        is_problem(await client.get(f"{PLATFORM}/calls", params={"tenantId": bad}), 422, "invalid_input")
    assert (await client.get(f"{PLATFORM}/calls", params={"tenantId": "never-was"})).json()["items"] == []


async def test_a_cursor_is_for_its_filters_however_its_times_are_written(client, acme, history):
    path, start = f"{acme.path}/webhooks/analytics", datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    first = (await client.get(path, params={"limit": 2, "startDate": start.isoformat()})).json()
    query = {"cursor": first["nextCursor"], "startDate": start.isoformat().replace("+00:00", "Z")}
    assert payloads((await client.get(path, params=query)).json()["items"]) == [5, 4, 3, 2, 1]
    is_problem(await client.get(path, params={"cursor": first["nextCursor"]}), 422, "invalid_cursor")
    is_problem(await client.get(path, params={**query, "status": "failed"}), 422, "invalid_cursor")
