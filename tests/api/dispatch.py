"""A tenant's deliveries as the platform's backend sees them, and what accepting one changes."""

import asyncio
import json
import time

DELIVERY = {
    *("id", "tenantId", "webhookId", "workflowName", "status", "acceptedAt", "finishedAt", "nextAttemptAt", "attempts"),
    *("statusCode", "errorCode", "errorMessage", "triggeredBy", "orderingKey", "deliverBefore", "idempotencyKey"),
    *("replayOf", "expungedAt"),
}
STORY = DELIVERY | {"payload", "altered", "metadata", "calls", "trail"}
ENDED = {"delivered", "failed", "expired"}


class Deliveries:
    """A tenant's deliveries as the platform's backend sees them."""

    def __init__(self, tenancy):
        self.client, self.tenancy = tenancy.client, tenancy
        self.path = f"/api/tenants/{tenancy.id}/deliveries"

    async def post(self, webhook, payload=1, *, key=None, content=None, **fields):
        name = webhook if isinstance(webhook, str) else webhook["workflowName"]
        path = f"/api/tenants/{self.tenancy.id}/webhooks/{name}/deliveries"
        headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key is not None else {})
        body = content if content is not None else json.dumps({"payload": payload, **fields})
        return await self.client.post(path, content=body, headers=headers)

    async def send(self, webhook, payload=1, **fields):
        """An accepted delivery's id."""
        answer = await self.post(webhook, payload, **fields)
        assert answer.status_code == 202, answer.text
        assert answer.json().keys() == {"deliveryId"}
        return answer.json()["deliveryId"]

    async def story(self, delivery_id):
        answer = await self.client.get(f"{self.path}/{delivery_id}")
        assert answer.status_code == 200, answer.text
        assert answer.json().keys() == STORY
        return answer.json()

    async def ended(self, *delivery_ids):
        """The stories once all have ended."""
        ends = time.monotonic() + 15
        stories = []
        for delivery_id in delivery_ids:
            while (story := await self.story(delivery_id))["status"] not in ENDED:
                assert time.monotonic() < ends, f"{story['status']}: {story['trail']}"
                await asyncio.sleep(0.01)
            stories.append(story)
        return stories

    async def list(self, **query):
        answer = await self.client.get(self.path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ids(self, **query):
        return [item["id"] for item in (await self.list(**query))["items"]]


async def accepted(owner):
    """All that accepting a delivery could have changed."""
    (row,) = await owner(
        "SELECT (SELECT sum(accepted) FROM delivery_ledger), (SELECT count(*) FROM webhook_deliveries), "
        "(SELECT count(*) FROM idempotency_keys), (SELECT count(*) FROM delivery_replays)"
    )
    return tuple(row)
