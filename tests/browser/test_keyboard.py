"""The pages without a mouse: everything is reached, dialogs keep and give back the focus, charts and menus are read by keys."""

import pytest
from sweep import Traveller

from witness import watched

pytestmark = pytest.mark.timeout(300, func_only=True)

CALM = {"reduced_motion": "reduce", "viewport": {"width": 1440, "height": 900}}
PLACE = "/tenants/northwind/integrations"
FOCUSABLE = """[...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')].filter(e =>
    e.tabIndex >= 0 && !e.disabled && e.checkVisibility({visibilityProperty: true}) && !(e.closest('details:not([open])')
    && e.tagName !== 'SUMMARY'))"""
NUMBER = f"{FOCUSABLE}.forEach((e, at) => {{ e.dataset.at = at; }})"
HERE = "document.activeElement.dataset.at ?? document.activeElement.tagName"


async def _opened(page, world, path=PLACE):
    await world.scene.enter(page)
    traveller = Traveller(page)
    await traveller.go(world.scene.base + path)
    assert not traveller.found, "\n".join(traveller.found)


async def test_tab_reaches_everything_in_order(browser, world):
    async with watched(browser, **CALM) as page:
        await _opened(page, world)
        await page.evaluate(NUMBER)
        count = await page.evaluate(f"{FOCUSABLE}.length")
        reached = []
        for _ in range(count):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate(HERE))
        assert count > 60
        assert reached == [str(at) for at in range(count)]


async def test_the_first_tab_skips_to_the_content(browser, world):
    async with watched(browser, **CALM) as page:
        await _opened(page, world)
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Skip to content"
        assert (await page.locator(".skip").bounding_box())["y"] >= 0
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.closest('main') !== null")


async def test_a_dialog_keeps_the_focus_and_gives_it_back(browser, world):
    async with watched(browser, **CALM) as page:
        await _opened(page, world)
        opener = page.get_by_role("link", name="Edit SMS", exact=True)
        await opener.focus()
        await page.keyboard.press("Enter")
        await page.locator("dialog[open] form").wait_for()
        outside = "document.activeElement !== document.body && !document.activeElement.closest('dialog[open]')"
        assert await page.evaluate("document.activeElement.closest('dialog[open]') !== null")
        for _ in range(25):
            await page.keyboard.press("Tab")
            assert not await page.evaluate(outside)
        await page.keyboard.press("Escape")
        await page.locator("dialog[open]").wait_for(state="detached")
        assert await opener.evaluate("element => element === document.activeElement")


async def test_a_menu_by_arrows_and_escape(browser, world):
    async with watched(browser, **CALM) as page:
        await _opened(page, world)
        summary = page.get_by_label("More about SMS")
        await summary.focus()
        await page.keyboard.press("Enter")
        await page.keyboard.press("ArrowDown")
        assert "Rotate secrets" in await page.evaluate("document.activeElement.textContent")
        await page.keyboard.press("ArrowDown")
        assert "Remove" in await page.evaluate("document.activeElement.textContent")
        await page.keyboard.press("ArrowUp")
        assert "Rotate secrets" in await page.evaluate("document.activeElement.textContent")
        await page.keyboard.press("Escape")
        assert await summary.evaluate("element => element === document.activeElement && !element.parentElement.open")


async def test_a_switch_by_space(browser, world):
    async with watched(browser, **CALM) as page:
        await _opened(page, world)
        switch = page.get_by_role("switch", name="WhatsApp Business is on")
        before = await switch.get_attribute("aria-checked")
        for wanted in ("false" if before == "true" else "true", before):
            await switch.focus()
            await page.keyboard.press("Space")
            await page.locator(f"#card-whatsapp [role=switch][aria-checked={wanted}]").wait_for()
            assert await switch.evaluate("element => element === document.activeElement"), "the focus was lost"


async def test_a_chart_is_read_by_arrow_keys(browser, world):
    async with watched(browser, **CALM) as page:
        await _opened(page, world, "/analytics?range=24h")
        plot = page.locator("[data-chart] .chart-plot").first
        await plot.focus()
        await page.keyboard.press("ArrowRight")
        first = await page.locator(".chart-tip:visible").inner_text()
        await page.keyboard.press("ArrowLeft")
        assert await page.locator(".chart-tip:visible").inner_text() != first
        assert await page.locator(".chart-live").first.text_content()
        await page.keyboard.press("Escape")
        assert await page.locator(".chart-tip:visible").count() == 0


async def test_a_slash_goes_to_the_search_and_nothing_moves(browser, world):
    async with watched(browser, **CALM) as page:
        await _opened(page, world)
        await page.keyboard.press("/")
        assert await page.evaluate("document.activeElement.type") == "search"
        assert await page.evaluate("document.activeElement.value") == ""
        slow = await page.evaluate(
            """[...document.querySelectorAll('*')].filter(e => { const s = getComputedStyle(e);
            return Math.max(...(s.animationDuration + ',' + s.transitionDuration).split(',').map(parseFloat)) > 0.05; }).length"""
        )
        assert slow == 0
