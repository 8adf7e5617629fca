"""Expunging over HTTP, a tenant's own retention, and how much room everything takes."""

import json
from uuid import UUID

import pytest
from tenancy import PLATFORM, is_problem

from hookvault.ids import id_time
from n8n import Answer

ID = "01890000-0000-7000-8000-000000000000"
SAID = "4111-planted-1111"


@pytest.fixture
async def orders(acme, n8n):
    n8n.answers["/webhook/ok/orders"] = lambda seen: Answer(body=seen.body)
    return await acme.webhook(n8n.url("/webhook/ok/orders"), "orders")


@pytest.fixture
def stored(owner, acme):
    """How often a text stands in the tenant's rows."""

    async def count(text):
        found = 0
        for table in ("webhook_analytics", "webhook_deliveries", "idempotency_keys", "audit_events"):
            rows = await owner(f"SELECT row_to_json(t)::text FROM {table} t WHERE tenant_id = $1", acme.id)
            found += sum(text in row or text.encode().hex() in row for (row,) in rows)
        return found

    return count


async def expunge(acme, kind, identifier):
    return await acme.client.post(f"{acme.path}/{kind}/{identifier}/expunge")


async def test_a_call_is_expunged_with_its_retries_and_its_kept_answer(client, acme, n8n, orders, stored):
    answers = iter([Answer(503, body=json.dumps(SAID).encode()), Answer(body=json.dumps(SAID).encode())])
    n8n.answers["/webhook/ok/orders"] = lambda _: next(answers)
    body = {"payload": {"card": SAID}, "metadata": {"card": SAID}, "maxRetries": 1}
    path = f"/api/tenants/{acme.id}/webhooks/orders/call"
    made = await client.post(path, json=body, headers={"idempotency-key": "k"})
    identifier = made.json()["callId"]
    assert made.json()["attempts"] == 2
    assert await stored(SAID) == 3
    figures = (await client.get(f"{acme.path}/webhooks/analytics/summary")).json()
    answer = await expunge(acme, "calls", identifier)
    assert answer.status_code == 200, answer.text
    call = answer.json()
    assert (call["requestPayload"], call["responseBody"], call["metadata"]) == (None, None, None)
    assert (call["statusCode"], call["success"], call["altered"]) == (503, False, True)
    assert call["expungedAt"] is not None
    assert await stored(SAID) == 0
    again = await expunge(acme, "calls", identifier)
    assert (again.status_code, again.json()) == (200, call)
    events = [event for event in await acme.audit() if event["action"] == "call.expunged"]
    assert [(event["targetId"], event["detail"]) for event in events] == [(identifier, {"records": 2})]
    replayed = await client.post(path, json=body, headers={"idempotency-key": "k"})
    assert (replayed.headers["idempotent-replayed"], replayed.json()["responseBody"]) == ("true", None)
    after = (await client.get(f"{acme.path}/webhooks/analytics/summary")).json()
    assert (after["totalCalls"], after["failedCalls"]) == (figures["totalCalls"], figures["failedCalls"]) == (2, 1)


async def test_a_delivery_is_expunged_with_all_of_its_calls(client, acme, n8n, orders, deliveries, stored):
    n8n.answers["/webhook/ok/orders"] = Answer(400, body=json.dumps(SAID).encode())
    identifier = await deliveries.send(orders, {"card": SAID}, metadata={"card": SAID})
    await deliveries.ended(identifier)
    assert await stored(SAID) == 2
    answer = await expunge(acme, "deliveries", identifier)
    assert answer.status_code == 200, answer.text
    story = answer.json()
    assert (story["payload"], story["metadata"], story["status"], story["attempts"]) == (None, None, "failed", 1)
    assert story["expungedAt"] is not None
    (call,) = story["calls"]
    assert (call["requestPayload"], call["responseBody"], call["statusCode"]) == (None, None, 400)
    assert call["expungedAt"] is not None
    assert await stored(SAID) == 0
    again = await expunge(acme, "deliveries", identifier)
    assert (again.status_code, again.json()) == (200, story)
    assert await deliveries.story(identifier) == story
    assert [event["action"] for event in await acme.audit()].count("delivery.expunged") == 1
    listed = (await deliveries.list())["items"][0]
    assert listed["expungedAt"] == story["expungedAt"]
    is_problem(await client.post(f"{deliveries.path}/{identifier}/replay"), 409, "payload_expunged")
    given = await client.post(f"{deliveries.path}/replay", json={"status": ["failed"]})
    is_problem(given, 422, "nothing_to_replay")


async def test_a_call_of_a_delivery_expunged_alone_shows_nothing(acme, orders, deliveries):
    identifier = await deliveries.send(orders, {"card": SAID})
    (story,) = await deliveries.ended(identifier)
    assert story["calls"][0]["requestPayload"] == {"card": SAID}
    call = (await expunge(acme, "calls", story["calls"][0]["id"])).json()
    assert (call["requestPayload"], call["responseBody"]) == (None, None)
    assert (await deliveries.story(identifier))["payload"] == {"card": SAID}


async def test_what_is_still_to_be_sent_can_not_be_expunged(client, acme, orders, deliveries):
    await client.put(f"{acme.path}/webhooks/{orders['id']}", json={"isActive": False})
    identifier = await deliveries.send(orders, {"card": SAID})
    is_problem(await expunge(acme, "deliveries", identifier), 409, "delivery_pending")
    assert (await deliveries.story(identifier))["payload"] == {"card": SAID}


async def test_what_is_not_this_tenant_s_can_not_be_expunged(acme, make_tenancy, orders, deliveries):
    other = await make_tenancy()
    call = (await acme.call(orders, {"card": SAID})).json()["callId"]
    delivery = await deliveries.send(orders, 1)
    await deliveries.ended(delivery)
    for kind, identifier, code in (("calls", call, "call_not_found"), ("deliveries", delivery, "delivery_not_found")):
        is_problem(await expunge(other, kind, identifier), 404, code)
        is_problem(await expunge(acme, kind, ID), 404, code)
    kept = next(item for item in await acme.calls() if item["id"] == call)
    assert kept["requestPayload"] == {"card": SAID}


async def test_expunging_what_was_delivered_under_a_policy(acme, orders, deliveries, client):
    await client.put(f"{acme.path}/webhooks/{orders['id']}", json={"policy": {"redactPaths": ["$.card"]}})
    identifier = await deliveries.send(orders, {"card": SAID, "n": 1})
    (story,) = await deliveries.ended(identifier)
    assert (story["payload"], story["altered"]) == ({"card": "[redacted]", "n": 1}, True)
    assert story["expungedAt"] is not None
    assert story["calls"][0]["requestPayload"] == story["payload"]
    after = (await expunge(acme, "deliveries", identifier)).json()
    assert (after["payload"], after["expungedAt"]) == (None, story["expungedAt"])


async def test_a_wrong_path_is_refused_and_says_where(acme, client, orders):
    answer = await client.put(
        f"{acme.path}/webhooks/{orders['id']}", json={"policy": {"redactPaths": ["$.card", "$.card[?]"]}}
    )
    problem = is_problem(answer, 422, "invalid_input")
    assert problem["errors"][0]["field"] == "policy.redactPaths[1]"
    assert "character 7" in problem["errors"][0]["message"]


async def test_a_tenant_s_own_retention(client, acme):
    made = await client.post(f"{PLATFORM}/tenants", json={"name": "Brief", "retentionDays": 7})
    assert (made.status_code, made.json()["retentionDays"]) == (201, 7)
    assert (await client.get(acme.path)).json()["retentionDays"] is None
    changed = await client.patch(acme.path, json={"retentionDays": 400})
    assert (changed.status_code, changed.json()["retentionDays"]) == (200, 400)  # the platform's holds, see the docs
    assert (await acme.audit())[0]["detail"] == {"changed": ["retention_days"]}
    assert (await client.patch(acme.path, json={"name": "x"})).json()["retentionDays"] == 400
    assert (await client.patch(acme.path, json={"retentionDays": None})).json()["retentionDays"] is None
    for wrong in (0, 36501, "7", 1.5, True):
        is_problem(await client.patch(acme.path, json={"retentionDays": wrong}), 422, "invalid_input")


async def test_storage(client, acme, orders):
    call = (await acme.call(orders, 1)).json()["callId"]
    found = (await client.get(f"{PLATFORM}/storage")).json()
    assert found.keys() == {"databaseBytes", "diskFree", "retentionDays", "oldestDay", "kinds", "days"}
    assert {kind["kind"] for kind in found["kinds"]} >= {
        "calls",
        "deliveries",
        "minuteRollups",
        "spans",
        "audit",
        "rest",
    }
    assert found["retentionDays"] == 90
    assert found["diskFree"] is None
    assert sum(kind["bytes"] for kind in found["kinds"]) == found["databaseBytes"]
    day = id_time(UUID(call)).date().isoformat()
    assert next(item for item in found["days"] if item["day"] == day)["calls"]["bytes"] > 0
    metrics = (await client.get("/metrics")).text
    assert 'hookvault_storage_bytes{kind="calls"}' in metrics
    assert "hookvault_rollups_due " in metrics


async def test_a_tenant_s_key_may_not(acme, orders, stranger):
    key = (await acme.key())["key"]
    call = (await acme.call(orders, 1)).json()["callId"]
    headers = {"authorization": f"Bearer {key}"}
    is_problem(await stranger.post(f"{acme.path}/calls/{call}/expunge", headers=headers), 403, "forbidden")
    is_problem(await stranger.get(f"{PLATFORM}/storage", headers=headers), 403, "forbidden")
