"""A page in a real browser that is watched: what its console said, where it asked for something, what axe finds."""

import asyncio
import re
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Error

from canary import CANARY

AXE = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    },
    "resultTypes": ["violations"],
}
# What Chromium thinks aloud: of a form with secrets, which it takes for one of signing in; of a test that types before it
# has put the cursor where the page wants it.
GUESSES = (
    "Autofocus processing was blocked because a document already has a focused element.",
    "[DOM] Multiple forms should be contained in their own form elements",
    "[DOM] Password forms should have (optionally hidden) username fields",
)
PATIENCE_MS = 30_000  # for whatever a test waits for; a busy machine takes its time


class Witness:
    """Keeps what a browser context complains about, and gives what it was sent to the search for secrets."""

    def __init__(self, context):
        self.complaints = []
        self._origin = None
        self._expected = []
        self._reading = set()
        # Violations of the CSP are messages of the console.
        context.on("console", self._said)
        context.on("weberror", lambda error: self._heard(f"page error: {error.error}"))
        context.on("page", lambda page: page.on("websocket", lambda socket: self._asked(socket.url)))
        context.on("request", lambda request: self._asked(request.url))
        context.on("response", self._answered)

    def expect(self, pattern):
        """Has a complaint that matches pass, and the test fail without one. A 4xx answer makes a console message."""
        self._expected.append(re.compile(pattern))

    async def check(self):
        """Fails if there was a complaint, or an expected one did not come.

        Raises:
            AssertionError: naming all of them.
        """
        await asyncio.gather(*self._reading)
        kept = [line for line in self.complaints if not any(pattern.search(line) for pattern in self._expected)]
        unmet = [pattern.pattern for pattern in self._expected if not any(map(pattern.search, self.complaints))]
        assert not kept, "the browser complained:\n" + "\n".join(kept)
        assert not unmet, "the browser did not complain about: " + ", ".join(unmet)

    def _said(self, message):
        if not message.text.startswith(GUESSES):
            self._heard(f"console {message.type}: {message.text} ({_place(message)})")

    def _heard(self, complaint):
        self.complaints.append(complaint)

    def _asked(self, url):
        """The first page that is opened says which origin is its own."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "ws", "wss"):
            return  # data: and blob: are in the page itself
        origin = (parts.scheme.replace("ws", "http"), parts.netloc)
        self._origin = self._origin or origin
        if origin != self._origin:
            self.complaints.append(f"request to another origin: {url}")

    def _answered(self, response):
        task = asyncio.ensure_future(self._read(response))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    @staticmethod
    async def _read(response):
        kind = response.headers.get("content-type", "")
        if "html" in kind or "json" in kind:
            with suppress(Error, TimeoutError):  # the page went on before its text could be read
                text = await asyncio.wait_for(response.text(), PATIENCE_MS / 1000)
                CANARY.see(f"browser {response.request.method} {response.url} {response.status}", text)


def _place(message):
    return f"{message.location.get('url')}:{message.location.get('lineNumber')}"


@asynccontextmanager
async def watched(browser, **options):
    """A page in a context of its own, with its witness as `page.witness`; complaints fail at the end.

    Args:
        browser: The browser.
        options: Of Playwright's `new_context`, such as `color_scheme`, `viewport`, `java_script_enabled`.

    Raises:
        AssertionError: There was a console message, an error of a script or of the CSP, or a request to another origin.
    """
    context = await browser.new_context(**options)
    try:
        context.set_default_timeout(PATIENCE_MS)
        witness = Witness(context)
        page = await context.new_page()
        page.witness = witness
        yield page
        for left in context.pages:  # what is on its way arrives before the answer
            await left.title()
        await witness.check()
    finally:
        await context.close()


async def axe(page, *rules):
    """What axe finds wrong with a page for people who can't see or point well, one line for each rule broken.

    Args:
        page: In a browser.
        rules: The only ones to look for, such as `color-contrast` in another theme; all where none is given.
    """
    results = await Axe().run(page, options={**AXE, "runOnly": list(rules)} if rules else AXE)
    return [
        f"{item['id']} ({item['impact']}): {item['help']}: "
        + "; ".join(" ".join(map(str, n["target"])) for n in item["nodes"])
        for item in results.response["violations"]
    ]
