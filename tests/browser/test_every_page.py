"""Every page and every dialog, in a browser: seen by an owner over the demo's data, in both themes, at three widths."""

from urllib.parse import urlsplit

import atlas
import pytest
from starlette.routing import compile_path
from sweep import OVER, Traveller

from witness import axe, watched

pytestmark = pytest.mark.timeout(600, func_only=True)

CALM = {"reduced_motion": "reduce", "viewport": {"width": 1440, "height": 900}, "color_scheme": "light"}
OPEN = """url => htmx.ajax('GET', url, {target: '#dialog', swap: 'innerHTML'})"""


def test_the_atlas_has_every_page():
    known = [path for section in atlas.ALL for path in section]
    assert sorted(known) == sorted(atlas.routes())


async def test_every_page(browser, world):
    async with watched(browser, **CALM) as page:
        await world.scene.enter(page)
        traveller, titles = Traveller(page), {}
        for path in world.paths(atlas.PAGES):
            await traveller.go(world.scene.base + path)
            await traveller.read_heads(path, titles)
            await traveller.look(path)
        assert not traveller.found, "\n".join(traveller.found)
        missed = [path for path in atlas.LAZY if not _asked_for(path, traveller.asked)]
        assert missed == []


async def test_every_page_in_the_dark(browser, world):
    async with watched(browser, **CALM | {"color_scheme": "dark"}) as page:
        await world.scene.enter(page)
        traveller = Traveller(page)
        for path in world.paths(atlas.PAGES):
            await traveller.go(world.scene.base + path)
            await traveller.look_at_contrasts(path)
        assert not traveller.found, "\n".join(traveller.found)


def _asked_for(path, asked):
    pattern = compile_path(path)[0]
    return any(pattern.fullmatch(urlsplit(url).path) for url in asked)


async def test_every_dialog(browser, world):
    """As a dialog over a page in the dark, and as a page of its own in the light."""
    async with watched(browser, **CALM | {"color_scheme": "dark"}) as page:
        await world.scene.enter(page)
        traveller = Traveller(page)
        await traveller.go(f"{world.scene.base}/settings")
        for path in world.paths(atlas.DIALOGS):
            await page.evaluate(OPEN, path)
            await page.locator("dialog[open] h2").wait_for()
            await traveller.settle()
            await traveller.look(path)
            await _check_fits(page, traveller, path)
            await page.keyboard.press("Escape")
            await page.locator("dialog[open]").wait_for(state="detached")
        assert not traveller.found, "\n".join(traveller.found)


async def _check_fits(page, traveller, path):
    """At the narrowest a dialog scrolls downwards only."""
    await page.set_viewport_size({"width": 390, "height": 700})
    wide = await page.evaluate(
        "[...document.querySelectorAll('dialog[open], dialog[open] .dialog-body')].map(e => e.scrollWidth - e.clientWidth)"
    )
    if any(each > 0 for each in wide):
        traveller.complain(path, f"scrolls sideways at 390: {wide}")
    await page.set_viewport_size({"width": 1440, "height": 900})


async def test_every_dialog_by_its_address(browser, world):
    async with watched(browser, **CALM) as page:
        await world.scene.enter(page)
        traveller = Traveller(page)
        for path in world.paths(atlas.DIALOGS):
            await traveller.go(world.scene.base + path)
            if await page.locator("h1, h2").count() == 0:
                traveller.complain(path, "has no heading")
            await traveller.look(path)
        assert not traveller.found, "\n".join(traveller.found)


async def test_the_doors(browser, world):
    async with watched(browser, **CALM) as page:
        page.witness.expect("404|410")
        traveller = Traveller(page)
        for path in world.paths(atlas.DOORS):
            status = 404 if "no-such-token" in path and "invitations" in path else 200
            await traveller.go(world.scene.base + path, status)
            await traveller.look(path)
        assert not traveller.found, "\n".join(traveller.found)


async def test_parts_files_and_faults(browser, world):
    """Parts are parts, files are files, and what there is not is said on a page like others."""
    async with watched(browser, **CALM) as page:
        await world.scene.enter(page)
        page.witness.expect("404")
        for path in world.paths(atlas.ASKED):
            answer = await page.evaluate(_FETCH, path)
            assert answer["status"] == 200, path
            assert "<html" not in answer["text"], path
        for path in world.paths(atlas.FILES):
            answer = await page.evaluate(_FETCH, path)
            assert (answer["status"], "attachment" in answer["disposition"]) == (200, True), path
        await page.goto(f"{world.scene.base}/no-such-page")
        assert await axe(page) == []
        assert await page.locator("h1").count() == 1
        assert await page.evaluate(OVER) <= 0


_FETCH = """async path => {
    const answer = await fetch(path, {headers: {'hx-request': 'true', 'hx-request-type': 'partial'}});
    return {status: answer.status, text: await answer.text(), disposition: answer.headers.get('content-disposition') ?? ''};
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_an_empty_installation(browser, bare, theme):
    """Every page that there is without a tenant says what is not there yet, and is as good."""
    async with watched(browser, **CALM | {"color_scheme": theme}) as page:
        await bare.enter(page)
        traveller, titles = Traveller(page), {}
        for path in [path for paths in atlas.PAGES.values() for path in paths if "{" not in path]:
            await traveller.go(bare.base + path)
            await traveller.read_heads(path, titles)
            await traveller.look(path)
        assert not traveller.found, "\n".join(traveller.found)
