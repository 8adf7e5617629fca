"""The whole site on a port of its own, with somebody to sign in as and an n8n to call: what browser tests play on."""

import asyncio
import secrets
import socket
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from urllib.parse import quote

import uvicorn

from entrance import make_quick, person
from hookvault.admin.site import create_site
from hookvault.api.protocol import BoundedProtocol
from hookvault.settings import Settings
from hookvault.wiring import App, build
from n8n import N8n


@dataclass
class Scene:
    """A site that runs."""

    app: App
    base: str
    n8n: N8n
    people: dict = field(default_factory=dict)

    async def who(self, role="owner"):
        """Somebody of a role, the same one each time."""
        if role not in self.people:
            self.people[role] = await person(self.app, role)
        return self.people[role]

    async def enter(self, page, role="owner", path="/"):
        """Signs in on the page, as people do, and goes to a path."""
        who = await self.who(role)
        await page.goto(f"{self.base}/login?next={quote(path)}")
        await page.get_by_label("Email").fill(who.email)
        await page.get_by_label("Password", exact=True).fill(who.password)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(f"{self.base}{path}")
        return who

    async def tenant(self, name="Blue Shop"):
        """A tenant of a test's own."""
        return await self.app.tenants.create_tenant(name, tenant_id=f"t-{secrets.token_hex(6)}")

    async def webhook(self, tenant, name, path="/webhook/ok", **fields):
        """A webhook of the tenant that leads to our n8n."""
        url = self.n8n.url(path)
        return await self.app.webhooks.create_n8n_webhook(tenant.id, name, webhook_url=url, **fields)


@asynccontextmanager
async def played(database_url, folder, **given):
    """A scene on a migrated database; the site delivers too.

    Args:
        database_url: The owner's URL of the database.
        folder: Its data directory.
        given: Further settings.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = await build(Settings(database_url=database_url, hookvault_data_dir=folder, app_url=base, **given))
    make_quick(app)
    config = uvicorn.Config(
        create_site(app), http=BoundedProtocol, ws="none", lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext
    await app.start()
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        async with N8n() as n8n:
            yield Scene(app, base, n8n)
    finally:
        app.tail.end()
        server.should_exit = True
        await asyncio.wait_for(task, 20)
        await app.close()
