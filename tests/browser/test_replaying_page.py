"""What failed is made again: one delivery from its own page, many by a filter that is counted first."""

import asyncio

import pytest
from playwright.async_api import expect

from hookvault.webhooks.model import CallRequest
from n8n import Answer
from witness import PATIENCE_MS

expect.set_options(timeout=PATIENCE_MS)
REFUSES = Answer(400, b'{"message":"No such order"}')


@pytest.fixture
async def shop(scene):
    """A tenant with a webhook that refuses."""
    tenant = await scene.tenant()
    await scene.webhook(tenant, "order-paid", f"/webhook/ok/{tenant.id}")
    scene.n8n.answers[_path(tenant)] = REFUSES
    return tenant


def _path(tenant):
    return f"/webhook/ok/{tenant.id}"


async def _fail(scene, tenant, payload):
    """Accepts a delivery and waits until it has failed; its id."""
    request = CallRequest(payload)
    made = (await scene.app.deliveries.enqueue(tenant.id, "order-paid", request)).delivery_id
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while (await scene.app.deliveries.get_delivery(tenant.id, made)).delivery.status != "failed":
            await asyncio.sleep(0.02)
    return made


async def test_a_failed_delivery_is_seen_and_made_again(page, scene, shop):
    await _fail(scene, shop, b'{"order": 42}')
    await scene.enter(page, "owner", "/deliveries")
    await page.get_by_label("Tenant", exact=True).select_option(shop.id)
    await page.get_by_role("button", name="Show its deliveries").click()
    row = page.get_by_role("row").filter(has_text="order-paid")
    await expect(row).to_contain_text("Failed")
    await row.get_by_role("link").click()
    drawer = page.get_by_role("dialog", name="Details")
    await expect(drawer).to_contain_text('"order": 42')
    scene.n8n.answers.pop(_path(shop))
    await drawer.get_by_role("link", name="Replay").click()
    dialog = page.get_by_role("dialog", name="Dialog")
    await expect(dialog).to_contain_text("This has effects")
    await dialog.get_by_role("button", name="Replay").click()
    await expect(page.get_by_role("status").filter(has_text="This is the new delivery.")).to_be_visible()
    await expect(page.get_by_text("Replay of")).to_be_visible()
    await _delivered(page)
    assert [seen.body for seen in scene.n8n.seen if seen.path == _path(shop)] == [b'{"order": 42}'] * 2
    await page.get_by_role("link", name="Attempt 1").click()
    await expect(drawer).to_contain_text("Workflow was started")


async def _delivered(page):
    """Looks again until the delivery has arrived."""
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while not await page.get_by_role("main").get_by_text("Delivered", exact=True).count():
            await page.reload()


async def test_many_are_counted_then_made_again_and_watched_to_the_end(page, scene, shop):
    for number in range(3):
        await _fail(scene, shop, b'{"order": %d}' % number)
    await scene.enter(page, "owner", f"/deliveries?tenantId={shop.id}&status=failed")
    await page.get_by_role("link", name="Replay these").click()
    await expect(page.get_by_role("checkbox", name="Failed")).to_be_checked()
    await page.get_by_label("Error code").fill("http_503")
    await page.get_by_role("button", name="Count", exact=True).click()
    await expect(page.get_by_role("status").filter(has_text="Nothing would be made again")).to_be_visible()
    await page.get_by_label("Error code").fill("")
    await page.get_by_label("Deliveries a second, at most").fill("1")
    await page.get_by_role("button", name="Count again").click()
    await expect(page.get_by_role("status").filter(has_text="would be made again")).to_contain_text("3 deliveries")
    assert len([seen for seen in scene.n8n.seen if seen.path == _path(shop)]) == 3
    scene.n8n.answers.pop(_path(shop))
    await page.get_by_role("button", name="Replay 3 deliveries").click()
    past = page.get_by_role("region", name="Replays so far")
    await expect(past.get_by_role("progressbar")).to_be_visible()
    await expect(past.get_by_role("button", name="Stop")).to_be_visible()
    await expect(past).to_contain_text("Finished")
    await expect(past).to_contain_text("3 of 3")
    await expect(past.get_by_role("progressbar")).to_have_count(0)
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while len([seen for seen in scene.n8n.seen if seen.path == _path(shop)]) < 6:
            await asyncio.sleep(0.02)
