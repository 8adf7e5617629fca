"""From nothing to a call that is seen everywhere: tenant, integrations, webhook, test, by clicking as an owner does."""

import json
import re
import secrets

import pytest
from playwright.async_api import expect

from canary import planted
from witness import PATIENCE_MS

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
async def shop(page, scene):
    """A tenant, and its page of integrations, opened by an owner."""
    tenant = await scene.tenant()
    await scene.enter(page, "owner", f"/tenants/{tenant.id}/integrations")
    return tenant


def row_of(page, name):
    """The row of a webhook in the table."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


async def test_from_a_new_tenant_to_a_call_that_is_seen_everywhere(page, scene):
    name = f"Blue Shop {secrets.token_hex(3)}"
    await scene.enter(page, "owner", "/tenants")
    await _make_tenant(page, name)
    tenant_id = page.url.split("/")[-2]
    await _connect_n8n(page, scene)
    await _add_webhook(page, scene, tenant_id)
    await _test_it(page, scene, tenant_id)
    await _look_at_the_call(page, scene, tenant_id)
    await _look_at_figures(page, scene, tenant_id, name)


async def _make_tenant(page, name):
    await page.get_by_role("link", name="New tenant").first.click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("textbox", name="Name")).to_be_focused()
    await dialog.get_by_role("textbox", name="Name").fill(name)
    await dialog.get_by_role("button", name="Create tenant").click()
    await page.wait_for_url("**/tenants/*/integrations")
    await expect(page.get_by_role("status").filter(has_text="is there")).to_contain_text(name)


async def _connect_n8n(page, scene):
    await page.get_by_role("link", name="Connect n8n").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Base URL").fill(scene.n8n.url("/webhook"))
    await dialog.get_by_role("button", name="Connect", exact=True).click()
    card = page.get_by_role("article", name="n8n")
    await expect(card.get_by_role("button", name="Test n8n")).to_be_visible()
    await expect(card).to_contain_text(scene.n8n.url("/webhook"))


async def _add_webhook(page, scene, tenant_id):
    await page.get_by_role("link", name="Add webhook").first.click()
    dialog = page.get_by_role("dialog")
    name = dialog.get_by_label("Workflow name")
    await name.press_sequentially("order")
    await expect(dialog.get_by_text("Derived from")).to_contain_text(f"{scene.n8n.url('/webhook')}/{tenant_id}/order")
    await expect(name).to_be_focused()
    await name.press_sequentially("-paid")
    await expect(name).to_have_value("order-paid")
    await dialog.get_by_role("button", name="Add webhook").click()
    await expect(dialog.get_by_role("heading", name="Webhook added")).to_be_visible()
    shown = await dialog.get_by_text("whsec_").first.inner_text()
    await dialog.get_by_role("link", name="I have copied it").click()
    await expect(page.get_by_role("heading", name="order-paid", level=1)).to_be_visible()
    assert shown.strip() not in await page.content()
    await page.get_by_role("link", name="Setup & code").click()
    await expect(page.get_by_role("heading", name="Settings", exact=True)).to_be_visible()
    assert shown.strip() not in await page.content()


async def _test_it(page, scene, tenant_id):
    page.witness.expect("422")
    path = f"/webhook/{tenant_id}/order-paid"
    await page.get_by_role("navigation", name="Of this webhook").get_by_role("link", name="Test").click()
    payload = page.get_by_label("Payload")
    await payload.fill('{"order": 42')
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(payload).to_have_attribute("aria-invalid", "true")
    await expect(payload).to_have_value('{"order": 42')
    await expect(payload).to_be_focused()
    assert path not in scene.n8n.counted()
    await payload.fill('{"order": 42}')
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.get_by_text("Success", exact=True)).to_be_visible()
    assert scene.n8n.last.path == path
    assert json.loads(scene.n8n.last.body) == {"order": 42}


async def _look_at_the_call(page, scene, tenant_id):
    await page.get_by_role("navigation", name="Main").get_by_role("link", name="Calls").click()
    await page.get_by_label("Tenant", exact=True).select_option(tenant_id)
    await page.wait_for_url(f"**tenantId={tenant_id}**")  # the list is put anew by now
    row = page.get_by_role("row").filter(has_text=tenant_id)
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("order-paid")
    link = row.get_by_role("link").first
    await link.click()
    drawer = page.get_by_role("dialog")
    await expect(drawer.get_by_role("heading", name="order-paid")).to_be_visible()
    await expect(drawer).to_contain_text('"order": 42')
    await page.keyboard.press("Escape")
    await expect(drawer).to_have_count(0)
    await expect(link).to_be_focused()
    await link.click()
    await drawer.get_by_role("link", name="Open as a page").click()
    await page.wait_for_url("**/calls/*-*")
    await expect(page.get_by_role("heading", name="order-paid", level=1)).to_be_visible()
    await expect(page.get_by_text("Workflow was started")).to_be_visible()


async def _look_at_figures(page, scene, tenant_id, name):
    await page.goto(f"{scene.base}/analytics?tenantId={tenant_id}&range=24h")
    await expect(page.get_by_role("img", name=re.compile("^Calls by result.* Successful: 1 in total"))).to_be_visible()
    await page.get_by_role("navigation", name="Main").get_by_role("link", name="Overview").click()
    busiest = page.get_by_role("region", name="Busiest tenants")
    await expect(busiest.get_by_role("link", name=name)).to_be_visible()


async def test_an_sms_provider_has_fields_of_its_own_and_an_error_keeps_what_was_typed(page, scene, shop):
    page.witness.expect("422")
    secret = planted("sms")[:32]
    await page.get_by_role("link", name="Connect SMS").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("Account SID")).to_be_visible()
    await dialog.get_by_label("Provider").select_option("vonage")
    await expect(dialog.get_by_label("API secret")).to_be_visible()
    await expect(dialog.get_by_label("Account SID")).to_have_count(0)
    await dialog.get_by_label("API key").fill("0a1b2c3d")
    await dialog.get_by_label("API secret").fill(secret)
    await dialog.get_by_role("button", name="Connect").click()
    number = dialog.get_by_label("Phone number or sender")
    await expect(number).to_have_attribute("aria-invalid", "true")
    await expect(number).to_be_focused()
    await expect(dialog.get_by_label("Provider")).to_have_value("vonage")
    await expect(dialog.get_by_label("API key")).to_have_value("0a1b2c3d")
    await expect(dialog.get_by_label("API secret")).to_have_value(secret)
    await number.fill("+4915112345678")
    await dialog.get_by_role("button", name="Connect").click()
    card = page.get_by_role("article", name="SMS")
    await expect(card.get_by_role("button", name="Test SMS")).to_be_visible()
    await expect(card).to_contain_text("Vonage")
    stored = await scene.app.integrations.get_tenant_integration(shop.id)
    assert stored.sms is not None


async def test_a_switch_turns_a_webhook_off_and_on_and_a_form_changes_it(page, scene, shop):
    await scene.webhook(shop, "order-paid")
    await page.reload()
    switch = page.get_by_role("switch", name="Enable order-paid")
    await switch.click()
    await expect(switch).not_to_be_checked()
    await page.reload()
    await expect(switch).not_to_be_checked()
    await switch.click()
    await expect(switch).to_be_checked()
    await page.get_by_role("link", name="Edit order-paid").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Description").fill("Sends the bill")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status").filter(has_text="order-paid is saved.")).to_be_visible()
    (stored,) = await scene.app.webhooks.get_n8n_webhooks_by_tenant(shop.id)
    assert (stored.description, stored.is_active) == ("Sends the bill", True)


async def test_several_are_switched_and_tested_at_once(page, scene, shop):
    for name in ("one", "two", "three"):
        await scene.webhook(shop, name, f"/webhook/ok/{shop.id}/{name}")
    await page.reload()
    for name in ("one", "two"):
        await page.get_by_role("checkbox", name=f"Choose {name}").check()
    await expect(page.get_by_text("2 chosen")).to_be_visible()
    await page.get_by_role("button", name="Disable").click()
    await expect(page.get_by_role("status").filter(has_text="2 webhooks disabled.")).to_be_visible()
    await expect(page.get_by_role("switch", name="Enable one")).not_to_be_checked()
    await expect(page.get_by_role("switch", name="Enable three")).to_be_checked()
    await page.get_by_role("checkbox", name="Choose all shown").check()
    await expect(page.get_by_text("3 chosen")).to_be_visible()
    await page.get_by_role("button", name="Enable", exact=True).click()
    await expect(page.get_by_role("switch", name="Enable one")).to_be_checked()
    await page.get_by_role("checkbox", name="Choose all shown").check()
    await page.get_by_role("button", name="Test", exact=True).click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Start 3 tests").click()
    await expect(dialog.get_by_text("3 of 3 tested")).to_be_visible()
    await expect(dialog.get_by_text("3 succeeded")).to_be_visible()
    assert sum(seen.path.startswith(f"/webhook/ok/{shop.id}/") for seen in scene.n8n.seen) == 3


async def test_a_copy_is_made_and_the_first_deleted_once_its_name_is_typed(page, scene, shop):
    await scene.webhook(shop, "order-paid")
    await page.reload()
    await page.get_by_role("button", name="More for order-paid").click()
    await page.get_by_role("link", name="Duplicate").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("Workflow name")).to_have_value("order-paid-copy")
    await dialog.get_by_role("button", name="Add webhook").click()
    await dialog.get_by_role("link", name="I have copied it").click()
    await expect(page.get_by_role("heading", name="order-paid-copy", level=1)).to_be_visible()
    await page.goto(f"{scene.base}/tenants/{shop.id}/integrations")
    await page.get_by_role("button", name="More for order-paid", exact=True).click()
    await page.get_by_role("link", name="Delete").click()
    button = dialog.get_by_role("button", name="Delete")
    await expect(button).to_be_disabled()
    await dialog.get_by_label("to confirm").press_sequentially("order-pai")
    await expect(button).to_be_disabled()
    await dialog.get_by_label("to confirm").press_sequentially("d")
    await button.click()
    await expect(page.get_by_role("status").filter(has_text="order-paid is deleted.")).to_be_visible()
    await expect(page.get_by_role("link", name="order-paid-copy", exact=True)).to_be_visible()
    await expect(page.get_by_role("link", name="order-paid", exact=True)).to_have_count(0)


async def test_webhooks_go_out_as_a_file_and_into_another_tenant(page, scene, shop, tmp_path):
    await scene.webhook(shop, "order-paid")
    other = await scene.tenant("Red Shop")
    await page.reload()
    await page.get_by_role("button", name="More for all webhooks").click()
    await page.get_by_role("link", name="Export").click()
    async with page.expect_download() as started:
        await page.get_by_role("link", name="JSON").click()
    path = tmp_path / "webhooks.json"
    await (await started.value).save_as(path)
    await page.goto(f"{scene.base}/tenants/{other.id}/integrations")
    await page.get_by_role("link", name="Import").click()
    await page.get_by_label("File").set_input_files(path)
    await page.get_by_role("button", name="Apply to 1 webhook").click()
    await expect(page.get_by_role("heading", name="What was done")).to_be_visible()
    await expect(page.get_by_text("Created", exact=True)).to_be_visible()
    (made,) = await scene.app.webhooks.get_n8n_webhooks_by_tenant(other.id)
    assert (made.workflow_name, made.webhook_url) == ("order-paid", scene.n8n.url())
