"""What is looked at on every page: the same for a page, a dialog, a fault."""

import asyncio
import time

from witness import axe

WIDTHS = (390, 768, 1440)
OVER = "document.documentElement.scrollWidth - window.innerWidth"
_WAITING = "document.querySelectorAll('.htmx-request, [aria-busy=true], .waiting').length"
_PATIENCE_S = 15


class Traveller:
    """A page that goes from address to address, and keeps what it found wrong and what was asked for on the way."""

    def __init__(self, page):
        self.page = page
        self.asked = set()
        self.found = []
        self._open = set()
        page.on("request", self._began)
        page.on("requestfinished", self._ended)
        page.on("requestfailed", self._ended)

    async def go(self, url, status=200):
        """Opens an address and waits until all parts of it are there."""
        answer = await self.page.goto(url)
        if answer.status != status:
            self.complain(url, f"answered {answer.status}")
        await self.settle()

    async def settle(self):
        """Waits until nothing more is asked for, and nothing on the page says that it waits."""
        ends, quiet = time.monotonic() + _PATIENCE_S, 0
        while quiet < 3:
            await asyncio.sleep(0.03)
            quiet = 0 if self._open or await self.page.evaluate(_WAITING) else quiet + 1
            if time.monotonic() > ends:
                self.complain(self.page.url, f"still waits: {[each.url for each in self._open]}")
                return

    async def look(self, url, *rules):
        """What axe says, and whether it is too wide for any window."""
        for line in await axe(self.page, *rules):
            self.complain(url, line)
        for width in WIDTHS:
            await self.page.set_viewport_size({"width": width, "height": 900})
            over = await self.page.evaluate(OVER)
            if over > 0:
                self.complain(url, f"{over} px too wide at {width}: {await self.page.evaluate(WIDE)}")

    async def look_at_contrasts(self, url):
        """What axe says of the contrasts alone."""
        for line in await axe(self.page, "color-contrast"):
            self.complain(url, f"dark: {line}")

    async def read_heads(self, url, titles):
        """A title of its own and one first heading."""
        title, heads = await self.page.title(), await self.page.locator("h1").count()
        if heads != 1:
            self.complain(url, f"{heads} h1")
        if title in titles and titles[title] != url.partition("?")[0]:
            self.complain(url, f"has the title of {titles[title]}: {title}")
        titles.setdefault(title, url.partition("?")[0])

    def complain(self, url, text):
        """Keeps what is wrong with an address."""
        self.found.append(f"{url}: {text}")

    def _began(self, request):
        self.asked.add(request.url)
        if request.headers.get("accept") != "text/event-stream":
            self._open.add(request)

    def _ended(self, request):
        self._open.discard(request)


WIDE = """[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
    .slice(0, 4).map(e => e.tagName + '.' + e.className).join(' ')"""
