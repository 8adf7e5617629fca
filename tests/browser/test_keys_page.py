"""Keys in a browser: sealing a tenant's secrets anew, watched to the end, and an API key that is shown once."""

import httpx
import pytest
from playwright.async_api import expect

from canary import CANARY, planted
from witness import PATIENCE_MS

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
async def shop(scene):
    """A tenant with a secret."""
    tenant = await scene.tenant()
    await scene.webhook(tenant, "order-paid", auth_type="bearer", auth_token=planted("token"))
    return tenant


async def test_a_tenant_is_rekeyed_and_that_is_watched_to_the_end(page, scene, shop):
    page.witness.expect("422")
    await scene.enter(page, "owner", "/keys")
    await page.get_by_role("link", name="Rekey").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("radio", name="Everything").check()
    await expect(dialog.get_by_label("to confirm")).to_be_visible()
    await dialog.get_by_label("to confirm").fill("yes")
    await dialog.get_by_role("button", name="Rekey").click()
    await expect(dialog.get_by_label("to confirm")).to_be_focused()
    await expect(dialog).to_contain_text("Nothing was changed.")
    await dialog.get_by_role("radio", name="One tenant").check()
    await dialog.get_by_label("Tenant", exact=True).fill(shop.id)
    await dialog.get_by_role("button", name="Rekey").click()
    await expect(page.get_by_role("status").filter(has_text="Rekeying has begun.")).to_be_visible()
    progress = page.get_by_role("region", name="Rekeying")
    await expect(progress).to_contain_text(shop.id)
    await expect(progress.get_by_role("progressbar")).to_be_visible()
    await expect(progress.get_by_text("Finished", exact=True)).to_be_visible()
    await expect(progress.get_by_role("button", name="Cancel")).to_have_count(0)
    await scene.app.webhooks.call_webhook(shop.id, "order-paid", 1)  # its secrets still open


async def test_an_api_key_is_shown_once_works_and_is_revoked(page, scene, shop):
    name = f"Shop backend of {shop.id}"
    await scene.enter(page, "owner", "/api-keys")
    await page.get_by_role("link", name="New API key").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name", exact=True).fill(name)
    await dialog.get_by_label("Tenant", exact=True).fill(shop.id)
    for box in await dialog.get_by_role("checkbox").all():
        await box.check()
    await dialog.get_by_role("button", name="Make the key").click()
    await expect(dialog).to_contain_text("Copy it now.")
    key = (await dialog.locator("#new-key").inner_text()).strip()
    assert key.startswith("hv_")
    assert await _status(scene, shop, key) == 200
    await dialog.get_by_role("link", name="I have copied it").click()
    row = page.get_by_role("row").filter(has_text=name)
    await expect(row).to_contain_text("Active")
    await page.reload()
    await expect(row).to_contain_text("Active")
    assert key not in await page.content()
    await row.get_by_role("link", name="Revoke").click()
    await dialog.get_by_label("to confirm").fill(name)
    await dialog.get_by_role("button", name="Revoke").click()
    await expect(row).to_contain_text("Revoked")
    assert await _status(scene, shop, key) == 401


async def _status(scene, tenant, key):
    """What the API answers to a call with the key."""
    url = f"{scene.base}/api/tenants/{tenant.id}/webhooks/order-paid/call"
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=30) as client:
        answer = await client.post(url, json={"payload": {"order": 42}})
    CANARY.see("a call with a new key", answer.text)
    return answer.status_code
