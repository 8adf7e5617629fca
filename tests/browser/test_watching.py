"""The browser's fixtures see what they are there to see; without them, tests of pages would prove nothing."""

import pytest
from aiohttp import web

from witness import axe, watched

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src * data:; connect-src 'self'"
FOREIGN = "http://localhost:9/picture.png"  # another origin than 127.0.0.1; the port answers nothing
PAGES = {
    "/clean": "<main><h1>Clean</h1><p>Nothing is wrong here.</p></main>",
    "/says": '<main><h1>Says</h1></main><script src="/says.js"></script>',
    "/throws": '<main><h1>Throws</h1></main><script src="/throws.js"></script>',
    "/styled": '<main><h1 style="color: green">Styled</h1></main>',
    "/inline": "<main><h1>Inline</h1></main><script>document.title = 'Run'</script>",
    "/foreign": f'<main><h1>Foreign</h1><img src="{FOREIGN}" alt="A picture"></main>',
    "/missing": '<main><h1>Missing</h1></main><script src="/missing.js"></script>',
    "/unnamed": '<main><h1>Unnamed</h1><button></button><input type="text"></main>',
}
SCRIPTS = {"/says.js": "console.debug('so it said')", "/throws.js": "throw new Error('so it threw')"}


def _answer(path):
    if path in SCRIPTS:
        return web.Response(text=SCRIPTS[path], content_type="text/javascript")
    if path not in PAGES:
        return web.Response(status=404)
    head = f'<meta charset="utf-8"><title>A page</title><link rel="icon" href="data:,">{PAGES[path]}'
    text = f'<!DOCTYPE html><html lang="en">{head}</html>'
    return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": POLICY})


@pytest.fixture(scope="module")
async def site():
    """A site of one page for each fault."""

    async def handle(request):
        return _answer(request.path)

    app = web.Application()
    app.router.add_get("/{tail:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    place = web.TCPSite(runner, "127.0.0.1", 0)
    await place.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_clean_page_passes(page, site):
    await page.goto(f"{site}/clean")
    assert await page.locator("h1").inner_text() == "Clean"
    assert await axe(page) == []


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/says", "console debug: so it said"),
        ("/throws", "page error: .*so it threw"),
        ("/styled", "Content Security Policy.*style-src"),
        ("/inline", "Content Security Policy.*script-src"),
        ("/foreign", f"request to another origin: {FOREIGN}"),
        ("/missing", "console error: Failed to load resource.*404.*missing.js"),
    ],
)
async def test_a_complaint_fails_the_test(browser, site, path, complaint):
    with pytest.raises(AssertionError, match=complaint):
        async with watched(browser) as page:
            await page.goto(f"{site}{path}")


async def test_a_complaint_in_a_page_that_was_opened_beside_is_heard(browser, site):
    with pytest.raises(AssertionError, match="so it said"):
        async with watched(browser) as page:
            await page.goto(f"{site}/clean")
            beside = await page.context.new_page()
            await beside.goto(f"{site}/says")


async def test_an_expected_complaint_passes_and_must_come(browser, site):
    async with watched(browser) as page:
        page.witness.expect("status of 404")
        await page.goto(f"{site}/missing")
    with pytest.raises(AssertionError, match="did not complain about: status of 404"):
        async with watched(browser) as page:
            page.witness.expect("status of 404")
            await page.goto(f"{site}/clean")


async def test_axe_finds_what_has_no_name(page, site):
    await page.goto(f"{site}/unnamed")
    found = "\n".join(await axe(page))
    assert "button-name (critical)" in found
    assert "label (critical)" in found
