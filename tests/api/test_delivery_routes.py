"""Deliveries over HTTP: accepted, told, listed, made again; and every bad request refused with nothing accepted."""

import asyncio
import json
import secrets
from datetime import UTC, datetime, timedelta

import pytest
from dispatch import DELIVERY, accepted
from standardwebhooks import Webhook
from tenancy import is_problem

from n8n import Answer

PAYLOAD = '{"z":1, "a" : [1.0, 1e2, 123456789012345678901234567890],\n"ü":"\\u00fc\\n","a":null}'
UNKNOWN = "01890000-0000-7000-8000-000000000000"


async def test_a_delivery_and_its_whole_story(acme, n8n, deliveries):
    webhook = await acme.webhook(n8n.url("/webhook/ok/orders"))
    content = f'{{ "payload" : {PAYLOAD}, "triggeredBy": "orders", "metadata": {{"n": 1}} }}'.encode()
    answer = await deliveries.post(webhook, content=content)
    assert (answer.status_code, answer.headers["content-type"]) == (202, "application/json")
    assert "idempotent-replayed" not in answer.headers
    made = answer.json()["deliveryId"]
    (story,) = await deliveries.ended(made)
    assert n8n.last.body == PAYLOAD.encode()
    Webhook(webhook["signingSecret"]).verify(n8n.last.body, n8n.last.headers)
    assert n8n.last.headers["webhook-id"] == made
    assert (story["id"], story["status"], story["attempts"], story["statusCode"]) == (made, "delivered", 1, 200)
    assert story["payload"] == json.loads(PAYLOAD)
    assert (story["altered"], story["metadata"], story["triggeredBy"]) == (False, {"n": 1}, "orders")
    assert (story["webhookId"], story["workflowName"]) == (webhook["id"], webhook["workflowName"])
    assert [entry["event"] for entry in story["trail"]] == ["accepted", "claimed", "called", "delivered"]
    (call,) = story["calls"]
    assert (call["deliveryId"], call["attempt"], call["requestPayload"]) == (made, 1, story["payload"])
    assert call["id"] == story["trail"][2]["callId"] == n8n.last.headers["x-hookvault-call"]
    assert [item["id"] for item in await acme.calls()] == [call["id"]]
    assert story["nextAttemptAt"] is story["errorCode"] is story["replayOf"] is None
    assert story["acceptedAt"] <= call["timestamp"] <= story["finishedAt"]


async def test_a_payload_that_no_table_can_hold_is_sent_as_it_is_and_shown_altered(acme, n8n, deliveries):
    webhook = await acme.webhook(n8n.url())
    made = await deliveries.send(webhook, content=b'{"payload":{"nul":"a\\u0000b"}}')
    (story,) = await deliveries.ended(made)
    assert n8n.last.body == b'{"nul":"a\\u0000b"}'
    assert (story["payload"], story["altered"]) == ({"nul": "a\ufffdb"}, True)
    assert [(call["requestPayload"], call["altered"]) for call in story["calls"]] == [(story["payload"], True)]


async def test_a_delivery_that_is_tried_again_says_when(acme, n8n, deliveries):
    webhook = await acme.webhook(n8n.url("/webhook/error"), policy={"schedule": [600]})
    made = await deliveries.send(webhook)
    async with asyncio.timeout(30):
        while not (story := await deliveries.story(made))["attempts"]:
            await asyncio.sleep(0.01)
    assert (story["status"], story["finishedAt"]) == ("pending", None)
    wait = (datetime.fromisoformat(story["nextAttemptAt"]) - datetime.now(UTC)).total_seconds()
    assert 470 < wait < 730
    assert story["trail"][-1]["event"] == "retry"
    assert [call["success"] for call in story["calls"]] == [False]


async def test_the_list_is_newest_first_in_pages_and_by_filter(acme, n8n, deliveries, app):
    good, bad = await acme.webhook(n8n.url(), "good"), await acme.webhook(n8n.url("/webhook/error"), "bad")
    off = await acme.webhook(n8n.url(), "off", isActive=False)
    made = [await deliveries.send(good, n) for n in range(5)]
    failed = await deliveries.send(bad, maxRetries=0)
    held = await deliveries.send(off)
    await deliveries.ended(*made, failed)
    every = [held, failed, *reversed(made)]
    assert await deliveries.ids() == every
    first = await deliveries.list(limit=3)
    assert first["items"][0].keys() == DELIVERY
    rest = await deliveries.list(limit=4, cursor=first["nextCursor"])
    assert [item["id"] for item in [*first["items"], *rest["items"]]] == every
    assert rest["nextCursor"] is None
    assert await deliveries.ids(status="failed") == [failed]
    assert await deliveries.ids(status="held") == [held]
    assert await deliveries.ids(status=["failed", "held"]) == [held, failed]
    assert await deliveries.ids(status="pending") == []
    assert await deliveries.ids(workflowName="good") == made[::-1]
    assert await deliveries.ids(errorCode="http_500") == [failed]
    assert await deliveries.ids(errorCode="http_404") == []
    stories = [await deliveries.story(one) for one in made]
    assert await deliveries.ids(startDate=stories[3]["acceptedAt"], workflowName="good") == made[:2:-1]
    assert await deliveries.ids(endDate=stories[3]["acceptedAt"]) == made[2::-1]


PAST = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
BAD = {
    "no payload": (b"{}", 422, "invalid_input"),
    "not JSON": (b'{"payload": ', 400, "malformed_body"),
    "half a surrogate pair": (b'{"payload": "\\ud800"}', 400, "malformed_body"),
    "not UTF-8": (b'{"payload": "\xff"}', 400, "malformed_body"),
    "an unknown field": (b'{"payload": 1, "surprise": 1}', 422, "invalid_input"),
    "too large": (b'{"payload": "' + b"x" * 1_048_576 + b'"}', 413, "payload_too_large"),
    "far too large": (b'{"payload": "' + b"x" * 2_000_000 + b'"}', 413, "payload_too_large"),
    "too deep": (b'{"payload": ' + b"[" * 65 + b"]" * 65 + b"}", 413, "too_deep"),
    "a deadline over": (json.dumps({"payload": 1, "deliverBefore": PAST}).encode(), 422, "deliver_before_passed"),
    "a deadline long over": (
        b'{"payload": 1, "deliverBefore": "0001-01-01T00:00:00+14:00"}',
        422,
        "deliver_before_passed",
    ),
    "a deadline too far": (b'{"payload": 1, "deliverBefore": "9999-12-31T23:59:59-14:00"}', 422, "invalid_input"),
    "a deadline without zone": (b'{"payload": 1, "deliverBefore": "2999-01-01T00:00:00"}', 422, "invalid_input"),
    "a deadline that is none": (b'{"payload": 1, "deliverBefore": "soon"}', 422, "invalid_input"),
    "an ordering key too long": (json.dumps({"payload": 1, "orderingKey": "x" * 201}).encode(), 422, "invalid_input"),
    "an ordering key of nothing": (b'{"payload": 1, "orderingKey": ""}', 422, "invalid_input"),
    "an ordering key with NUL": (b'{"payload": 1, "orderingKey": "a\\u0000"}', 422, "invalid_input"),
    "timeoutMs": (b'{"payload": 1, "timeoutMs": 120001}', 422, "invalid_input"),
    "maxRetries": (b'{"payload": 1, "maxRetries": 11}', 422, "invalid_input"),
    "triggeredBy": (json.dumps({"payload": 1, "triggeredBy": "x" * 201}).encode(), 422, "invalid_input"),
    "metadata": (json.dumps({"payload": 1, "metadata": {"a": "x" * 20_000}}).encode(), 422, "invalid_input"),
    "metadata of a list": (b'{"payload": 1, "metadata": []}', 422, "invalid_input"),
}


@pytest.mark.parametrize(("content", "status", "code"), BAD.values(), ids=BAD)
async def test_a_bad_request_is_refused_and_nothing_is_accepted(acme, n8n, deliveries, owner, content, status, code):
    webhook = await acme.webhook(n8n.url())
    before = await accepted(owner)
    is_problem(await deliveries.post(webhook, content=content, key="once"), status, code)
    assert await accepted(owner) == before
    assert n8n.seen == []
    assert (await deliveries.list())["items"] == []


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 256, "a\tb"])
async def test_an_idempotency_key_that_is_none(acme, n8n, deliveries, owner, key):
    webhook = await acme.webhook(n8n.url())
    before = await accepted(owner)
    path = f"/api/tenants/{acme.id}/webhooks/{webhook['workflowName']}"
    for kind in ("deliveries", "call"):
        headers = {"idempotency-key": key.encode("latin-1")}
        answer = await acme.client.post(f"{path}/{kind}", json={"payload": 1}, headers=headers)
        is_problem(answer, 422, "invalid_idempotency_key")
    assert await accepted(owner) == before
    assert n8n.seen == []


async def test_what_does_not_exist(acme, deliveries, owner, stranger):
    before = await accepted(owner)
    is_problem(await deliveries.post("nothing"), 404, "webhook_not_found")
    is_problem(
        await acme.client.post("/api/tenants/nobody/webhooks/x/deliveries", json={"payload": 1}),
        404,
        "tenant_not_found",
    )
    for path in (f"{deliveries.path}/{UNKNOWN}", f"{deliveries.path}/ffffffff-ffff-4fff-bfff-ffffffffffff"):
        is_problem(await acme.client.get(path), 404, "delivery_not_found")
        is_problem(await acme.client.post(f"{path}/replay"), 404, "delivery_not_found")
    is_problem(await acme.client.get(f"{deliveries.path}/not-an-id"), 422, "invalid_input")
    is_problem(await acme.client.get(f"{deliveries.path}/replays/{UNKNOWN}"), 404, "replay_not_found")
    is_problem(await acme.client.post(f"{deliveries.path}/replays/{UNKNOWN}/cancel"), 404, "replay_not_found")
    for query in ({"workflowName": "nothing"}, {"workflowName": "deleted"}):
        is_problem(await acme.client.get(deliveries.path, params=query), 404, "webhook_not_found")
    for path in ("/api/tenants/nobody/deliveries", "/api/tenants/nobody/deliveries/replays"):
        is_problem(await acme.client.get(path), 404, "tenant_not_found")
    unkeyed = await stranger.post(f"/api/tenants/{acme.id}/webhooks/x/deliveries", json={"payload": 1})
    is_problem(unkeyed, 401, "unauthorized")
    assert await accepted(owner) == before


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"status": "gone"}, "invalid_input"),
        ({"limit": 0}, "invalid_input"),
        ({"limit": 201}, "invalid_input"),
        ({"cursor": "abc"}, "invalid_cursor"),
        ({"startDate": "2026-01-01T00:00:00"}, "invalid_range"),
        ({"startDate": "2026-01-02T00:00:00Z", "endDate": "2026-01-01T00:00:00Z"}, "invalid_range"),
        ({"startDate": "yesterday"}, "invalid_input"),
        ({"errorCode": "x" * 65}, "invalid_input"),
        ({"workflowName": "a b"}, "invalid_input"),
    ],
)
async def test_a_list_that_can_not_be(acme, deliveries, query, code):
    is_problem(await acme.client.get(deliveries.path, params=query), 422, code)


async def test_a_suspended_tenant_and_a_webhook_switched_off_accept_and_hold(client, acme, n8n, deliveries):
    webhook = await acme.webhook(n8n.url())
    await client.patch(acme.path, json={"status": "suspended"})
    made = await deliveries.send(webhook)
    assert (await deliveries.story(made))["status"] == "held"
    is_problem(await acme.call(webhook), 409, "tenant_suspended")
    await client.patch(acme.path, json={"status": "active"})
    (story,) = await deliveries.ended(made)
    assert (story["status"], [entry["event"] for entry in story["trail"]][1:3]) == ("delivered", ["held", "released"])


async def test_limits_are_told_over_http(client, acme, n8n, deliveries):
    webhook = await acme.webhook(n8n.url(), policy={"rateLimit": {"calls": 1, "seconds": 60}})
    assert (await acme.call(webhook)).status_code == 200
    refused = await acme.call(webhook)
    is_problem(refused, 429, "rate_limited")
    assert 50 <= int(refused.headers["retry-after"]) <= 60
    await deliveries.send(webhook)  # it waits instead
    busy = await acme.webhook(n8n.url("/webhook/busy"), policy={"concurrency": 1})
    gate = asyncio.Event()
    n8n.answers["/webhook/busy"] = Answer(when=gate)
    first = asyncio.create_task(acme.call(busy))
    async with asyncio.timeout(30):
        while not n8n.counted()["/webhook/busy"]:
            await asyncio.sleep(0.005)
    refused = await acme.call(busy)
    is_problem(refused, 429, "concurrency_limited")
    assert refused.headers["retry-after"] == "1"
    gate.set()
    assert (await first).status_code == 200


async def test_an_open_circuit_is_told_over_http(acme, n8n, app):
    webhook = await acme.webhook(n8n.url("/webhook/error"))
    for _ in range(10):
        is_problem(await acme.call(webhook), 502, "webhook_failed")
    await app.circuits.settle()
    async with asyncio.timeout(30):  # until this process, too, was told of it
        while (refused := await acme.call(webhook)).status_code != 503:
            await asyncio.sleep(0.01)
    is_problem(refused, 503, "circuit_open")
    assert 25 <= int(refused.headers["retry-after"]) <= 30


async def test_the_account_is_a_metric_and_balances(acme, n8n, deliveries, stranger, app):
    webhook, off = await acme.webhook(n8n.url()), await acme.webhook(n8n.url(), isActive=False)
    await deliveries.ended(await deliveries.send(webhook))
    await deliveries.send(off)
    app.upkeep._stale_at = 0
    text = (await stranger.get("/metrics")).text
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("hookvault_"))
    assert float(found["hookvault_ledger_balance"]) == 0
    assert float(found["hookvault_ledger_accepted_total"]) >= 2
    assert float(found['hookvault_ledger_ended_total{status="delivered"}']) >= 1
    assert float(found['hookvault_ledger_waiting{status="held"}']) >= 1
    assert acme.id not in text


async def test_a_random_name_of_a_webhook_is_kept_apart_from_the_routes(acme, n8n, deliveries):
    """A workflow may be called what a route is called."""
    for name in ("deliveries", "call", "replays"):
        webhook = await acme.webhook(n8n.url(), name)
        (story,) = await deliveries.ended(await deliveries.send(webhook, secrets.token_hex(4)))
        assert story["workflowName"] == name
