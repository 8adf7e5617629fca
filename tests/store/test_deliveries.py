"""Durable deliveries: accepted, sent as they came, tried again, held, released, ended, and told."""

import asyncio
import json
import secrets
from datetime import timedelta
from uuid import UUID

import pytest
from depot import SOON_S, events, until
from standardwebhooks import Webhook

from canary import planted
from hookvault.clock import now
from hookvault.deliveries.model import ENDED, DeliveryFilter, NewDelivery
from hookvault.errors import ConflictError, InvalidError, NotFoundError, TooLargeError
from hookvault.ids import id_time, new_id
from hookvault.webhooks.model import CallRequest
from n8n import Answer

WAVES = Answer(503, b"busy")
NOT_REGISTERED = Answer(404, b'{"code":404,"message":"The requested webhook \\"POST x\\" is not registered."}')
PAYLOADS = {
    "odd spacing and numbers": b'{"z":1, "a" : [1.0, 1e2, 123456789012345678901234567890],\n"\xc3\xbc":"\\u00fc\\n"}',
    "a NUL": b'{"text":"a\\u0000b"}',
    "a lone surrogate": b'["\\ud800", "\\udfff x"]',
    "a pair of surrogates": b'"\\ud83d\\ude00"',
    "null": b"null",
    "white space around": b" [1] \n",
    "a name twice": b'{"a":1,"a":2}',
    "a number beyond every type": b"[" + b"9" * 400 + b"]",
    "much of it": json.dumps({"text": "x" * 300_000}).encode(),
}


def by_turns(*answers):
    """Answers one after the other, the last one for ever."""
    waiting = list(answers)
    return lambda _seen: waiting.pop(0) if len(waiting) > 1 else waiting[0]


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
async def test_a_payload_goes_out_as_it_came_signed(depot, owner, payload):
    webhook = await depot.webhook()
    made = await depot.send(webhook, payload)
    (story,) = await depot.ended(made)
    assert (story.delivery.status, story.delivery.attempts, story.delivery.status_code) == ("delivered", 1, 200)
    (seen,) = depot.seen(webhook)
    assert seen.body == payload == story.payload
    assert seen.headers["webhook-id"] == str(made)
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["x-hookvault-tenant"] == depot.tenant_id
    assert [seen.headers["x-hookvault-call"]] == [str(call_id) for call_id in story.call_ids]
    Webhook(webhook.new_signing_secret.open()).verify(seen.body, seen.headers)

    (row,) = await owner("SELECT request_payload, delivery_id FROM webhook_analytics WHERE id = $1", *story.call_ids)
    assert (row["request_payload"], row["delivery_id"]) == (None, made)  # it is stored once, with the delivery
    (call,) = await depot.app.analytics.get_calls(depot.tenant_id, story.call_ids)
    altered = b"\\u0000" in payload or b"\\ud800" in payload
    assert call.altered is altered
    if not altered and len(payload) != 402:
        assert call.request_payload == json.loads(payload)


async def test_the_story_tells_what_happened_in_order(depot):
    webhook = await depot.webhook()
    options = {"triggered_by": "orders", "metadata": {"order": 7, "nul": "a\0b"}, "timeout_ms": 5000, "max_retries": 2}
    made = await depot.send(webhook, **options)
    (story,) = await depot.ended(made)
    assert events(story) == ["accepted", "claimed", "called", "delivered"]
    times = [entry["at"] for entry in story.trail]
    assert times == sorted(times)
    claimed, called = story.trail[1:3]
    assert claimed["worker"]
    assert (called["statusCode"], called["callId"]) == (200, str(story.call_ids[0]))
    delivery = story.delivery
    assert (delivery.triggered_by, delivery.workflow_name) == ("orders", webhook.workflow_name)
    assert story.metadata == {"order": 7, "nul": "a\ufffdb"}
    assert delivery.next_attempt_at is delivery.error_code is delivery.error_message is None
    assert delivery.accepted_at == id_time(made) <= delivery.finished_at <= now() + timedelta(seconds=1)
    shown = await depot.app.webhooks.get_n8n_webhook(depot.tenant_id, webhook.id)
    assert (shown.total_calls, shown.successful_calls) == (1, 1)
    (call,) = (await depot.app.analytics.list_webhook_calls(depot.tenant_id, webhook.id)).items
    assert (call.delivery_id, call.triggered_by, call.metadata) == (made, "orders", story.metadata)
    assert call.request_payload == {"n": 1}


async def test_a_retry_has_the_same_id_and_a_signature_of_its_own(depot):
    webhook = await depot.webhook(policy={"schedule": [1]})
    depot.answers(webhook, by_turns(WAVES, Answer()))
    made = await depot.send(webhook)
    await until(lambda: depot.seen(webhook))
    waiting = await depot.becomes(made, "pending")
    async with asyncio.timeout(30):
        while (waiting := await depot.story(made)).delivery.attempts == 0:
            await asyncio.sleep(0.005)
    wait = (waiting.delivery.next_attempt_at - now()).total_seconds()
    assert 0.3 < wait <= 1.2
    (story,) = await depot.ended(made)
    assert events(story) == ["accepted", "claimed", "called", "retry", "claimed", "called", "delivered"]
    assert (story.trail[2]["code"], story.trail[3]["code"]) == ("http_503", "http_503")
    first, second = depot.seen(webhook)
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == str(made)
    assert [seen.headers["x-hookvault-call"] for seen in (first, second)] == [str(one) for one in story.call_ids]
    for seen in (first, second):
        Webhook(webhook.new_signing_secret.open()).verify(seen.body, seen.headers)
    calls = await depot.app.analytics.get_calls(depot.tenant_id, story.call_ids)
    assert [(call.attempt, call.success, call.status_code) for call in calls] == [(1, False, 503), (2, True, 200)]
    assert calls[1].timestamp - calls[0].timestamp >= timedelta(seconds=0.99)
    shown = await depot.app.webhooks.get_n8n_webhook(depot.tenant_id, webhook.id)
    assert (shown.total_calls, shown.failed_calls) == (2, 1)


async def test_a_delivery_is_given_up_after_its_retries(depot):
    webhook = await depot.webhook("error", policy={"schedule": [1]})
    before = await depot.ledger()
    (story,) = await depot.ended(await depot.send(webhook, max_retries=1))
    assert (story.delivery.status, story.delivery.attempts) == ("failed", 2)
    assert (story.delivery.error_code, story.delivery.status_code) == ("http_500", 500)
    assert "Given up after 2 attempts" in story.delivery.error_message
    assert events(story)[-2:] == ["called", "failed"]
    assert len(depot.seen(webhook)) == 2
    after = await depot.ledger()
    assert (after.accepted - before.accepted, after.failed - before.failed) == (1, 1)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 301])
async def test_a_permanent_answer_is_final(depot, status):
    webhook = await depot.webhook()
    depot.answers(webhook, Answer(status, b"no"))
    (story,) = await depot.ended(await depot.send(webhook))
    assert (story.delivery.status, story.delivery.error_code, story.delivery.attempts) == (
        "failed",
        f"http_{status}",
        1,
    )


async def test_a_restart_of_n8n_costs_no_delivery_but_a_wrong_path_does(depot):
    webhook, wrong = await depot.webhook(policy={"schedule": [1]}), await depot.webhook(policy={"schedule": [1]})
    depot.answers(webhook, by_turns(Answer(503), NOT_REGISTERED, Answer()))
    depot.answers(wrong, NOT_REGISTERED)
    restarted, never = await depot.send(webhook, max_retries=5), await depot.send(wrong, max_retries=5)
    story = await depot.becomes(restarted, ENDED)
    assert (story.delivery.status, story.delivery.attempts) == ("delivered", 3)
    story = await depot.becomes(never, ENDED)
    assert (story.delivery.status, story.delivery.attempts, story.delivery.error_code) == ("failed", 2, "http_404")


async def test_retries_wait_as_long_as_the_receiver_asks(depot):
    webhook = await depot.webhook(policy={"schedule": [1]})
    depot.answers(webhook, Answer(429, headers=(("retry-after", "600"),)))
    made = await depot.send(webhook)
    async with asyncio.timeout(30):
        while (story := await depot.story(made)).delivery.attempts == 0:
            await asyncio.sleep(0.01)
    assert 590 < (story.delivery.next_attempt_at - now()).total_seconds() <= 720


async def test_an_address_that_may_not_be_called_ends_its_delivery(depot, owner):
    webhook = await depot.webhook()
    await owner(
        "UPDATE n8n_webhooks SET webhook_url = 'http://10.0.0.1/x', config_version = 9 WHERE id = $1", webhook.id
    )
    (story,) = await depot.ended(await depot.send(webhook))
    assert (story.delivery.status, story.delivery.error_code) == ("failed", "address_blocked")
    assert events(story) == ["accepted", "claimed", "refused", "failed"]


async def test_what_waits_past_its_deliver_before_expires_unsent(depot):
    webhook = await depot.webhook(is_active=False)
    made = await depot.send(webhook, deliver_before=now() + timedelta(seconds=0.2))
    assert (await depot.story(made)).delivery.status == "held"
    await asyncio.sleep(0.25)
    await depot.app.upkeep.tick()
    (story,) = await depot.ended(made)
    assert (story.delivery.status, story.delivery.error_code) == ("expired", "deliver_before_passed")
    assert events(story) == ["accepted", "held", "expired"]
    await depot.change(webhook, is_active=True)
    await asyncio.sleep(SOON_S)
    assert depot.seen(webhook) == []


async def test_no_retry_is_waited_for_beyond_deliver_before(depot):
    webhook = await depot.webhook(policy={"schedule": [60]})
    depot.answers(webhook, WAVES)
    (story,) = await depot.ended(await depot.send(webhook, deliver_before=now() + timedelta(seconds=30)))
    assert (story.delivery.status, story.delivery.error_code) == ("expired", "http_503")
    assert events(story) == ["accepted", "claimed", "called", "expired"]


async def test_an_attempt_is_cut_off_at_deliver_before(depot):
    webhook = await depot.webhook("slow")
    began = now()
    (story,) = await depot.ended(await depot.send(webhook, deliver_before=began + timedelta(seconds=0.5)))
    assert (story.delivery.status, story.delivery.error_code) == ("expired", "timeout")
    assert story.delivery.finished_at - began < timedelta(seconds=3)


async def switch(depot, webhook, what, *, on):
    if what == "webhook":
        await depot.change(webhook, is_active=on)
    else:
        await depot.app.tenants.update_tenant(depot.tenant_id, {"status": "active" if on else "suspended"})


@pytest.mark.parametrize(
    ("what", "reason"), [("webhook", "webhook_inactive"), ("tenant", "tenant_suspended")], ids=["webhook", "tenant"]
)
async def test_what_is_switched_off_holds_its_deliveries_and_releases_them(depot, what, reason):
    webhook = await depot.webhook(policy={"schedule": [1]})
    depot.answers(webhook, by_turns(WAVES, Answer()))
    retried = await depot.send(webhook, 0)
    await until(lambda: depot.seen(webhook))
    await switch(depot, webhook, what, on=False)
    await depot.becomes(retried, "held")
    made = [await depot.send(webhook, n) for n in range(1, 6)]
    assert await depot.statuses() == {"held": 6}
    listed = await depot.app.deliveries.list_deliveries(depot.tenant_id, DeliveryFilter(("held",)))
    assert [item.id for item in listed.items] == [*reversed(made), retried]
    pending = await depot.app.deliveries.list_deliveries(depot.tenant_id, DeliveryFilter(("pending",)))
    assert pending.items == []
    await asyncio.sleep(1.2)  # the retry's time comes and goes
    assert len(depot.seen(webhook)) == 1
    assert (await depot.ledger()).held >= 6
    story = await depot.story(made[0])
    assert events(story) == ["accepted", "held"]
    assert story.trail[1]["reason"] == reason

    await switch(depot, webhook, what, on=True)
    stories = await depot.ended(retried, *made)
    assert {story.delivery.status for story in stories} == {"delivered"}
    assert depot.seen(webhook)[0].body == b"0"
    assert {seen.body for seen in depot.seen(webhook)} == {b"%d" % n for n in range(6)}
    assert events(stories[1]) == ["accepted", "held", "released", "claimed", "called", "delivered"]
    assert events(stories[0])[:6] == ["accepted", "claimed", "called", "retry", "held", "released"]


async def test_a_delivery_made_after_a_hold_does_not_tell_of_it(depot):
    webhook = await depot.webhook(is_active=False)
    await depot.change(webhook, is_active=True)
    (story,) = await depot.ended(await depot.send(webhook))
    assert events(story) == ["accepted", "claimed", "called", "delivered"]


@pytest.mark.parametrize("what", ["webhook", "tenant"])
async def test_a_deletion_ends_what_waits_and_leaves_its_story(depot, what):
    retried, held = await depot.webhook(policy={"schedule": [600]}), await depot.webhook(is_active=False)
    depot.answers(retried, WAVES)
    other = await depot.webhook()
    (done,) = await depot.ended(await depot.send(other))
    waiting = [await depot.send(retried), await depot.send(held), await depot.send(held, ordering_key="a")]
    await until(lambda: depot.seen(retried))
    if what == "tenant":
        await depot.app.tenants.delete_tenant(depot.tenant_id)
    else:
        for webhook in (retried, held):
            await depot.app.webhooks.delete_n8n_webhook(depot.tenant_id, webhook.id)
            await depot.webhook(name=webhook.workflow_name)  # the name is free at once
    for story in await depot.ended(*waiting):
        assert (story.delivery.status, story.delivery.error_code) == ("failed", "webhook_deleted")
        assert events(story)[-1] == "failed"
        assert story.payload == b'{"n":1}'
    assert (await depot.story(done.delivery.id)).delivery.status == "delivered"
    await asyncio.sleep(SOON_S)
    assert [len(depot.seen(webhook)) for webhook in (retried, held)] == [1, 0]
    with pytest.raises(NotFoundError) as caught:
        await depot.app.replays.replay(depot.tenant_id, waiting[0])
    assert caught.value.code in ("webhook_not_found", "tenant_not_found")


async def test_what_is_being_called_as_its_webhook_is_deleted_ends_as_it_was_answered(depot):
    webhook = await depot.webhook()
    gate = asyncio.Event()
    depot.answers(webhook, Answer(when=gate))
    made = await depot.send(webhook)
    await until(lambda: depot.seen(webhook))
    await depot.app.webhooks.delete_n8n_webhook(depot.tenant_id, webhook.id)
    assert (await depot.story(made)).delivery.status == "pending"
    gate.set()
    (story,) = await depot.ended(made)
    assert story.delivery.status == "delivered"


async def test_gone_switches_the_webhook_off_and_holds_what_waits(depot):
    webhook = await depot.webhook(policy={"concurrency": 1})
    depot.answers(webhook, Answer(410, b"gone"))
    made = [await depot.send(webhook, n) for n in range(5)]
    first = await depot.becomes(made[0], "failed")
    assert first.delivery.error_code == "http_410"
    async with asyncio.timeout(30):
        while (await depot.app.webhooks.get_n8n_webhook(depot.tenant_id, webhook.id)).is_active:
            await asyncio.sleep(0.01)
    async with asyncio.timeout(30):  # what was claimed before it was switched off may still go
        while set(await depot.statuses()) != {"failed", "held"}:
            await asyncio.sleep(0.01)
    assert (await depot.statuses())["failed"] <= 2
    event = next(iter((await depot.app.audit.list_events(depot.tenant_id)).items))
    assert (event.action, event.detail) == ("webhook.switched_off", {"reason": "http_410"})
    with pytest.raises(ConflictError) as caught:
        await depot.app.webhooks.call_webhook(depot.tenant_id, webhook.workflow_name, 1)
    assert caught.value.code == "webhook_inactive"
    depot.answers(webhook, Answer())
    await depot.change(webhook, is_active=True)
    stories = await depot.ended(*made)
    assert {story.delivery.status for story in stories[2:]} == {"delivered"}


async def test_secrets_that_a_receiver_echoes_are_not_kept(depot):
    token, static = planted("delivery-token"), planted("delivery-static")
    webhook = await depot.webhook("echo", auth_token=token, static_headers={"x-static": static})
    (story,) = await depot.ended(await depot.send(webhook))
    (seen,) = depot.seen(webhook)
    assert (seen.headers["authorization"], seen.headers["x-static"]) == (f"Bearer {token}", static)
    (call,) = await depot.app.analytics.get_calls(depot.tenant_id, story.call_ids)
    assert call.response_body["headers"]["x-static"] == "***"
    assert token not in repr((story, call))


@pytest.mark.parametrize(
    "body",
    [b'{"n":1e-99999}', b'"a\\u0000b"', b"\xff\x00\xfe", b'{"half":"\\ud800"}', b"[" * 5000, b"x" * 100_000],
    ids=["number", "NUL", "binary", "surrogate", "deep", "long"],
)
async def test_an_answer_that_no_table_can_hold_stops_neither_its_delivery_nor_the_others(depot, body):
    odd, plain = await depot.webhook(), await depot.webhook()
    depot.answers(odd, Answer(body=body))
    made = [await depot.send(webhook, n) for n, webhook in enumerate([odd, plain] * 5)]
    stories = await depot.ended(*made)
    assert {(story.delivery.status, story.delivery.attempts) for story in stories} == {("delivered", 1)}
    assert len(depot.n8n.seen) == 10
    calls = (await depot.app.analytics.list_webhook_calls(depot.tenant_id, odd.id)).items
    assert len(calls) == 5
    assert all(call.success for call in calls)
    assert {call.altered for call in calls} == {body != b"[" * 5000}


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        ({"timeout_ms": 0}, InvalidError, "invalid_input"),
        ({"timeout_ms": 120_001}, InvalidError, "invalid_input"),
        ({"max_retries": -1}, InvalidError, "invalid_input"),
        ({"max_retries": 11}, InvalidError, "invalid_input"),
        ({"ordering_key": ""}, InvalidError, "invalid_input"),
        ({"ordering_key": "x" * 201}, InvalidError, "invalid_input"),
        ({"ordering_key": "a\0"}, InvalidError, "invalid_input"),
        ({"idempotency_key": ""}, InvalidError, "invalid_idempotency_key"),
        ({"idempotency_key": "ä"}, InvalidError, "invalid_idempotency_key"),
        ({"idempotency_key": "x" * 256}, InvalidError, "invalid_idempotency_key"),
        ({"deliver_before": now()}, InvalidError, "deliver_before_passed"),
        ({"deliver_before": now().replace(tzinfo=None) + timedelta(days=1)}, InvalidError, "invalid_input"),
        ({"triggered_by": "a\0b"}, InvalidError, "invalid_input"),
        ({"triggered_by": "\ud800"}, InvalidError, "invalid_input"),
        ({"payload": b"[" * 65 + b"]" * 65}, TooLargeError, "too_deep"),
        ({"payload": b'"' + b"x" * 1_048_576 + b'"'}, TooLargeError, "payload_too_large"),
    ],
)
async def test_what_can_not_be_accepted_is_refused_and_nothing_is_kept(depot, owner, fields, kind, code):
    webhook = await depot.webhook()
    before = await depot.ledger()
    with pytest.raises(kind) as caught:
        await depot.send(webhook, **fields)
    assert caught.value.code == code
    assert (await depot.ledger()).accepted == before.accepted
    assert await owner("SELECT 1 FROM webhook_deliveries WHERE tenant_id = $1", depot.tenant_id) == []
    assert await owner("SELECT 1 FROM idempotency_keys WHERE tenant_id = $1", depot.tenant_id) == []


async def test_an_unknown_webhook_or_tenant(depot):
    for tenant_id, code in ((depot.tenant_id, "webhook_not_found"), ("nobody", "tenant_not_found")):
        with pytest.raises(NotFoundError) as caught:
            await depot.app.webhooks.enqueue(tenant_id, "nothing", 1)
        assert caught.value.code == code
        with pytest.raises(NotFoundError) as caught:
            await depot.app.deliveries.get_delivery(tenant_id, new_id())
        assert caught.value.code == ("delivery_not_found" if tenant_id == depot.tenant_id else "tenant_not_found")


async def test_a_delivery_of_a_day_without_a_partition_makes_it(depot, owner):
    webhook = await depot.webhook()
    day = now() + timedelta(days=40 + secrets.randbelow(1000))
    milliseconds = int(day.timestamp() * 1000)
    identifier = UUID(int=(milliseconds << 80) | (new_id().int & ((1 << 80) - 1)))
    accepted_at = id_time(identifier)
    await depot.app.enqueuer.put(NewDelivery(depot.tenant_id, identifier, accepted_at, webhook.id, b"1"))
    (story,) = await depot.ended(identifier)
    assert story.delivery.accepted_at == accepted_at
    assert await owner("SELECT to_regclass($1)", f"webhook_deliveries_p{day:%Y%m%d}") != [(None,)]


async def test_a_thousand_at_once_are_all_delivered_once_and_accounted_for(depot):
    hooks = [await depot.webhook() for _ in range(4)]
    before = await depot.ledger()
    requests = [CallRequest(b"%d" % n) for n in range(1000)]
    accepted = await asyncio.gather(
        *[
            depot.app.deliveries.enqueue(depot.tenant_id, hooks[n % 4].workflow_name, request)
            for n, request in enumerate(requests)
        ]
    )
    made = [one.delivery_id for one in accepted]
    assert len(set(made)) == 1000
    async with asyncio.timeout(20):
        while (await depot.ledger()).delivered - before.delivered < 1000:
            await asyncio.sleep(0.05)
    assert sorted(int(seen.body) for seen in depot.n8n.seen) == list(range(1000))
    listed, cursor = [], None
    while True:
        page = await depot.app.deliveries.list_deliveries(depot.tenant_id, DeliveryFilter(), limit=300, cursor=cursor)
        listed += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert listed == sorted(made, reverse=True)
