"""A tenant whose webhooks are called, and deliveries that end, for the pages that show them."""

import asyncio
import json
import secrets
import time

from hookvault.webhooks.model import CallRequest

ENDED = ("delivered", "failed", "expired")


class Traffic:
    """A tenant, its webhooks at a receiver, and what was sent there."""

    def __init__(self, app, tenant, n8n):
        self.app, self.tenant, self.n8n = app, tenant, n8n
        self.id = tenant.id

    async def webhook(self, path="/webhook/ok", name=None, **fields):
        """Adds a webhook; its name."""
        name = name or f"flow-{secrets.token_hex(4)}"
        await self.app.webhooks.create_n8n_webhook(self.id, name, webhook_url=self.n8n.url(path), **fields)
        return name

    async def call(self, name, payload=1, **fields):
        """Calls it; the call's id."""
        return (await self.app.webhooks.call_webhook(self.id, name, payload, **fields)).call_id

    async def accept(self, name, payload=1, **fields):
        """Accepts a delivery; its id."""
        request = CallRequest(json.dumps(payload).encode(), **fields)
        return (await self.app.deliveries.enqueue(self.id, name, request)).delivery_id

    async def story(self, delivery_id):
        return await self.app.deliveries.get_delivery(self.id, delivery_id)

    async def deliver(self, name, payload=1, **fields):
        """Accepts a delivery and waits for its end; its id."""
        delivery_id = await self.accept(name, payload, **fields)
        ends = time.monotonic() + 15
        while (await self.story(delivery_id)).delivery.status not in ENDED:
            assert time.monotonic() < ends
            await asyncio.sleep(0.01)
        return delivery_id
