"""An import of as many webhooks as a file may hold, in a browser: how far it is, and what goes on after a fault."""

import json

import pytest

from witness import axe

COUNT = 120  # some batches


@pytest.fixture
async def importing(page, scene):
    """The page of a tenant of its own, with what would be done shown."""
    tenant = await scene.tenant()
    await scene.enter(page, path=f"/tenants/{tenant.id}/webhooks/exchange")
    items = [{"workflowName": f"many-{n:03}", "webhookUrl": scene.n8n.url(f"/webhook/{n}")} for n in range(COUNT)]
    await page.locator("#f-text").fill(json.dumps(items))
    await page.get_by_role("button", name="Show what would be done").click()
    page.tenant = tenant
    return page.get_by_role("button", name=f"Apply to {COUNT} webhooks")


async def names(scene, page):
    return [each.workflow_name for each in await scene.app.webhooks.get_n8n_webhooks_by_tenant(page.tenant.id)]


async def test_how_far_an_import_is_is_shown(page, scene, importing):
    seen = []
    await page.expose_function("seen", lambda found: seen.append(found))  # noqa: PLW0108 a builtin has no attributes
    await page.evaluate("""() => new MutationObserver(() => {
        const bar = document.querySelector('#import-far progress');
        if (bar) window.seen([bar.value, bar.max, document.querySelectorAll('#import-rows tr').length]);
    }).observe(document.getElementById('import-outcome'), {childList: true, subtree: true})""")
    await importing.click()
    await page.get_by_text(f"{COUNT} webhooks gone through: {COUNT} created or changed.").wait_for()
    steps = sorted({value for value, _, _ in seen})
    assert steps == [25, 50, 75, 100]
    assert all(whole == COUNT for _, whole, _ in seen)
    assert await page.locator("#import-rows tr").count() == COUNT
    assert len(await names(scene, page)) == COUNT
    first = await page.locator("#import-rows .name").all_inner_texts()
    assert first == sorted(first)
    assert await axe(page) == []


async def test_an_import_goes_on_after_a_fault(page, scene, importing):
    """What was done and its secrets stay on the page; a press goes on behind it, and makes nothing twice."""
    page.witness.expect("ERR_FAILED|Failed to fetch")
    broken = []

    async def break_once(route):
        if "after=50" in (route.request.post_data or "") and not broken:
            broken.append(route.request.url)
            await route.abort()
        else:
            await route.continue_()

    await page.route("**/webhooks/exchange", break_once)
    await importing.click()
    again = page.get_by_role("button", name="Go on")
    await again.wait_for()
    assert len(await names(scene, page)) == 50
    assert await page.locator("#import-rows tr").count() == 50
    assert await page.locator("#import-far progress").evaluate("bar => bar.value") == 50
    await again.click()
    await page.get_by_text(f"{COUNT} webhooks gone through: {COUNT} created or changed.").wait_for()
    assert await page.locator("#import-rows tr").count() == COUNT
    assert len(await names(scene, page)) == COUNT
    secrets = await page.locator("#import-rows code").all_inner_texts()
    assert len({text for text in secrets if text.startswith("whsec_")}) == COUNT
