"""A tenant as the platform's backend sees it, configurations with planted secrets, and what a problem looks like."""

import secrets

from canary import planted

PLATFORM = "/api/platform"


class Tenancy:
    """One tenant as the platform's backend uses it."""

    def __init__(self, client, tenant_id):
        self.client = client
        self.id = tenant_id
        self.path = f"{PLATFORM}/tenants/{tenant_id}"

    async def webhook(self, url, name=None, **fields):
        """Adds a webhook; the answer that made it."""
        body = {"workflowName": name or f"flow-{secrets.token_hex(4)}", "webhookUrl": url, **fields}
        made = await self.client.post(f"{self.path}/webhooks", json=body)
        assert made.status_code == 201, made.text
        return made.json()

    async def call(self, webhook, payload=None, *, key=None, **fields):
        """Calls a webhook, by its name or the answer that made it."""
        name = webhook if isinstance(webhook, str) else webhook["workflowName"]
        headers = {"authorization": f"Bearer {key}"} if key else {}
        path = f"/api/tenants/{self.id}/webhooks/{name}/call"
        return await self.client.post(path, json={"payload": payload, **fields}, headers=headers)

    async def key(self, *scopes):
        """A key of this tenant."""
        body = {"name": "tests", "tenantId": self.id} | ({"scopes": scopes} if scopes else {})
        made = await self.client.post(f"{PLATFORM}/api-keys", json=body)
        assert made.status_code == 201, made.text
        return made.json()

    async def calls(self, **query):
        """The tenant's recorded calls, newest first."""
        answer = await self.client.get(f"{self.path}/webhooks/analytics", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    async def audit(self):
        """What was done in this tenant, newest first; not what was tried in vain, nor that somebody read this."""
        answer = await self.client.get(f"{self.path}/audit", params={"limit": 200})
        return [event for event in answer.json()["items"] if is_done(event)]


def is_done(event):
    """Whether an audit event tells of something that was done, and not that a request was refused or somebody read."""
    return "route" not in event["detail"] and event["outcome"] != "denied" and event["action"] != "audit.listed"


def whatsapp(**more):
    """A WhatsApp configuration with planted secrets."""
    return {
        "phoneNumberId": "106540352242922",
        "businessAccountId": "102290129340398",
        "accessToken": planted("whatsapp-access-token"),
        "appSecret": planted("whatsapp-app-secret"),
        **more,
    }


SMS = {
    "twilio": {
        "secrets": ("accountSid", "authToken", "apiKeySid", "apiKeySecret"),
        "plain": {"phoneNumber": "+1 555 555 5555"},
    },
    "vonage": {"secrets": ("apiKey", "apiSecret", "signatureSecret"), "plain": {"phoneNumber": "+491701234567"}},
    "aws_sns": {"secrets": ("accessKeyId", "secretAccessKey"), "plain": {"region": "eu-central-1"}},
}


def sms(provider):
    """An SMS configuration with every secret of its provider planted."""
    known = SMS[provider]
    planted_here = {name: planted(f"{provider}-{name}") for name in known["secrets"]}
    return {"provider": provider, **known["plain"], **planted_here}


def is_problem(response, status, code):
    """A problem document (RFC 9457) with a status and code, in the body as in the head."""
    assert (response.status_code, response.json().get("code")) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"]
    return body
