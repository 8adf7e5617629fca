"""Every chart of every page, in a browser: behind it are its table and its file, which is an image by itself."""

from xml.etree import ElementTree as ET

import atlas
import pytest
from sweep import Traveller

from witness import watched

pytestmark = pytest.mark.timeout(600, func_only=True)

KINDS = ("results", "latency", "heat", "causes", "codes", "slowest", "failing")
CHARTS = """() => [...document.querySelectorAll('main figure.chart, main .ranks')].map(chart => {
    const card = chart.closest('.card');
    return {
        name: card.querySelector('h2').textContent,
        tables: card.querySelectorAll('details.chart-table table').length,
        href: card.querySelector('a[download][href^="/analytics/chart.svg?"]')?.getAttribute('href'),
    };
})"""
COLOURS = """() => ({
    width: document.documentElement.getBoundingClientRect().width,
    over: [...document.querySelectorAll('text')].filter(text => {
        const box = text.getBoundingClientRect();
        return box.width && (box.right > 960 || box.left < 0);
    }).map(text => text.textContent),
    black: [...document.querySelectorAll('rect, text')].filter(e => getComputedStyle(e).fill === 'rgb(0, 0, 0)').length,
})"""
FETCH = "async href => (await fetch(href)).text()"


async def test_every_chart_has_its_table_and_its_file(browser, world):
    async with watched(browser, viewport={"width": 1440, "height": 900}) as page:
        await world.scene.enter(page)
        traveller, kinds = Traveller(page), set()
        for path in world.paths(atlas.PAGES):
            await traveller.go(world.scene.base + path)
            for chart in await page.evaluate(CHARTS):
                assert (chart["tables"], chart["href"] is None) == (1, False), (path, chart)
                tree = ET.fromstring((await page.evaluate(FETCH, chart["href"])).encode())  # noqa: S314 our own markup
                assert not any(element.tag.endswith("}script") for element in tree.iter()), (path, chart)
                kinds.add(chart["href"].rpartition("kind=")[2])
        assert kinds == set(KINDS)
        assert not traveller.found, "\n".join(traveller.found)


async def test_a_file_opens_by_itself(browser, world, tmp_path):
    """Downloaded as one does, and opened from the disk: all is coloured, nothing is beyond the edge."""
    async with watched(browser, viewport={"width": 1440, "height": 900}) as page:
        await world.scene.enter(page)
        await Traveller(page).go(f"{world.scene.base}/tenants/{{tenant}}/webhooks/{{webhook}}".format(**world.names))
        names = page.locator("a[download][href*='chart.svg']")
        hrefs = [await names.nth(index).get_attribute("href") for index in range(await names.count())]
        await Traveller(page).go(f"{world.scene.base}/analytics?tenantId={world.names['tenant']}&range=7d")
        found = page.locator("a[download][href*='chart.svg']")
        hrefs += [await found.nth(index).get_attribute("href") for index in range(await found.count())]
        assert {href.rpartition("kind=")[2] for href in hrefs} == set(KINDS)
        for number, href in enumerate(hrefs):
            (tmp_path / f"{number}.svg").write_text(await page.evaluate(FETCH, href), encoding="utf-8")
        async with page.expect_download() as download:
            await found.first.click()
        file = await download.value
        assert file.suggested_filename.endswith(".svg")
        await file.save_as(tmp_path / "saved.svg")
    async with watched(browser) as alone:
        for file in sorted(tmp_path.glob("*.svg")):
            await alone.goto(file.as_uri())
            assert await alone.evaluate(COLOURS) == {"width": 960, "over": [], "black": 0}, file.read_text()
