"""What a webhook's policy keeps out of records is nowhere in the database, and is sent all the same."""

import asyncio
import json

import pytest
from depot import until

from hookvault.analytics.service import OutsideCall
from hookvault.deliveries.model import DeliveryFilter
from hookvault.errors import ConflictError
from hookvault.webhooks.model import CallRequest
from hookvault.webhooks.redact import HIDDEN
from n8n import Answer

TABLES = ("webhook_analytics", "webhook_deliveries", "idempotency_keys", "audit_events", "delivery_queue")
POLICY = {"redactPaths": ["$.card.number", "$.items[*].email", "$..password"]}


def card():
    """A number that is nowhere else; its digits only, as a search sees it."""
    card.last += 1
    return f"411111{card.last:010}"


card.last = 0


def mirror(seen):
    """Answers with what was asked, as a structure."""
    return Answer(body=seen.body)


def payload(number):
    return json.dumps(
        {"card": {"number": number}, "items": [{"email": number}], "n": 1, "x": [{"password": number}]}
    ).encode()


REDACTED = {"card": {"number": HIDDEN}, "items": [{"email": HIDDEN}], "n": 1, "x": [{"password": HIDDEN}]}


@pytest.fixture
def found(owner):
    """In which tables a text stands, in any row."""

    async def find(text):
        places = []
        for table in TABLES:
            rows = await owner(f"SELECT row_to_json(t)::text FROM {table} t")
            hexed = text.encode().hex()  # bytea
            places += [table for (row,) in rows if text in row or hexed in row]
        return places

    return find


async def call(depot, webhook, number, **options):
    return await depot.app.webhooks.call(
        depot.tenant_id, webhook.workflow_name, CallRequest(payload(number), **options)
    )


async def recorded(depot, webhook):
    return (await depot.app.analytics.get_webhook_analytics(depot.tenant_id, webhook.id))[0]


async def test_a_call_is_sent_whole_and_kept_without(depot, found):
    number = card()
    webhook = await depot.webhook(policy=POLICY)
    depot.answers(webhook, mirror)
    result = await call(depot, webhook, number, metadata={"password": number, "order": 7})
    assert depot.seen(webhook)[0].body == payload(number)
    assert json.loads(result.response_body) == json.loads(payload(number))  # whoever called sees the whole answer
    kept = await recorded(depot, webhook)
    assert (kept.request_payload, kept.response_body, kept.altered) == (REDACTED, REDACTED, True)
    assert kept.metadata == {"password": HIDDEN, "order": 7}
    assert await found(number) == []


async def test_without_a_policy_it_is_there(depot, found):
    """What this file looks for is found where it is."""
    number = card()
    webhook = await depot.webhook()
    depot.answers(webhook, mirror)
    await call(depot, webhook, number, idempotency_key="k")
    await depot.ended(await depot.send(webhook, payload(number)))
    assert set(await found(number)) == {"webhook_analytics", "idempotency_keys", "webhook_deliveries"}
    assert (await recorded(depot, webhook)).altered is False


async def test_metadata_only(depot, found):
    number = card()
    webhook = await depot.webhook(policy={"keepPayloads": False})
    depot.answers(webhook, mirror)
    await call(depot, webhook, number, metadata={"a": number}, triggered_by="shop", idempotency_key="k")
    kept = await recorded(depot, webhook)
    assert (kept.request_payload, kept.response_body, kept.metadata) == (None, None, None)
    assert (kept.status_code, kept.success, kept.triggered_by, kept.altered) == (200, True, "shop", True)
    await depot.ended(await depot.send(webhook, payload(number), metadata={"a": number}))
    assert await found(number) == []


async def test_the_answer_kept_for_a_repetition_is_without_it_too(depot, found):
    number = card()
    webhook = await depot.webhook(policy=POLICY)
    depot.answers(webhook, mirror)
    first = await call(depot, webhook, number, idempotency_key="once")
    again = await call(depot, webhook, number, idempotency_key="once")
    assert (again.replayed, again.call_id) == (True, first.call_id)
    assert json.loads(again.response_body) == REDACTED
    assert len(depot.seen(webhook)) == 1
    assert await found(number) == []


async def test_a_cut_answer_shows_nothing_of_what_it_would_hide(depot, found):
    number = card()
    webhook = await depot.webhook(policy=POLICY)
    depot.answers(webhook, Answer(body=payload(number)[:-1] + b'," ":"' + b"x" * 70_000 + b'"}'))
    await call(depot, webhook, 1)
    assert (await recorded(depot, webhook)).response_body == HIDDEN
    assert await found(number) == []


async def test_what_is_delivered_leaves_with_its_end(depot, found):
    number = card()
    webhook = await depot.webhook(policy=POLICY)
    depot.answers(webhook, mirror)
    (story,) = await depot.ended(await depot.send(webhook, payload(number), metadata={"password": number}))
    assert depot.seen(webhook)[0].body == payload(number)
    assert json.loads(story.payload) == REDACTED
    assert story.hidden
    assert story.metadata == {"password": HIDDEN}
    assert story.delivery.expunged_at is not None
    kept = await recorded(depot, webhook)
    assert (kept.request_payload, kept.metadata, kept.altered) == (REDACTED, {"password": HIDDEN}, True)
    assert await found(number) == []
    with pytest.raises(ConflictError) as caught:
        await depot.app.replays.replay(depot.tenant_id, story.delivery.id)
    assert caught.value.code == "payload_expunged"


async def test_a_payload_with_nothing_to_hide_is_kept_and_can_be_sent_again(depot):
    webhook = await depot.webhook(policy=POLICY)
    (story,) = await depot.ended(await depot.send(webhook, b'{"n" : 1}'))
    assert (story.payload, story.hidden, story.delivery.expunged_at) == (b'{"n" : 1}', False, None)
    again = await depot.app.replays.replay(depot.tenant_id, story.delivery.id)
    await depot.ended(again)
    assert [seen.body for seen in depot.seen(webhook)] == [b'{"n" : 1}'] * 2


async def test_what_failed_is_kept_whole_for_a_replay_and_never_shown(depot, owner):
    number = card()
    webhook = await depot.webhook(policy=POLICY)
    depot.answers(webhook, Answer(400))
    (story,) = await depot.ended(await depot.send(webhook, payload(number), metadata={"password": number}))
    assert json.loads(story.payload) == REDACTED
    assert story.metadata == {"password": HIDDEN}
    assert number not in str(await recorded(depot, webhook))
    await depot.change(webhook, policy=None)  # what was sent under the policy stays under it
    again = await depot.story(story.delivery.id)
    assert (json.loads(again.payload), again.metadata) == (REDACTED, {"password": HIDDEN})
    assert number not in str(await recorded(depot, webhook))
    depot.answers(webhook, Answer())
    await depot.ended(await depot.app.replays.replay(depot.tenant_id, story.delivery.id))
    assert depot.seen(webhook)[-1].body == payload(number)


async def test_what_waits_is_not_shown_either_and_a_deleted_tenant_s_neither(depot):
    number = card()
    webhook = await depot.webhook(policy=POLICY, is_active=False)
    held = await depot.send(webhook, payload(number))
    story = await depot.story(held)
    assert (story.delivery.status, json.loads(story.payload)) == ("held", REDACTED)
    await depot.app.tenants.delete_tenant(depot.tenant_id)
    story = await depot.becomes(held, "failed")
    assert json.loads(story.payload) == REDACTED


async def test_replays_by_filter_pass_over_what_is_gone(depot):
    webhook = await depot.webhook(policy={"keepPayloads": False})
    await depot.ended(await depot.send(webhook, payload(card())))
    depot.answers(webhook, Answer(400))
    (failed,) = await depot.ended(await depot.send(webhook, payload(card())))
    which = depot.app.replays
    from_all = {"status": ("delivered", "failed")}
    preview = await which.preview(depot.tenant_id, DeliveryFilter(**from_all))
    assert preview.deliveries == 1
    depot.answers(webhook, Answer())
    replay = await which.start(depot.tenant_id, DeliveryFilter(**from_all))
    await until(lambda: len(depot.seen(webhook)) == 3)
    assert replay.total == 1
    async with asyncio.timeout(30):
        while (await depot.statuses())["pending"]:
            await asyncio.sleep(0.01)
    assert await depot.statuses() == {"delivered": 2, "failed": 1}
    assert failed.delivery.expunged_at is None


async def test_a_test_call_and_a_dry_run(depot, found):
    number = card()
    webhook = await depot.webhook()
    depot.answers(webhook, mirror)
    body = json.loads(payload(number))
    trial = await depot.app.trials.test(depot.tenant_id, webhook.id, {"policy": POLICY}, body)
    assert trial.result.success
    kept = await recorded(depot, webhook)
    assert (kept.request_payload, kept.triggered_by) == (REDACTED, "test")
    fields = {"workflow_name": "draft", "webhook_url": webhook.webhook_url, "policy": POLICY}
    dry = await depot.app.trials.dry_run(depot.tenant_id, fields, body, call=True)
    assert dry.result.success
    assert await found(number) == []


async def test_a_call_made_elsewhere_follows_the_policy(depot, found):
    number = card()
    webhook = await depot.webhook(policy=POLICY)
    body = json.loads(payload(number))
    call = OutsideCall(webhook.id, success=True, response_time=1, request_payload=body, response_body=body)
    kept = await depot.app.analytics.create_webhook_analytics(depot.tenant_id, call)
    assert (kept.request_payload, kept.response_body, kept.altered) == (REDACTED, REDACTED, True)
    assert kept == await depot.app.analytics.get_call(depot.tenant_id, kept.id)
    assert await found(number) == []


@pytest.mark.parametrize("how", ["call", "delivery"])
async def test_what_is_under_way_follows_a_policy_that_another_process_changed_meanwhile(depot, second, found, how):
    number = card()
    webhook = await depot.webhook()
    answered = asyncio.Event()
    depot.answers(webhook, lambda seen: Answer(body=seen.body, when=answered))
    if how == "call":
        under_way = asyncio.create_task(call(depot, webhook, number, idempotency_key="k", timeout_ms=20_000))
    else:
        delivery = await depot.send(webhook, payload(number), timeout_ms=20_000)
    await until(lambda: depot.seen(webhook))
    changed = depot.app.webhooks._endpoints._changed
    before = changed[depot.tenant_id]
    await second.webhooks.update_n8n_webhook(depot.tenant_id, webhook.id, {"policy": POLICY})
    await until(lambda: changed[depot.tenant_id] > before)
    answered.set()
    if how == "call":
        assert (await under_way).success
    else:
        await depot.becomes(delivery, "delivered")
    assert (await recorded(depot, webhook)).request_payload == REDACTED
    assert await found(number) == []
