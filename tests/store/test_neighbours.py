"""What one tenant has waiting, or breaks, is no other's trouble; and an answer given once stays given."""

import asyncio

import pytest

from hookvault.errors import ConflictError, NotFoundError
from hookvault.ids import id_time, new_id
from hookvault.webhooks.model import CallRequest
from n8n import Answer

BACKLOG = """
WITH made AS (SELECT gen_random_uuid() AS id, n FROM generate_series(1, $3) n), stored AS (
    INSERT INTO webhook_deliveries (tenant_id, id, accepted_at, webhook_id, payload, ordering_key)
    SELECT $1, id, $4, $2, '1', 'key-' || n FROM made
), counted AS (INSERT INTO delivery_ledger (tenant_id, id, accepted) VALUES ($1, $5, $3))
INSERT INTO delivery_queue (tenant_id, id, accepted_at, webhook_id, ready, due_at, ordering_key)
SELECT $1, id, $4, $2, false, now(), 'key-' || n FROM made
"""


async def delivered(app, tenant_id, delivery_id, seconds=5):
    async with asyncio.timeout(seconds):
        while (await app.deliveries.get_delivery(tenant_id, delivery_id)).delivery.status != "delivered":
            await asyncio.sleep(0.02)


async def test_ten_thousand_ordering_keys_of_one_tenant_hold_up_no_other_s(app, tenant, n8n):
    busy = await app.tenants.create_tenant("Busy")
    webhook = await app.webhooks.create_n8n_webhook(busy.id, "many", webhook_url=n8n.url(), is_active=False)
    await app.webhooks.create_n8n_webhook(tenant.id, "few", webhook_url=n8n.url())
    moment = id_time(new_id())
    async with app.database.system() as tx:
        await tx.execute(BACKLOG, busy.id, webhook.id, 10_000, moment, new_id())
    for number in range(5):
        made = await app.webhooks.enqueue(tenant.id, "few", number, ordering_key="mine")
        await delivered(app, tenant.id, made)
    await app.webhooks.delete_n8n_webhook(busy.id, webhook.id)


async def test_tests_of_a_webhook_do_not_open_its_circuit(app, tenant, n8n):
    n8n.answers["/webhook/broken"] = Answer(500, b"{}")
    webhook = await app.webhooks.create_n8n_webhook(tenant.id, "orders", webhook_url=n8n.url("/webhook/ok"))
    for _ in range(12):
        trial = await app.trials.test(tenant.id, webhook.id, {"webhook_url": n8n.url("/webhook/broken")}, 1)
        assert trial.result.status_code == 500
    await app.circuits.settle()
    assert (await app.webhooks.call_webhook(tenant.id, "orders", 1)).success


async def test_the_answer_to_a_call_outlives_its_webhook(app, tenant, n8n):
    webhook = await app.webhooks.create_n8n_webhook(tenant.id, "orders", webhook_url=n8n.url())
    request = CallRequest(b'{"a":1}', idempotency_key="once")
    first = await app.webhooks.call(tenant.id, "orders", request)
    await app.webhooks.update_n8n_webhook(tenant.id, webhook.id, {"is_active": False})
    assert (await app.webhooks.call(tenant.id, "orders", request)).call_id == first.call_id
    with pytest.raises(ConflictError, match="switched off"):
        await app.webhooks.call(tenant.id, "orders", CallRequest(b'{"a":1}', idempotency_key="another"))
    await app.webhooks.delete_n8n_webhook(tenant.id, webhook.id)
    again = await app.webhooks.call(tenant.id, "orders", request)
    assert (again.call_id, again.replayed) == (first.call_id, True)
    assert len(n8n.seen) == 1


async def test_the_answer_to_a_delivery_outlives_its_webhook(app, tenant, n8n):
    webhook = await app.webhooks.create_n8n_webhook(tenant.id, "orders", webhook_url=n8n.url())
    request = CallRequest(b'{"a":1}', idempotency_key="once")
    first = await app.deliveries.enqueue(tenant.id, "orders", request)
    await delivered(app, tenant.id, first.delivery_id)
    await app.webhooks.delete_n8n_webhook(tenant.id, webhook.id)
    again = await app.deliveries.enqueue(tenant.id, "orders", request)
    assert (again.delivery_id, again.deduplicated) == (first.delivery_id, True)
    with pytest.raises(NotFoundError):
        await app.deliveries.enqueue(tenant.id, "orders", CallRequest(b'{"a":1}', idempotency_key="another"))
    with pytest.raises(ConflictError, match="another request"):
        await app.deliveries.enqueue(tenant.id, "orders", CallRequest(b'{"a":2}', idempotency_key="once"))
