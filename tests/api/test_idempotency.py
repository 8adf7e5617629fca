"""Idempotency keys: asked twice, done once, answered alike; for deliveries and for calls."""

import asyncio
import json

import pytest
from dispatch import accepted
from tenancy import is_problem

from n8n import Answer

DAY = "SELECT count(*) FROM idempotency_keys WHERE tenant_id = $1 AND expires_at > now() + interval '23 hours'"


@pytest.fixture
async def webhook(acme, n8n):
    return await acme.webhook(n8n.url("/webhook/ok/orders"), "orders")


async def called(acme, key, payload=1, name="orders", **fields):
    """A call with a key."""
    headers = {} if key is None else {"idempotency-key": key}
    path = f"/api/tenants/{acme.id}/webhooks/{name}/call"
    return await acme.client.post(path, json={"payload": payload, **fields}, headers=headers)


def replayed(answer):
    return answer.headers.get("idempotent-replayed") == "true"


async def test_a_delivery_asked_for_again_is_the_same_one(acme, n8n, deliveries, webhook, owner):
    first = await deliveries.post(webhook, {"n": 1}, key="order-7")
    assert (first.status_code, replayed(first)) == (202, False)
    before = await accepted(owner)
    for _ in range(3):
        again = await deliveries.post(webhook, {"n": 1}, key="order-7")
        assert (again.status_code, again.content, replayed(again)) == (202, first.content, True)
    assert await accepted(owner) == before
    (story,) = await deliveries.ended(first.json()["deliveryId"])
    assert story["idempotencyKey"] == "order-7"
    assert [entry["event"] for entry in story["trail"]].count("deduplicated") == 3
    assert len(n8n.seen) == 1
    assert (await owner(DAY, acme.id))[0][0] == 1


async def test_a_key_used_for_something_else_is_a_conflict(acme, n8n, deliveries, webhook, owner):
    other = await acme.webhook(n8n.url("/webhook/ok/other"), "other")
    made = await deliveries.send(webhook, {"n": 1}, key="order-7")
    await deliveries.ended(made)
    before = await accepted(owner)
    for again in (
        deliveries.post(webhook, {"n": 2}, key="order-7"),
        deliveries.post(webhook, {"n": 1}, key="order-7", triggeredBy="x"),
        deliveries.post(webhook, {"n": 1}, key="order-7", metadata={}),
        deliveries.post(webhook, {"n": 1}, key="order-7", maxRetries=1),
        deliveries.post(webhook, {"n": 1}, key="order-7", timeoutMs=1000),
        deliveries.post(webhook, {"n": 1}, key="order-7", orderingKey="a"),
        deliveries.post(webhook, {"n": 1}, key="order-7", deliverBefore="2035-01-01T00:00:00Z"),
        deliveries.post(webhook, key="order-7", content='{"payload": {"n":1}}'),
        deliveries.post(other, {"n": 1}, key="order-7"),
        called(acme, "order-7", {"n": 1}),
    ):
        answer = await again
        if replayed(answer):  # only white space outside the payload differs, and that is no difference
            assert answer.json()["deliveryId"] == made
        else:
            is_problem(answer, 409, "idempotency_conflict")
    assert await accepted(owner) == before
    assert len(n8n.seen) == 1


async def test_the_same_request_written_differently_is_the_same(acme, deliveries, webhook):
    first = await deliveries.post(
        webhook, key="k", content='{"payload":{"n":1},"triggeredBy":"x","metadata":{"a":1,"b":2}}'
    )
    again = await deliveries.post(
        webhook, key="k", content='{ "metadata": {"b": 2, "a": 1}, "triggeredBy": "x", "payload": {"n":1} }'
    )
    assert (again.status_code, again.content, replayed(again)) == (202, first.content, True)


async def test_another_tenant_s_key_is_another_key(make_tenancy, acme, n8n, deliveries, webhook):
    other = await make_tenancy()
    await other.webhook(n8n.url("/webhook/ok/theirs"), "orders")
    made = await deliveries.send(webhook, key="order-7")
    path = f"/api/tenants/{other.id}/webhooks/orders/deliveries"
    theirs = await acme.client.post(path, json={"payload": "theirs"}, headers={"idempotency-key": "order-7"})
    assert (theirs.status_code, replayed(theirs)) == (202, False)
    assert theirs.json()["deliveryId"] != made


async def test_twenty_at_once_make_one_delivery(acme, n8n, deliveries, webhook, owner):
    answers = await asyncio.gather(*[deliveries.post(webhook, {"n": 1}, key="order-7") for _ in range(20)])
    assert {answer.status_code for answer in answers} == {202}
    (made,) = {answer.json()["deliveryId"] for answer in answers}
    assert sum(not replayed(answer) for answer in answers) == 1
    await deliveries.ended(made)
    assert len(n8n.seen) == 1
    rows = await owner("SELECT 1 FROM webhook_deliveries WHERE tenant_id = $1", acme.id)
    assert len(rows) == 1


async def test_many_keys_at_once_each_make_their_own(acme, deliveries, webhook):
    answers = await asyncio.gather(*[deliveries.post(webhook, n % 10, key=f"k{n % 10}") for n in range(50)])
    assert len({answer.json()["deliveryId"] for answer in answers}) == 10
    mixed = await asyncio.gather(*[deliveries.post(webhook, n, key="mixed") for n in range(10)])
    assert sorted(answer.status_code for answer in mixed) == [202] + [409] * 9


async def test_a_key_is_free_again_after_its_day(acme, deliveries, webhook, owner, app):
    made = await deliveries.send(webhook, key="order-7")
    await owner("UPDATE idempotency_keys SET expires_at = now() - interval '1 second' WHERE tenant_id = $1", acme.id)
    again = await deliveries.post(webhook, "something else", key="order-7")
    assert (again.status_code, replayed(again)) == (202, False)
    assert again.json()["deliveryId"] != made
    await owner("UPDATE idempotency_keys SET expires_at = now() - interval '1 second' WHERE tenant_id = $1", acme.id)
    await app.upkeep.tidy(90)
    assert await owner("SELECT 1 FROM idempotency_keys WHERE tenant_id = $1", acme.id) == []


async def test_a_call_asked_for_again_is_made_once_and_answered_alike(acme, n8n, webhook):
    n8n.answers["/webhook/ok/orders"] = Answer(body=b'{"order" : 1.0, "big":123456789012345678901}')
    first = await called(acme, "order-7", {"n": 1})
    assert (first.status_code, replayed(first)) == (200, False)
    for _ in range(2):
        again = await called(acme, "order-7", {"n": 1})
        assert (again.status_code, again.content, replayed(again)) == (200, first.content, True)
    assert len(n8n.seen) == 1
    assert n8n.last.headers["webhook-id"] == first.json()["callId"]
    assert len(await acme.calls()) == 1
    is_problem(await called(acme, "order-7", {"n": 2}), 409, "idempotency_conflict")
    assert len(n8n.seen) == 1


@pytest.mark.parametrize(("kind", "status"), [("error", 502), ("empty", 200), ("text", 200)])
async def test_every_outcome_of_a_call_is_answered_again(acme, n8n, kind, status):
    await acme.webhook(n8n.url(f"/webhook/{kind}/x"), "orders")
    first, again = [await called(acme, "order-7") for _ in range(2)]
    assert (first.status_code, replayed(first)) == (status, False)
    assert (again.status_code, again.content, replayed(again)) == (status, first.content, True)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert len(n8n.seen) == 1


async def test_a_call_that_still_runs_is_a_conflict_to_be_asked_again(acme, n8n, webhook):
    gate = asyncio.Event()
    n8n.answers["/webhook/ok/orders"] = Answer(when=gate)
    first = asyncio.create_task(called(acme, "order-7"))
    async with asyncio.timeout(30):
        while not n8n.seen:
            await asyncio.sleep(0.005)
    answers = await asyncio.gather(*[called(acme, "order-7") for _ in range(20)])
    for answer in answers:
        is_problem(answer, 409, "idempotency_in_progress")
        assert answer.headers["retry-after"] == "1"
    is_problem(await called(acme, "order-7", 2), 409, "idempotency_conflict")
    gate.set()
    made = await first
    assert made.status_code == 200
    again = await called(acme, "order-7")
    assert (again.content, replayed(again)) == (made.content, True)
    assert len(n8n.seen) == 1


@pytest.mark.parametrize("why", ["rate", "circuit", "inactive"])
async def test_a_key_is_free_again_when_nothing_was_sent(client, acme, n8n, webhook, owner, app, why):
    path = f"{acme.path}/webhooks/{webhook['id']}"
    if why == "rate":
        await client.put(path, json={"policy": {"rateLimit": {"calls": 1, "seconds": 3600}}})
        assert (await called(acme, None)).status_code == 200
        refused = 429
    elif why == "circuit":
        hold = "INSERT INTO delivery_holds (tenant_id, id, webhook_id, reason, probe_at) "
        hold += "VALUES ($1, gen_random_uuid(), $2, 'circuit_open', now() + interval '1 hour')"
        await owner(hold, acme.id, webhook["id"])
        app.webhooks.forget(acme.id)
        refused = 503
    else:
        await client.put(path, json={"isActive": False})
        refused = 409
    sent = len(n8n.seen)
    for _ in range(2):
        answer = await called(acme, "order-7")
        assert answer.status_code == refused, answer.text
    assert len(n8n.seen) == sent
    assert await owner("SELECT 1 FROM idempotency_keys WHERE tenant_id = $1", acme.id) == []
    if why == "rate":
        await client.put(path, json={"policy": {"rateLimit": None}})
    elif why == "circuit":
        await owner("UPDATE delivery_holds SET until = now() WHERE webhook_id = $1", webhook["id"])
        app.webhooks.forget(acme.id)
    else:
        await client.put(path, json={"isActive": True})
    answer = await called(acme, "order-7", "another body now")
    assert (answer.status_code, replayed(answer)) == (200, False)


@pytest.mark.parametrize("recorded", [True, False])
async def test_a_call_over_which_a_process_died_is_answered_or_made_again(acme, n8n, webhook, owner, recorded):
    """Whoever asks again finds its record; without one it is called again, with the same webhook-id."""
    first = await called(acme, "order-7", {"n": 1})
    await owner(
        "UPDATE idempotency_keys SET answer = NULL, locked_until = now() - interval '1 second' WHERE tenant_id = $1",
        acme.id,
    )
    if not recorded:
        await owner("DELETE FROM webhook_analytics WHERE tenant_id = $1", acme.id)
    again = await called(acme, "order-7", {"n": 1})
    assert again.status_code == 200
    assert again.json()["callId"] == first.json()["callId"]
    assert len(n8n.seen) == (1 if recorded else 2)
    assert {seen.headers["webhook-id"] for seen in n8n.seen} == {first.json()["callId"]}
    expected = json.loads(first.content)
    assert {name: value for name, value in again.json().items() if name != "responseTime"} == {
        name: value for name, value in expected.items() if name != "responseTime"
    }
    third = await called(acme, "order-7", {"n": 1})
    assert (third.content, replayed(third)) == (again.content, True)


async def test_a_call_whose_process_died_is_taken_over_by_one(acme, n8n, webhook, owner):
    await called(acme, "order-7")
    await owner(
        "UPDATE idempotency_keys SET answer = NULL, locked_until = now() - interval '1 second' WHERE tenant_id = $1",
        acme.id,
    )
    await owner("DELETE FROM webhook_analytics WHERE tenant_id = $1", acme.id)
    gate = asyncio.Event()
    n8n.answers["/webhook/ok/orders"] = Answer(when=gate)
    jobs = [asyncio.create_task(called(acme, "order-7")) for _ in range(10)]
    async with asyncio.timeout(30):
        while sum(job.done() for job in jobs) < 9:
            await asyncio.sleep(0.01)
    gate.set()
    answers = await asyncio.gather(*jobs)
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    assert len(n8n.seen) == 2
