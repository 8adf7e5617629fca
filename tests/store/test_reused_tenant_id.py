"""A tenant id that is given anew: nothing of the former tenant's binds, feeds or shows itself to the new one."""

import asyncio

import pytest

from hookvault.deliveries.model import DeliveryFilter
from hookvault.errors import NotFoundError
from hookvault.webhooks.model import CallRequest


async def ended(app, tenant_id, delivery_id):
    async with asyncio.timeout(30):
        while True:
            story = await app.deliveries.get_delivery(tenant_id, delivery_id)
            if story.delivery.status in ("delivered", "failed", "expired"):
                return story
            await asyncio.sleep(0.02)


async def test_nothing_is_inherited(app, tenant, n8n):
    url = n8n.url("/webhook/ok")
    webhook = await app.webhooks.create_n8n_webhook(tenant.id, "orders", webhook_url=url)
    request = CallRequest(b'{"order":1}', idempotency_key="order-1")
    old = (await app.deliveries.enqueue(tenant.id, "orders", request)).delivery_id
    await ended(app, tenant.id, old)
    called = await app.webhooks.call(tenant.id, "orders", CallRequest(b"1", idempotency_key="call-1"))
    which = DeliveryFilter(status=("delivered",))
    replay = await app.replays.start(tenant.id, which, rate=0.1)
    await app.tenants.update_tenant(tenant.id, {"status": "suspended", "rate_limit": {"calls": 1, "seconds": 3600}})
    held = await app.webhooks.enqueue(tenant.id, "orders", {"order": 2})
    await app.tenants.delete_tenant(tenant.id)
    assert (await app.deliveries.get_delivery(tenant.id, held)).delivery.error_code == "webhook_deleted"

    await app.tenants.create_tenant("Somebody else", tenant_id=tenant.id)
    await app.webhooks.create_n8n_webhook(tenant.id, "orders", webhook_url=url)
    seen = len(n8n.seen)
    fresh = await app.deliveries.enqueue(tenant.id, "orders", request)
    assert (fresh.deduplicated, fresh.delivery_id == old) == (False, False)
    assert (await ended(app, tenant.id, fresh.delivery_id)).delivery.status == "delivered"
    again = await app.webhooks.call(tenant.id, "orders", CallRequest(b"1", idempotency_key="call-1"))
    assert (again.replayed, again.call_id == called.call_id) == (False, False)
    assert len(n8n.seen) == seen + 2
    for gone in (old, held):
        with pytest.raises(NotFoundError):
            await app.deliveries.get_delivery(tenant.id, gone)
    with pytest.raises(NotFoundError):
        await app.replays.get(tenant.id, replay.id)
    page = await app.deliveries.list_deliveries(tenant.id, DeliveryFilter())
    assert [item.id for item in page.items] == [fresh.delivery_id]
    assert webhook.id not in {item.webhook_id for item in page.items}
