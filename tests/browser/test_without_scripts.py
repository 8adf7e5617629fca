"""Without scripts every page can be read, and what comes by itself with them is a link away."""

import atlas
import pytest

from witness import watched

pytestmark = pytest.mark.timeout(300, func_only=True)

PLAIN = {"java_script_enabled": False, "viewport": {"width": 1440, "height": 900}}


async def test_every_page_says_what_it_is_about(browser, world):
    async with watched(browser, **PLAIN) as page:
        await world.scene.enter(page, path="/settings")
        bad = []
        for path in world.paths(atlas.PAGES):
            await page.goto(world.scene.base + path)
            waits = page.locator("main [hx-trigger='load']")
            told = await page.locator("main :is(table, dl, form, .event, .empty, li)").count()
            linked = await page.locator("main noscript a, main [hx-trigger='load'] a").count()
            if await page.locator("h1").count() != 1 or not (told or linked):
                bad.append(f"{path}: says nothing")
            if await waits.count() > 0 and not linked and path != "/tenants":  # whose rows lead to their figures
                bad.append(f"{path}: {await waits.count()} parts have no link to them")
        assert not bad, "\n".join(bad)


async def test_the_links_lead_to_the_parts(browser, world):
    async with watched(browser, **PLAIN) as page:
        await world.scene.enter(page, path="/settings")
        for path in ("/", "/analytics", "/tenants/northwind", "/tenants/northwind/integrations", "/deliveries"):
            await page.goto(world.scene.base + path)
            href = await page.locator("main noscript a, main [hx-trigger='load'] a").first.get_attribute("href")
            answer = await page.goto(f"{world.scene.base}{href}")
            assert answer.status == 200
            assert await page.locator("main :is(table, dl, .chart-plot)").count() > 0, path
            assert await page.locator("nav[aria-label=Main]").count() == 1, f"{path}: {href} is no page"


async def test_a_form_is_a_page(browser, world):
    async with watched(browser, **PLAIN) as page:
        await world.scene.enter(page, path="/tenants")
        await page.get_by_role("link", name="New tenant").first.click()
        await page.get_by_label("Name").first.fill("Without scripts")
        await page.locator("main button[type=submit]").click()
        await page.wait_for_url("**/tenants/without-scripts-*/integrations")
        assert "Without scripts" in await page.locator("h1").inner_text()
