"""What tests of the pages of webhooks share: a tenant with webhooks, and a browser of somebody on them."""

import re
from dataclasses import dataclass
from html import unescape
from typing import Any

PARTLY = {"hx-request": "true", "hx-request-type": "partial"}


def words(answer):
    """What a page says, without its markup."""
    text = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", answer.text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


@dataclass
class Shop:
    """A tenant's webhooks, seen by one visitor."""

    app: Any
    page: Any
    tenant: str

    @property
    def root(self):
        return f"/tenants/{self.tenant}/webhooks"

    async def make(self, name, **fields):
        """A webhook, made by the service."""
        fields = {"webhook_url": f"https://n8n.example.com/webhook/{name.lower()}", **fields}
        return await self.app.webhooks.create_n8n_webhook(self.tenant, name, **fields)

    async def find(self, webhook):
        return await self.app.webhooks.get_n8n_webhook(self.tenant, webhook.id)

    async def names(self):
        return [each.workflow_name for each in await self.app.webhooks.get_n8n_webhooks_by_tenant(self.tenant)]

    async def get(self, path="", **headers):
        return await self.page.get(self.root + path, headers=headers)

    async def part(self, path="", **headers):
        """As htmx asks for a part of a page."""
        return await self.page.get(self.root + path, headers={**PARTLY, **headers})

    async def post(self, path, data, **headers):
        return await self.page.post(self.root + path, data=data, headers={**PARTLY, **headers})


def form(**given):
    """What the form of a new webhook submits where nothing is typed but this."""
    switches = ("policy.retryOnTimeout", "policy.retryOnWorkflowError", "policy.keepPayloads")
    typed = {"workflowName": "order-paid", "webhookUrl": "https://n8n.example.com/webhook/order-paid", "isActive": "on"}
    return {**typed, "authType": "none", **dict.fromkeys(switches, "on"), **given}


def at_field(answer, name):
    """What stands below a field as being wrong with it; empty where nothing does."""
    found = re.search(rf'id="h-{re.escape(name)}">.*?<span>(.*?)</span>', answer.text, re.DOTALL)
    invalid = re.search(rf'name="{re.escape(name)}"[^>]*aria-invalid="true"', answer.text)
    return unescape(found.group(1)) if found and invalid else ""


def rows_of(answer):
    """The names in the table, in their order."""
    return [unescape(name) for name in re.findall(r'<a class="name" href="[^"]*">(.*?)</a>', answer.text)]


def value_of(answer, name):
    """What stands in a field."""
    found = re.search(rf'<input id="f-{re.escape(name)}"[^>]* value="(.*?)"', answer.text)
    return unescape(found.group(1)) if found else None
