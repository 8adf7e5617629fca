"""The master keys of a fleet while they are changed: what its processes are given, and what holds at every moment."""

import asyncio
import secrets
from typing import Any

from canary import CANARY, planted
from fleet import Fleet
from hookvault.settings import Settings
from hookvault.vault.keys import MasterKey
from hookvault.wiring import App, build

FIELDS = 30  # secrets of a tenant that `fill` makes
WEBHOOKS = 5
_AT_ONCE = 40

# One statement, so one snapshot: none of this may be otherwise at any moment, whoever is killed.
_BROKEN = """
SELECT (SELECT array_agg(fingerprint) FROM key_history WHERE state = 'active') AS active,
    (SELECT count(*) FROM data_keys WHERE state <> 'destroyed' AND key_fingerprint NOT IN
        (SELECT fingerprint FROM key_history WHERE state = 'active'))::int AS under_another_key,
    (SELECT count(*) FROM tenants t WHERE 1 <>
        (SELECT count(*) FROM data_keys k WHERE k.tenant_id = t.id AND k.state = 'active'))::int AS without_one_data_key,
    (SELECT count(*) FROM (SELECT tenant_id, key_version FROM n8n_webhooks UNION ALL
        SELECT tenant_id, key_version FROM tenant_integrations) AS r
        LEFT JOIN data_keys k ON k.tenant_id = r.tenant_id AND k.version = r.key_version
        WHERE (k.wrapped IS NULL OR k.wrapped = '') AND r.tenant_id NOT IN (SELECT tenant_id FROM shredded_tenants))::int
        AS without_their_key
"""


def new_key() -> str:
    """A master key, that nothing may show."""
    key = secrets.token_hex(32)
    CANARY.made(key)
    return key


def fp(key: str) -> str:
    return MasterKey(key).fingerprint


class Keychain:
    """The master keys that belong to an installation, and the environment of a process that starts now."""

    def __init__(self) -> None:
        self.active = new_key()
        self.following: str | None = None
        self.former: str | None = None

    @property
    def given(self) -> dict[str, str]:
        named = {"": self.active, "_NEXT": self.following, "_PREVIOUS": self.former}
        return {f"ENCRYPTION_KEY{name}": key for name, key in named.items() if key is not None}

    def prepare(self) -> None:
        """A next key, to be given to everybody."""
        self.following, self.former = new_key(), None

    def swap(self) -> None:
        """The next key has become the active one, and gets that one's name."""
        self.active, self.following, self.former = self.following or self.active, None, self.active


async def sound(fleet: Fleet) -> str:
    """The fingerprint of the active master key, after proving that nothing is half done."""
    (row,) = await fleet.sql(_BROKEN)
    assert len(row["active"]) == 1, row
    assert list(row)[1:] == [0, 0, 0], dict(row)
    return row["active"][0]


async def fill(fleet: Fleet, keychain: Keychain, tenants: list[str], url: Any) -> dict[tuple[str, str], str]:
    """Tenants with FIELDS secrets each, made quickly; the auth token of each webhook, whose address is `url(tenant, name)`."""
    settings = Settings(
        database_url=fleet.database_url,
        hookvault_data_dir=fleet.data,
        encryption_key=keychain.active,
        log_level="warning",
    )
    app = await build(settings)
    turn, tokens = asyncio.Semaphore(_AT_ONCE), {}

    async def one(tenant_id: str) -> None:
        async with turn:
            await _integrations(app, tenant_id)
            for name in [f"w{number}" for number in range(WEBHOOKS)]:
                token = tokens[tenant_id, name] = planted("bearer")
                headers = {f"x-own-{number}": planted("header") for number in range(3)}
                address = url(tenant_id, name)
                await app.webhooks.create_n8n_webhook(
                    tenant_id, name, webhook_url=address, auth_token=token, static_headers=headers
                )

    try:
        await asyncio.gather(*map(one, tenants))
    finally:
        await app.close()
    return tokens


async def _integrations(app: App, tenant_id: str) -> None:
    await app.tenants.create_tenant(tenant_id, tenant_id=tenant_id)
    plain = {"phoneNumberId": "1234567890", "businessAccountId": "987654321"}
    twilio = {"provider": "twilio", "accountSid": "AC" + "1" * 32, "phoneNumber": "+15551234567"}
    await app.integrations.create_tenant_integration(
        tenant_id,
        whatsapp_config={**plain, "accessToken": planted("meta-token")},  # a verify token is made with it
        sms_config={**twilio, "authToken": planted("twilio-auth")},
        n8n_base_url="https://n8n.example.com/webhook",
        n8n_api_key=planted("n8n-key"),
    )
