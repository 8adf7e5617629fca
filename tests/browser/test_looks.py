"""How things look where only a browser knows it: colours when the theme changes, choices that fill their places."""

import pytest
from sweep import Traveller

from witness import watched

COLOURS = """() => [...document.querySelectorAll('body *')]
    .filter(e => e.tagName !== 'NOSCRIPT' && [...e.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
    .map(e => {
        const { color, fill, backgroundColor, borderTopColor } = getComputedStyle(e);
        return [e.tagName, e.textContent.trim().slice(0, 20), color, fill, backgroundColor, borderTopColor].join(' | ');
    })"""
TOGGLE = """theme => document.querySelector(`[data-theme-set=${theme}]`).click()"""
PATHS = ("/tenants/{tenant}/settings", "/keys", "/tenants/{tenant}/webhooks/{webhook}")


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
@pytest.mark.parametrize(("before", "after"), [("light", "dark"), ("dark", "light")])
async def test_the_theme_changes_at_once_and_everywhere(browser, world, motion, before, after):
    """The same colours right after the button is pressed, with nothing painted in between, as after the page is loaded anew."""
    async with watched(browser, color_scheme=before, reduced_motion=motion) as page:
        await world.scene.enter(page)
        traveller = Traveller(page)
        for path in PATHS:
            await traveller.go(world.scene.base + path.format(**world.names))
            old = await page.evaluate(COLOURS)
            changed = await page.evaluate(f"theme => {{ ({TOGGLE})(theme); return ({COLOURS})(); }}", after)
            await page.reload()
            await traveller.settle()
            fresh = await page.evaluate(COLOURS)
            assert len(old) > 40
            assert _late(changed, fresh) == [], path
            assert len(_late(old, fresh)) > 20, "nothing has another colour in the other theme"
            await page.evaluate(TOGGLE, "system")


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
async def test_the_theme_of_the_system_is_followed_at_once(browser, world, motion):
    async with watched(browser, color_scheme="light", reduced_motion=motion) as page:
        await world.scene.enter(page)
        traveller = Traveller(page)
        await traveller.go(world.scene.base + PATHS[0].format(**world.names))
        await page.emulate_media(color_scheme="dark", reduced_motion=motion)
        changed = await page.evaluate(COLOURS)
        await page.reload()
        await traveller.settle()
        assert _late(changed, await page.evaluate(COLOURS)) == []


def _late(seen, fresh):
    """The elements whose colours are not those of the page that was loaded in this theme; by their places."""
    return [one for one, other in zip(seen, fresh, strict=True) if _colours(one) != _colours(other)]


def _colours(line):
    return line.split(" | ")[2:]


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_choice_fills_its_place(browser, world, theme):
    """Of segments each is as high as the frame within its border, beside the one before it, the first at the border."""
    async with watched(browser, color_scheme=theme) as page:
        await world.scene.enter(page)
        for path in ("/calls", "/tenants/{tenant}/webhooks", "/analytics"):
            for width in (1440, 390):
                await page.set_viewport_size({"width": width, "height": 900})
                await Traveller(page).go(world.scene.base + path.format(**world.names))
                groups = await page.evaluate(SEGMENTS)
                assert groups, path
                for group in groups:
                    assert group["gaps"] == [0] + [1] * (len(group["gaps"]) - 1), (path, width, group)
                    assert set(group["heights"]) == {group["height"]}, (path, width, group)


SEGMENTS = """() => [...document.querySelectorAll('main .segments')].filter(e => e.offsetWidth).map(frame => {
    const cells = [...frame.querySelectorAll('label > span, a, button')].filter(e => e.offsetWidth);
    const boxes = cells.map(cell => cell.getBoundingClientRect());
    const inside = frame.getBoundingClientRect().left + frame.clientLeft - frame.scrollLeft;
    return {
        name: frame.textContent.trim().slice(0, 20),
        height: frame.clientHeight,
        heights: boxes.map(box => box.height),
        // The line between two belongs to the second of them; where it is a link, to its box.
        gaps: boxes.map((box, i) => {
            const line = cells[i].parentElement.tagName === 'LABEL' ? 0 : parseFloat(getComputedStyle(cells[i]).borderLeftWidth);
            return Math.round((box.left + line - (i ? boxes[i - 1].right : inside)) * 10) / 10;
        }),
    };
})"""
