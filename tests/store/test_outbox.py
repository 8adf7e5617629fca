"""Deliveries in the application's own transaction: sent if and only if that commits, from Python or by hand in SQL."""

import asyncio
import json
import secrets
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from depot import SOON_S

from hookvault.clock import now
from hookvault.errors import HookvaultError, InvalidError, NotFoundError, TooLargeError
from hookvault.ids import id_time

BY_HAND = "SELECT hookvault_enqueue($1, $2, $3)"
WITH_OPTIONS = "SELECT hookvault_enqueue($1, $2, $3, $4)"


async def test_a_commit_sends_it(depot, outside):
    webhook = await depot.webhook()
    before = await depot.ledger()
    async with outside.transaction():
        await outside.execute("CREATE TEMP TABLE orders (id int)")
        await outside.execute("INSERT INTO orders VALUES (7)")
        made = await depot.app.webhooks.enqueue(
            depot.tenant_id, webhook.workflow_name, {"order": 7}, connection=outside
        )
        await asyncio.sleep(SOON_S)
        assert depot.seen(webhook) == []
    (story,) = await depot.ended(made)
    assert (story.delivery.status, story.delivery.accepted_at) == ("delivered", id_time(made))
    assert made.version == 7
    assert abs(id_time(made) - now()) < timedelta(seconds=30)
    assert [seen.body for seen in depot.seen(webhook)] == [b'{"order":7}']
    assert (await depot.ledger()).accepted - before.accepted == 1


async def test_a_rollback_leaves_nothing(depot, outside, owner):
    webhook = await depot.webhook()
    before = await depot.ledger()
    with pytest.raises(ZeroDivisionError):
        async with outside.transaction():
            await depot.app.webhooks.enqueue(depot.tenant_id, webhook.workflow_name, 1, connection=outside)
            raise ZeroDivisionError
    await asyncio.sleep(SOON_S)
    assert depot.seen(webhook) == []
    assert await owner("SELECT 1 FROM webhook_deliveries WHERE tenant_id = $1", depot.tenant_id) == []
    assert await depot.ledger() == before


async def test_one_half_of_a_transaction_may_be_taken_back(depot, outside):
    webhook = await depot.webhook()
    async with outside.transaction():
        kept = await outside.fetchval(BY_HAND, depot.tenant_id, webhook.workflow_name, '"kept"')
        with pytest.raises(ZeroDivisionError):
            async with outside.transaction():
                await outside.fetchval(BY_HAND, depot.tenant_id, webhook.workflow_name, '"not"')
                raise ZeroDivisionError
    await depot.ended(kept)
    await asyncio.sleep(SOON_S)
    assert [seen.body for seen in depot.seen(webhook)] == [b'"kept"']


async def test_every_option_is_kept(depot, outside):
    webhook = await depot.webhook(is_active=False)
    limit = now() + timedelta(hours=1)
    options = {
        "triggered_by": "orders",
        "metadata": {"n": 1, "text": "ü"},
        "timeout_ms": 5000,
        "max_retries": 0,
        "ordering_key": "order 7",
        "deliver_before": limit,
    }
    async with outside.transaction():
        name = webhook.workflow_name
        made = await depot.app.webhooks.enqueue(depot.tenant_id, name, {"ü": 1}, connection=outside, **options)
    story = await depot.becomes(made, "held")
    delivery = story.delivery
    assert (delivery.triggered_by, delivery.ordering_key, delivery.deliver_before) == ("orders", "order 7", limit)
    assert story.metadata == options["metadata"]
    assert story.payload == '{"ü":1}'.encode()
    (row,) = await outside.fetch("SELECT timeout_ms, max_retries FROM webhook_deliveries WHERE id = $1", made)
    assert tuple(row) == (5000, 0)
    await depot.change(webhook, is_active=True)
    assert [story.delivery.status for story in await depot.ended(made)] == ["delivered"]


@pytest.mark.parametrize("payload", ["null", ' {"a" : 1e400} ', '"\\u0000"', '["\\ud800"]', '{"a":1,"a":2}', '"ü😀"'])
async def test_by_hand_a_payload_is_any_json_text_and_stays_as_it_is(depot, outside, payload):
    webhook = await depot.webhook()
    made = await outside.fetchval(BY_HAND, depot.tenant_id, webhook.workflow_name, payload)
    await depot.ended(made)
    assert [seen.body for seen in depot.seen(webhook)] == [payload.encode()]


async def refused(depot, outside, kind, code, name=None, tenant_id=None, payload=1, **options):
    """The error of one that can't be; the caller's own transaction can go on from a savepoint."""
    before = await depot.ledger()
    async with outside.transaction():
        with pytest.raises(HookvaultError) as caught:
            async with outside.transaction():
                await depot.app.webhooks.enqueue(
                    tenant_id or depot.tenant_id, name, payload, connection=outside, **options
                )
        assert await outside.fetchval("SELECT 1") == 1
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert caught.value.message
    assert await depot.ledger() == before
    return caught.value


async def test_errors_have_the_classes_and_codes_of_every_other_way(depot, outside):
    webhook = await depot.webhook()
    name = webhook.workflow_name
    await refused(depot, outside, NotFoundError, "webhook_not_found", "nothing")
    await refused(depot, outside, NotFoundError, "tenant_not_found", name, "nobody")
    past = now() - timedelta(seconds=1)
    await refused(depot, outside, InvalidError, "deliver_before_passed", name, deliver_before=past)
    await refused(depot, outside, InvalidError, "invalid_input", name, ordering_key="x" * 201)
    await refused(depot, outside, InvalidError, "invalid_input", name, timeout_ms=0)
    await refused(depot, outside, InvalidError, "invalid_input", name, max_retries=11)
    await refused(depot, outside, InvalidError, "invalid_input", name, idempotency_key="once")
    await refused(depot, outside, InvalidError, "invalid_payload", name, payload=float("nan"))
    await refused(depot, outside, TooLargeError, "payload_too_large", name, payload="x" * 1_048_576)
    deep = []
    for _ in range(70):
        deep = [deep]
    await refused(depot, outside, TooLargeError, "too_deep", name, payload=deep)


@pytest.mark.parametrize("options", [{"metadata": {"nul": "a\0b"}}, {"triggered_by": "a\0b"}])
async def test_what_the_database_can_not_hold_is_told_or_replaced_as_everywhere(depot, outside, options):
    webhook = await depot.webhook()
    async with outside.transaction():
        if "triggered_by" in options:
            await refused(depot, outside, InvalidError, "invalid_input", webhook.workflow_name, **options)
        else:
            made = await depot.app.webhooks.enqueue(
                depot.tenant_id, webhook.workflow_name, 1, connection=outside, **options
            )
    if "metadata" in options:
        (story,) = await depot.ended(made)
        assert story.metadata == {"nul": "a\ufffdb"}


@pytest.mark.parametrize(
    ("payload", "options", "says"),
    [
        ("1", {"surprise": 1}, "invalid_input: There is no option surprise"),
        ("1", {"orderingKey": ""}, "invalid_input: orderingKey"),
        ("1", {"deliverBefore": "2001-01-01T00:00:00Z"}, "deliver_before_passed"),
        ("1", {"timeoutMs": 120_001}, "invalid_input: timeoutMs"),
        ("1", {"maxRetries": -1}, "invalid_input: maxRetries"),
        ('"' + "x" * 16_777_216 + '"', {}, "payload_too_large"),
        ("{", {}, "invalid_input: The payload is not JSON"),
        ("", {}, "invalid_input: The payload is not JSON"),
        ("[" * 100_000, {}, "invalid_input: The payload is not JSON"),
        (None, {}, "invalid_input: A delivery needs a payload"),
        ("1", [1], "invalid_input: A delivery needs a payload, and its options are a JSON object"),
        ("1", {"deliverBefore": "someday"}, "invalid_input: deliverBefore"),
        ("1", {"deliverBefore": "infinity"}, "invalid_input: deliverBefore"),
        ("1", {"deliverBefore": "20000-01-01T00:00:00Z"}, "invalid_input: deliverBefore"),
        ("1", {"deliverBefore": "9999-01-01T00:00:00Z"}, "invalid_input: deliverBefore must be within ten years"),
        ("1", {"deliverBefore": "2031-99-01T00:00:00Z"}, "invalid_input"),
        ("1", {"timeoutMs": "x"}, "invalid_input: timeoutMs"),
        ("1", {"metadata": [1]}, "invalid_input: metadata"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_by_hand_errors_begin_with_a_code(depot, outside, payload, options, says):
    webhook = await depot.webhook()
    before = await depot.ledger()
    with pytest.raises(asyncpg.PostgresError, match=says):
        await outside.fetchval(WITH_OPTIONS, depot.tenant_id, webhook.workflow_name, payload, json.dumps(options))
    assert await depot.ledger() == before


@pytest.mark.parametrize("other", ["another-tenant", None])
async def test_the_transaction_s_own_tenant_is_what_it_was(depot, outside, other):
    """An application that sets the same setting for its own row-level security must not lose it."""
    webhook = await depot.webhook()
    async with outside.transaction():
        if other:
            await outside.execute("SELECT set_config('app.tenant_id', $1, true)", other)
        made = await outside.fetchval(BY_HAND, depot.tenant_id, webhook.workflow_name, "1")
        assert await outside.fetchval("SELECT current_setting('app.tenant_id', true)") == (other or "")
        with pytest.raises(asyncpg.RaiseError):
            async with outside.transaction():
                await outside.fetchval(BY_HAND, "nobody", webhook.workflow_name, "1")
        assert await outside.fetchval("SELECT current_setting('app.tenant_id', true)") == (other or "")
    await depot.ended(made)


async def test_a_role_with_execute_alone_can_send_and_nothing_else(depot, outside):
    webhook = await depot.webhook()
    role = f"shop_{secrets.token_hex(4)}"
    signature = "hookvault_enqueue(text, text, text, jsonb)"
    await outside.execute(f"CREATE ROLE {role} NOLOGIN")
    try:
        async with outside.transaction():
            await outside.execute(f"SET LOCAL ROLE {role}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with outside.transaction():
                    await outside.fetchval(BY_HAND, depot.tenant_id, webhook.workflow_name, "1")
        await outside.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO {role}")
        async with outside.transaction():
            await outside.execute(f"SET LOCAL ROLE {role}")
            made = await outside.fetchval(BY_HAND, depot.tenant_id, webhook.workflow_name, "1")
            for table in ("webhook_deliveries", "delivery_queue", "n8n_webhooks", "tenants", "delivery_ledger"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with outside.transaction():
                        await outside.execute("SELECT set_config('app.tenant_id', $1, true)", depot.tenant_id)
                        await outside.fetch(f"SELECT * FROM {table}")
        assert [story.delivery.status for story in await depot.ended(made)] == ["delivered"]
    finally:
        await outside.execute(f"DROP OWNED BY {role}")
        await outside.execute(f"DROP ROLE {role}")


async def test_no_search_path_leads_the_function_astray(depot, outside):
    webhook = await depot.webhook()
    async with outside.transaction():
        await outside.execute("CREATE TEMP TABLE delivery_queue (mine int)")
        await outside.execute("SET LOCAL search_path = pg_temp, public")
        made = await outside.fetchval(
            "SELECT public.hookvault_enqueue($1, $2, '1')", depot.tenant_id, webhook.workflow_name
        )
    await outside.execute("DROP TABLE pg_temp.delivery_queue")
    assert [story.delivery.status for story in await depot.ended(made)] == ["delivered"]


async def test_ids_made_by_the_database_are_in_order_and_of_this_moment(outside):
    made = [await outside.fetchval("SELECT hookvault_new_id()") for _ in range(50)]
    assert all(one.version == 7 and one.variant == "specified in RFC 4122" for one in made)
    assert len(set(made)) == 50
    times = [id_time(one) for one in made]
    assert times == sorted(times)
    assert await outside.fetchval("SELECT hookvault_id_time($1)", made[0]) == times[0]
    assert abs(datetime.now(UTC) - times[-1]) < timedelta(seconds=10)
