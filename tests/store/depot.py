"""What the tests of deliveries share: a tenant's webhooks at the receiver, sending, waiting, and the account."""

import asyncio
import secrets
import time
from collections import Counter

import pytest

from hookvault.deliveries.model import ENDED, DeliveryFilter
from hookvault.ledger.store import read_ledger
from hookvault.webhooks.model import CallRequest

PATIENCE_S = 30
SOON_S = 0.3  # in which a delivery that may go has long gone


class Depot:
    """One tenant's deliveries to one receiver."""

    def __init__(self, app, tenant_id, n8n):
        self.app, self.tenant_id, self.n8n = app, tenant_id, n8n

    async def webhook(self, kind="ok", name=None, **fields):
        """A webhook at a path of its own, which answers as `kind` does."""
        name = name or f"flow-{secrets.token_hex(4)}"
        url = self.n8n.url(f"/webhook/{kind}/{name}")
        return await self.app.webhooks.create_n8n_webhook(self.tenant_id, name, webhook_url=url, **fields)

    def answers(self, webhook, behaviour):
        """Has the receiver answer a webhook so from now on."""
        self.n8n.answers[webhook.webhook_url.removeprefix(self.n8n.url(""))] = behaviour

    def seen(self, webhook):
        """What arrived for a webhook, oldest first."""
        path = webhook.webhook_url.removeprefix(self.n8n.url(""))
        return [seen for seen in self.n8n.seen if seen.path == path]

    async def change(self, webhook, **changes):
        return await self.app.webhooks.update_n8n_webhook(self.tenant_id, webhook.id, changes)

    async def send(self, webhook, payload=b'{"n":1}', **options):
        """Accepts a delivery of JSON text; its id."""
        request = CallRequest(payload if isinstance(payload, bytes) else str(payload).encode(), **options)
        return (await self.app.deliveries.enqueue(self.tenant_id, webhook.workflow_name, request)).delivery_id

    async def story(self, delivery_id):
        return await self.app.deliveries.get_delivery(self.tenant_id, delivery_id)

    async def becomes(self, delivery_id, status, seconds=PATIENCE_S):
        """The story once the delivery has a status, or any of several."""
        wanted = (status,) if isinstance(status, str) else status
        ends = time.monotonic() + seconds
        while (story := await self.story(delivery_id)).delivery.status not in wanted:
            if time.monotonic() > ends:
                job = await self.job(delivery_id)
                await asyncio.sleep(1)
                later = await self.story(delivery_id)
                if later.delivery.status in wanted:  # the machine stood still, and the worker with it
                    return later
                pytest.fail(
                    f"{story.delivery.status}: {story.trail}, {job}; then {later.delivery.status}: {later.trail}"
                )
            await asyncio.sleep(0.01)
        return story

    async def job(self, delivery_id):
        """Its row in the queue, and all else that tells: for whoever waited in vain."""
        async with self.app.database.system() as tx:
            rows = {
                "job": "SELECT *, clock_timestamp() AS present FROM delivery_queue WHERE id = $1",
                "deliveries": "SELECT status, attempts, accepted_at, finished_at, trail FROM webhook_deliveries WHERE id = $1",
                "calls": """SELECT id, "timestamp", status_code FROM webhook_analytics WHERE delivery_id = $1""",
            }
            found = {name: [dict(row) for row in await tx.fetch(query, delivery_id)] for name, query in rows.items()}
            busy = await tx.fetch(
                "SELECT state, wait_event_type, wait_event, clock_timestamp() - query_start AS since, left(query, 80) AS query "
                "FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'"
            )
        worker = self.app.worker
        waiting = {"shares": worker.shares.busy, "acks": worker.acks.waiting, "jobs": len(worker._jobs)}
        return found, [dict(one) for one in busy], waiting

    async def ended(self, *delivery_ids):
        """The stories once all have ended."""
        return [await self.becomes(delivery_id, ENDED) for delivery_id in delivery_ids]

    async def statuses(self):
        """How many of the tenant's deliveries are in which status."""
        page = await self.app.deliveries.list_deliveries(self.tenant_id, DeliveryFilter(), limit=200)
        return Counter(delivery.status for delivery in page.items)

    async def ledger(self):
        """The account as it is; it always balances."""
        async with self.app.database.system() as tx:
            ledger = await read_ledger(tx)
        assert ledger.balance == 0
        return ledger


def events(story):
    """The names of a trail."""
    return [entry["event"] for entry in story.trail]


async def until(condition, seconds=PATIENCE_S):
    """Waits for what other parts bring about."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
