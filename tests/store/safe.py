"""What the tests of keys share: a database of their own, processes with chosen master keys, and tenants with secrets."""

import asyncio
import secrets
from contextlib import asynccontextmanager

import asyncpg

from canary import planted
from hookvault.settings import Settings
from hookvault.vault.keys import MasterKey
from hookvault.wiring import build

A, B, C = (f"{digit}4d1" + "9e37a5c2" * 7 + "f06e" for digit in "abc")


def fp(key):
    """A key's fingerprint."""
    return MasterKey(key).fingerprint


class Safe:
    """One database; processes on it with whatever keys a test gives them."""

    def __init__(self, url, folder):
        self.url = url
        self._folder = folder

    @asynccontextmanager
    async def process(self, key, *, start=None, deliver=False, **more):
        """The services of one process; `start` says of which kind, where it is to count as living."""
        settings = Settings(database_url=self.url, hookvault_data_dir=self._folder, encryption_key=key, **more)
        app = await build(settings)
        try:
            if start:
                await app.start(kind=start, deliver=deliver)
            yield app
        finally:
            await app.close()

    async def sql(self, statement, *values):
        """Rows, as the owner."""
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()

    async def value(self, statement, *values):
        return (await self.sql(statement, *values))[0][0]


async def fill(app, tenant_id, webhooks=2):
    """A tenant with every kind of secret; its secrets, to be compared with later: by integration, and by webhook."""
    if tenant_id not in [tenant.id for tenant in (await app.tenants.list_tenants(limit=200)).items]:
        await app.tenants.create_tenant(tenant_id, tenant_id=tenant_id)
    token, auth, key = planted("meta-token"), planted("twilio-auth"), planted("n8n-key")
    await app.integrations.create_tenant_integration(
        tenant_id,
        whatsapp_config={"phoneNumberId": "1234567890", "businessAccountId": "987654321", "accessToken": token},
        sms_config={
            "provider": "twilio",
            "accountSid": "AC" + "1" * 32,
            "authToken": auth,
            "phoneNumber": "+15551234567",
        },
        n8n_base_url="https://n8n.example.com/webhook",
        n8n_api_key=key,
    )
    known = {}
    for number in range(webhooks):
        bearer, header = planted("bearer"), planted("header")
        made = await app.webhooks.create_n8n_webhook(
            tenant_id, f"flow-{number}", auth_token=bearer, static_headers={"x-own": header}
        )
        await app.webhooks.rotate_signing_secret(tenant_id, made.id)
        known[made.workflow_name] = (bearer, header)
    return {"accessToken": token, "authToken": auth, "apiKey": key}, known


async def opens(app, tenant_id, filled):
    """That all of a tenant's secrets open and are what they were."""
    config, webhooks = filled
    for kind, field in (("whatsapp", "accessToken"), ("sms", "authToken"), ("n8n", "apiKey")):
        assert (await app.integrations.open_config(tenant_id, kind))[field].open() == config[field]
    app.webhooks.forget(tenant_id)
    for name, (bearer, header) in webhooks.items():
        endpoint = await app.webhooks._endpoints.find(tenant_id, name)
        assert endpoint.auth_token.open() == bearer
        assert dict(endpoint.static_headers)["x-own"].open() == header
        assert len(endpoint.signers) == 2


async def rekeyed(app, tenant_id=None):
    """A rekeying from its beginning to its end, without waiting for the last readers."""
    app.rekeys._last_readers_s = 0.0
    await app.rekeys.start(tenant_id)
    return await finished(app)


async def finished(app, seconds=20):
    """Goes on with the rekeying that runs, to its end."""
    app.rekeys._last_readers_s = 0.0
    async with asyncio.timeout(seconds):
        while await app.rekeys.step() not in ("finished", "idle"):
            await asyncio.sleep(0)
    return await app.rekeys.progress()


def new_key():
    return secrets.token_hex(32)
