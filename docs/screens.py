# ruff: noqa: INP001, S310, S603, T201 - a script, not a package; it starts and asks the demo, and says what it does
"""Takes the pictures of the documents from a demo of their own, while it lives. Run it with: make screens.

Whatever stands in them is invented, and nothing of this machine does. A minute and a half, with the month that is recorded first.
"""

import asyncio
import contextlib
import importlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType

from playwright.async_api import Browser, Locator, Page, async_playwright

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).with_name("screens")
SIZE = (1280, 800)
# Of what is worth more, so that it shows whole.
SIZES = {
    "overview": (1440, 976),
    "overview-dark": (1440, 976),
    "integrations": (1280, 850),
    "whatsapp": (1280, 1150),
    "sms": (1280, 1060),
    "webhooks": (1440, 800),
    "rotation": (1280, 1120),
}
ZONE = "Europe/Berlin"
EMAIL, PASSWORD = "mira@example.com", "pictures of an invented platform"
START_S, SHOW_MS = 180, 20_000
LIFE_S = 20  # of traffic before the first picture, so that today has calls
LARGEST = 160_000  # bytes of a picture
NORTHWIND = "/tenants/northwind"
# What still waits for its figures, or is about to move.
LOADED = "() => document.fonts.status === 'loaded' && !document.querySelector('.waits, .waiting, .htmx-request, #toasts > *')"

Taking = Callable[[Page], Awaitable[Page | Locator]]


async def overview(page: Page) -> Page:
    """What needs attention, the last 24 hours."""
    await page.goto("/")
    return page


async def tenants(page: Page) -> Page:
    """The list of tenants, with figures of each."""
    await page.goto("/tenants")
    return page


async def integrations(page: Page) -> Page:
    """The cards of a tenant's integrations."""
    await page.goto(f"{NORTHWIND}/integrations")
    return page


async def whatsapp(page: Page) -> Locator:
    """The form of WhatsApp."""
    await _opened(page, f"{NORTHWIND}/integrations", page.get_by_role("link", name="Edit WhatsApp Business"))
    return page.locator("#dialog")


async def sms(page: Page) -> Locator:
    """The form of SMS, for a tenant that has none yet."""
    await _opened(page, "/tenants/palmstudio/integrations", page.get_by_role("link", name="Connect SMS"))
    return page.locator("#dialog")


async def webhooks(page: Page) -> Page:
    """The table of webhooks."""
    await page.goto(f"{NORTHWIND}/webhooks")
    return page


async def webhook(page: Page) -> Locator:
    """The form of a new webhook."""
    await _opened(page, f"{NORTHWIND}/webhooks", page.get_by_role("link", name="Add webhook").first)
    await page.get_by_label("Workflow name").fill("appointment-confirmed")
    await page.get_by_label("Authentication").select_option("header")
    await page.get_by_label("Header name").fill("X-Api-Key")
    await page.get_by_text("appointment-confirmed").wait_for()  # in the address that is derived
    return page.locator("#dialog")


async def test(page: Page) -> Locator:
    """A webhook's test, made."""
    await _opened(page, f"{NORTHWIND}/webhooks", page.get_by_role("link", name="Test appointment-booked"))
    await page.get_by_label("Payload").fill('{"appointmentId": "A-20931", "patient": "Jane Roe"}')
    await page.get_by_role("button", name="Send", exact=True).click()
    await page.get_by_role("button", name="Send again").wait_for()
    return page.locator("#dialog")


async def analytics(page: Page) -> Page:
    """A tenant's week."""
    await page.goto("/analytics?tenantId=northwind&range=7d")
    return page


async def call(page: Page) -> Locator:
    """A failed call, as it opens beside the list."""
    await _opened(page, "/calls?tenantId=northwind&cause=workflow_failed&range=24h", page.locator("#rows a").first)
    return page.locator("#drawer")


async def deliveries(page: Page) -> Page:
    """Deliveries that failed."""
    await page.goto("/deliveries?tenantId=northwind")
    return page


async def rotation(page: Page) -> Locator:
    """New secrets of SMS, staged."""
    await page.goto(f"{NORTHWIND}/integrations/sms/rotation")
    return page.locator("#rotation")


async def users(page: Page) -> Page:
    """Who may sign in, and who is invited."""
    await page.goto("/users")
    return page


SHOTS: tuple[Taking, ...] = (
    overview, tenants, integrations, whatsapp, sms, webhooks, webhook, test, analytics, call, deliveries, rotation, users,
)  # fmt: skip


async def _opened(page: Page, path: str, link: Locator) -> None:
    """Goes to a page, and by a click to what opens over it."""
    await page.goto(path)
    await page.wait_for_function(LOADED)
    await link.click()
    await page.locator("dialog[open]").wait_for()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def _demo() -> Iterator[str]:
    """The address of a demo with a data directory of its own; it and its database end afterwards."""
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="hookvault-screens-") as folder:
        Path(folder).chmod(0o711)  # the embedded database may run as another user
        environment = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "PATH", "TMPDIR")}
        environment |= {
            "HOOKVAULT_DATA_DIR": str(Path(folder, "data")),
            "PORT": str(port),
            "APP_URL": f"http://127.0.0.1:{port}",
            "ADMIN_EMAIL": EMAIL,
            "ADMIN_PASSWORD": PASSWORD,
            "LOG_LEVEL": "warning",
        }
        command = [sys.executable, "-m", "hookvault"]
        process = subprocess.Popen([*command, "demo"], cwd=folder, env=environment, stdout=subprocess.DEVNULL)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
            subprocess.run(
                [*command, "db", "stop"], cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=False
            )


@contextlib.asynccontextmanager
async def _page(browser: Browser, base: str, theme: str) -> AsyncIterator[Page]:
    context = await browser.new_context(
        base_url=base,
        color_scheme="dark" if theme == "dark" else "light",
        timezone_id=ZONE,
        locale="en-GB",
        reduced_motion="reduce",
    )
    context.set_default_timeout(SHOW_MS)
    page = await context.new_page()
    await page.goto("/login")
    await page.get_by_label("Email").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("heading", name="Overview").wait_for()
    yield page
    await context.close()


async def _take(page: Page, taking: Taking, name: str) -> None:
    width, height = SIZES.get(name, SIZE)
    await page.set_viewport_size({"width": width, "height": height})
    shown = await taking(page)
    await page.wait_for_function(LOADED)
    await page.mouse.move(0, 0)
    path = FOLDER / f"{name}.png"
    await shown.screenshot(path=path, animations="disabled", caret="hide")
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}  {size / 1000:.0f} kB{', which is too large' if size > LARGEST else ''}")


def _wait_for(base: str) -> None:
    """Waits until the demo answers, which it does once its month is recorded."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{base}/readyz", timeout=5):
            return
        time.sleep(0.5)
    raise SystemExit(f"The demo did not start within {START_S} s.")


async def main(names: list[str]) -> None:
    """Takes all pictures, or those that are named."""
    chromium = _chromium()
    FOLDER.mkdir(exist_ok=True)
    with _demo() as base:
        await asyncio.to_thread(_wait_for, base)
        await asyncio.sleep(LIFE_S)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
            async with _page(browser, base, "light") as page:
                for taking in SHOTS:
                    if not names or taking.__name__ in names:
                        await _take(page, taking, taking.__name__)
            async with _page(browser, base, "dark") as page:
                if not names or "overview-dark" in names:
                    await _take(page, overview, "overview-dark")
            await browser.close()


def _chromium() -> ModuleType:
    """tests/chromium.py, which finds a browser. Raises SystemExit where there is none."""
    sys.path.insert(0, str(ROOT / "tests"))
    found = importlib.import_module("chromium")
    found.obtain()
    if found.find() is None:
        raise SystemExit(found.reason())
    return found


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
