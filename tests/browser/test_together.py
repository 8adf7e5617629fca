"""Several at once: two who change the same, what somebody else deleted meanwhile, a session that ends over a form."""

import secrets
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import expect

from canary import planted
from witness import PATIENCE_MS, watched

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
async def shop(scene):
    return await scene.tenant()


@pytest.fixture
def beside(browser, scene):
    """Opens the same page for another admin, in a browser of that admin's own."""

    @asynccontextmanager
    async def opened(path, role="admin"):
        async with watched(browser) as other:
            await scene.enter(other, role, path)
            yield other

    return opened


async def _end_sessions(page, scene, who):
    """Once the page has all its figures: one that comes later would be told to sign in before anything is clicked."""
    waits = page.locator(".waiting, .waits").or_(page.get_by_text("…", exact=True))
    await expect(waits).to_have_count(0)
    async with scene.app.database.system() as tx:
        await tx.execute("DELETE FROM user_sessions WHERE user_id = $1", who.id)


async def test_the_second_who_saves_a_webhook_is_told_and_keeps_what_was_typed(page, scene, shop, beside):
    page.witness.expect("412")
    secret = planted("second")
    await scene.webhook(shop, "order-paid", auth_type="bearer", auth_token=planted("first"))
    path = f"/tenants/{shop.id}/integrations"
    await scene.enter(page, "owner", path)
    await page.get_by_role("link", name="Edit order-paid").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Description").fill("Mine")
    await dialog.get_by_label("Token").fill(secret)
    async with beside(path) as other:
        await other.get_by_role("link", name="Edit order-paid").click()
        await other.get_by_role("dialog").get_by_label("Description").fill("Theirs")
        await other.get_by_role("dialog").get_by_role("button", name="Save").click()
        await expect(other.get_by_text("order-paid is saved.")).to_be_visible()
    await dialog.get_by_role("button", name="Save").click()
    row = dialog.get_by_role("row").filter(has_text="Description")
    await expect(row).to_contain_text("Theirs")
    await expect(dialog.get_by_role("alert").first).to_be_visible()
    await expect(dialog.get_by_label("Description")).to_have_value("Mine")
    await expect(dialog.get_by_label("Token")).to_have_value(secret)
    assert await _description(scene, shop) == "Theirs"
    await dialog.get_by_role("button", name="Save again").click()
    await expect(page.get_by_text("order-paid is saved.")).to_be_visible()
    assert await _description(scene, shop) == "Mine"


async def _description(scene, tenant):
    (stored,) = await scene.app.webhooks.get_n8n_webhooks_by_tenant(tenant.id)
    return stored.description


async def test_the_second_who_saves_an_integration_is_told_and_keeps_what_was_typed(page, scene, shop, beside):
    page.witness.expect("412")
    sms = {
        "provider": "vonage",
        "apiKey": "0a1b2c3d",
        "apiSecret": planted("sms")[:32],
        "phoneNumber": "+4915112345678",
    }
    await scene.app.integrations.create_tenant_integration(shop.id, sms_config=sms)
    path, secret = f"/tenants/{shop.id}/integrations", planted("new")[:32]
    await scene.enter(page, "owner", path)
    await page.get_by_role("link", name="Edit SMS").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("API secret").fill(secret)
    await dialog.get_by_label("Phone number or sender").fill("+4915111111111")
    async with beside(path) as other:
        await other.get_by_role("link", name="Edit SMS").click()
        await other.get_by_role("dialog").get_by_label("Phone number or sender").fill("+4915122222222")
        await other.get_by_role("dialog").get_by_role("button", name="Save").click()
        await expect(other.get_by_text("SMS is saved.")).to_be_visible()
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("Another admin changed this integration meanwhile")
    await expect(dialog.get_by_label("Phone number or sender")).to_have_value("+4915111111111")
    await expect(dialog.get_by_label("API secret")).to_have_value(secret)
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("SMS is saved.")).to_be_visible()
    await expect(page.get_by_role("article", name="SMS")).to_contain_text("+4915111111111")


async def test_the_second_who_saves_a_tenants_settings_sees_what_is_set_now(page, scene, shop, beside):
    page.witness.expect("412")
    path = f"/tenants/{shop.id}/settings"
    await scene.enter(page, "owner", path)
    await page.get_by_label("Name", exact=True).fill("My name")
    async with beside(path) as other:
        await other.get_by_label("Name", exact=True).fill("Their name")
        await other.get_by_role("button", name="Save").click()
        await expect(other.get_by_text("Saved.")).to_be_visible()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("Another admin changed this tenant meanwhile")
    await expect(page.get_by_text("Now set: Their name")).to_be_visible()
    await expect(page.get_by_label("Name", exact=True)).to_have_value("My name")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", name="My name")).to_be_visible()


async def test_what_was_deleted_meanwhile_is_a_notice_and_a_page(page, scene, shop):
    page.witness.expect("404")
    await scene.webhook(shop, "order-paid")
    path = f"/tenants/{shop.id}/integrations"
    await scene.enter(page, "owner", path)
    await page.get_by_role("link", name="Edit order-paid").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Description").fill("Too late")
    tab = await page.context.new_page()
    tab.set_default_timeout(PATIENCE_MS)
    await tab.goto(f"{scene.base}/tenants/{shop.id}/settings")
    await tab.get_by_role("link", name="Delete tenant").click()
    await tab.get_by_role("dialog").get_by_label("to confirm").fill("Blue Shop")
    await tab.get_by_role("dialog").get_by_role("button", name="Delete tenant").click()
    await tab.wait_for_url("**/tenants")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text(shop.id)
    await expect(dialog.get_by_label("Description")).to_have_value("Too late")
    await dialog.get_by_role("button", name="Dismiss").click()
    await expect(page.get_by_role("alert")).to_have_count(0)
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_have_count(1)
    await dialog.get_by_role("button", name="Cancel").click()
    await page.get_by_role("switch", name="Enable order-paid").click()
    await expect(page.get_by_role("alert")).to_have_count(2)
    await page.reload()
    await expect(page.get_by_role("heading", name="Not Found")).to_be_visible()
    await expect(page.get_by_role("main")).to_contain_text(shop.id)
    await page.get_by_role("link", name="To the overview").click()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()


async def test_a_session_that_ends_over_a_form_loses_nothing_of_it(page, scene, shop):
    page.witness.expect("401")
    secret = planted("typed")
    await scene.webhook(shop, "order-paid", auth_type="bearer", auth_token=planted("stored"))
    who = await scene.enter(page, "owner", f"/tenants/{shop.id}/integrations")
    await page.get_by_role("link", name="Edit order-paid").click()
    form = page.locator("#dialog")
    await form.get_by_label("Description").fill("Kept")
    await form.get_by_label("Token").fill(secret)
    await _end_sessions(page, scene, who)
    await form.get_by_role("button", name="Save").click()
    again = page.get_by_role("dialog").filter(has=page.get_by_role("heading", name="Sign in again"))
    await expect(again.get_by_label("Email")).to_be_focused()
    await again.get_by_label("Email").fill(who.email)
    await again.get_by_label("Password").fill(secrets.token_hex())
    await again.get_by_role("button", name="Sign in").click()
    await expect(again.get_by_role("alert")).to_be_visible()
    await expect(form.get_by_label("Description")).to_have_value("Kept")
    await again.get_by_label("Password").fill(who.password)
    await again.get_by_role("button", name="Sign in").click()
    await expect(again).to_have_count(0)
    await expect(page.get_by_text("You are signed in again.")).to_be_visible()
    await expect(form.get_by_label("Description")).to_have_value("Kept")
    await expect(form.get_by_label("Token")).to_have_value(secret)
    await form.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("order-paid is saved.")).to_be_visible()
    (stored,) = await scene.app.webhooks.get_n8n_webhooks_by_tenant(shop.id)
    assert stored.description == "Kept"
    await scene.app.webhooks.call_webhook(shop.id, "order-paid", 1)
    assert scene.n8n.last.headers["authorization"] == f"Bearer {secret}"


async def test_a_session_that_ends_over_a_page_asks_on_the_next_click(page, scene, shop):
    page.witness.expect("401")
    who = await scene.enter(page, "owner", "/tenants")
    await _end_sessions(page, scene, who)
    await page.get_by_role("link", name="New tenant").first.click()
    again = page.get_by_role("dialog")
    await again.get_by_label("Email").fill(who.email)
    await again.get_by_label("Password").fill(who.password)
    await again.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("You are signed in again.")).to_be_visible()
    await page.get_by_role("link", name="New tenant").first.click()
    await expect(page.get_by_role("dialog").get_by_role("button", name="Create tenant")).to_be_visible()
