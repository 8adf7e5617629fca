"""A tenant id that is given anew: nothing of the former tenant's deliveries is inherited, shown, or held back."""

import pytest
from depot import Depot

from hookvault.deliveries.model import DeliveryFilter
from hookvault.errors import ConflictError, NotFoundError
from hookvault.webhooks.model import CallRequest


async def remade(depot):
    """The same id, as another tenant."""
    await depot.app.tenants.delete_tenant(depot.tenant_id)
    await depot.app.tenants.create_tenant("Second", tenant_id=depot.tenant_id)
    return Depot(depot.app, depot.tenant_id, depot.n8n)


@pytest.mark.parametrize("how", ["suspended", "switched off"])
async def test_it_does_not_inherit_a_hold(depot, how):
    former = await depot.webhook(is_active=how != "switched off")
    if how == "suspended":
        await depot.app.tenants.update_tenant(depot.tenant_id, {"status": "suspended"})
    held = await depot.send(former)
    again = await remade(depot)
    webhook = await again.webhook(name=former.workflow_name)
    (story,) = await again.ended(await again.send(webhook))
    assert story.delivery.status == "delivered"
    assert len(depot.seen(webhook)) == 1
    with pytest.raises(NotFoundError) as caught:
        await again.story(held)
    assert caught.value.code == "delivery_not_found"


async def test_it_does_not_inherit_idempotency_keys(depot):
    former = await depot.webhook(kind="echo")
    once = {"idempotency_key": "order-7"}
    first = await depot.send(former, **once)
    call = CallRequest(b'"private"', idempotency_key="call-7")
    await depot.app.webhooks.call(depot.tenant_id, former.workflow_name, call)
    await depot.ended(first)
    again = await remade(depot)
    webhook = await again.webhook(name=former.workflow_name)
    assert await again.send(webhook, **once) != first
    result = await depot.app.webhooks.call(depot.tenant_id, webhook.workflow_name, call)
    assert not result.replayed
    assert str(result.call_id) in [seen.headers["webhook-id"] for seen in depot.seen(webhook)]


async def test_it_sees_neither_deliveries_nor_replays_of_the_former_one(depot):
    former = await depot.webhook()
    await depot.ended(await depot.send(former))
    replay = await depot.app.replays.start(depot.tenant_id, DeliveryFilter(("delivered",)))
    again = await remade(depot)
    listed = await depot.app.deliveries.list_deliveries(depot.tenant_id, DeliveryFilter())
    assert listed.items == []
    assert (await depot.app.replays.list_page(depot.tenant_id)).items == []
    for ask in (depot.app.replays.get, depot.app.replays.cancel):
        with pytest.raises((NotFoundError, ConflictError)) as caught:
            await ask(depot.tenant_id, replay.id)
        assert caught.value.code == "replay_not_found"
    assert (await depot.app.replays.preview(again.tenant_id, DeliveryFilter(("delivered",)))).deliveries == 0


async def test_it_does_not_inherit_used_up_limits(depot):
    limit = {"rate_limit": {"calls": 1, "seconds": 86_400}}
    await depot.app.tenants.update_tenant(depot.tenant_id, limit)
    former = await depot.webhook()
    assert (await depot.app.webhooks.call_webhook(depot.tenant_id, former.workflow_name, 1)).success
    again = await remade(depot)
    await depot.app.tenants.update_tenant(depot.tenant_id, limit)
    webhook = await again.webhook()
    assert (await depot.app.webhooks.call_webhook(depot.tenant_id, webhook.workflow_name, 1)).success


async def test_a_deleted_tenant_s_deliveries_stay_readable_and_its_replays_end(depot):
    webhook = await depot.webhook()
    made = await depot.send(webhook)
    await depot.ended(made)
    replay = await depot.app.replays.start(depot.tenant_id, DeliveryFilter(("delivered",)), rate=0.1)
    await depot.app.tenants.delete_tenant(depot.tenant_id)
    assert (await depot.story(made)).delivery.status == "delivered"
    listed = await depot.app.deliveries.list_deliveries(depot.tenant_id, DeliveryFilter())
    assert made in [item.id for item in listed.items]
    with pytest.raises(NotFoundError):
        await depot.app.replays.get(depot.tenant_id, replay.id)
    with pytest.raises(NotFoundError) as caught:
        await depot.app.replays.start(depot.tenant_id, DeliveryFilter(("delivered",)))
    assert caught.value.code == "tenant_not_found"
