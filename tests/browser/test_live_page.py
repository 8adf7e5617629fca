"""The live tail in a browser: switched on it shows what is called meanwhile, under the filters that are set."""

import pytest
from playwright.async_api import expect

from witness import PATIENCE_MS

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
async def shop(scene):
    """A tenant with a webhook that works and one that does not."""
    tenant = await scene.tenant()
    await scene.webhook(tenant, "works")
    await scene.webhook(tenant, "fails", "/webhook/json404")
    return tenant


def rows(page, text):
    return page.locator("#rows").get_by_role("row").filter(has_text=text)


async def test_it_shows_what_is_called_meanwhile_and_nothing_once_it_is_off(page, scene, shop):
    call = scene.app.webhooks.call_webhook
    await scene.enter(page, "viewer", f"/calls?tenantId={shop.id}")
    tail = page.get_by_role("switch", name="Live tail")
    state = page.locator("[data-live-state]")
    await tail.click()
    await expect(tail).to_be_checked()
    await expect(state).to_have_text("Live")
    await call(shop.id, "works", 1)
    await expect(rows(page, "works")).to_have_count(1)
    row = rows(page, "works")
    await row.get_by_role("link").click()
    await expect(page.get_by_role("dialog").get_by_role("heading", name="works")).to_be_visible()
    await page.keyboard.press("Escape")
    await tail.click()
    await expect(tail).not_to_be_checked()
    await expect(state).to_have_text("Off")
    await call(shop.id, "works", 2)
    await tail.click()  # what came in between stays unseen, what comes now does not
    await expect(state).to_have_text("Live")
    await call(shop.id, "fails", 3)
    await expect(rows(page, "fails")).to_have_count(1)
    await expect(rows(page, "works")).to_have_count(1)
    await page.reload()
    await expect(rows(page, "works")).to_have_count(2)
    await expect(tail).not_to_be_checked()


async def test_its_filters_hold_also_where_they_change_while_it_runs(page, scene, shop):
    other = await scene.tenant("Red Shop")
    await scene.webhook(other, "foreign")
    call = scene.app.webhooks.call_webhook
    await scene.enter(page, "viewer", f"/calls?tenantId={shop.id}")
    await page.get_by_role("switch", name="Live tail").click()
    state = page.locator("[data-live-state]")
    await expect(state).to_have_text("Live")
    async with page.expect_response(lambda answer: "/calls/live" in answer.url and "status=" in answer.url):
        await page.get_by_role("group", name="Result").get_by_text("Failed").click()
    await page.wait_for_url("**status=failed**")
    await expect(page.get_by_role("switch", name="Live tail")).to_be_checked()
    await expect(state).to_have_text("Live")
    await call(other.id, "foreign", 1)
    await call(shop.id, "works", 2)
    await call(shop.id, "fails", 3)
    await expect(rows(page, "fails")).to_have_count(1)
    assert await rows(page, "foreign").count() == await rows(page, "works").count() == 0


async def test_filters_stay_in_the_address_and_over_a_reload(page, scene, shop):
    call = scene.app.webhooks.call_webhook
    await call(shop.id, "works", 1)
    await call(shop.id, "fails", 2)
    await scene.enter(page, "viewer", "/calls")
    await page.get_by_label("Tenant", exact=True).select_option(shop.id)
    await page.get_by_label("Webhook", exact=True).wait_for()
    await page.get_by_role("group", name="Result").get_by_text("Failed").click()
    await page.get_by_role("group", name="Time").get_by_text("24h").click()
    await expect(rows(page, "works")).to_have_count(0)
    await page.wait_for_url("**range=24h**")
    await page.reload()
    await expect(rows(page, "fails")).to_have_count(1)
    await expect(rows(page, "works")).to_have_count(0)
    await expect(page.get_by_label("Tenant", exact=True)).to_have_value(shop.id)
    await expect(page.get_by_role("radio", name="Failed")).to_be_checked()
    await expect(page.get_by_role("radio", name="24h")).to_be_checked()
    await page.get_by_role("link", name="Clear filters").click()
    await page.wait_for_url("**/calls")
