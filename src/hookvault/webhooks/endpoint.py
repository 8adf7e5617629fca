"""Webhooks ready to be called: address parsed, secrets opened into boxes, kept for a second at most."""

import asyncio
import time
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from hookvault.db.pool import Database
from hookvault.errors import ConflictError, NotFoundError
from hookvault.outbound.guard import AddressPolicy, Target, parse_target
from hookvault.vault.secret import HIDDEN, Secret
from hookvault.vault.service import TenantCipher, Vault
from hookvault.webhooks import store
from hookvault.webhooks.echo import Redactor
from hookvault.webhooks.model import AuthType, Policy, StoredWebhook
from hookvault.webhooks.seal import place, policy_of

_FRESH_S = 1.0  # an admin's change reaches every process within this time, and its own process at once
_CACHED = 20_000


@dataclass(frozen=True)
class Endpoint:
    """What one call needs of a webhook. What is worked out from its fields is worked out once, not for every call."""

    tenant_id: str
    webhook_id: UUID
    workflow_name: str
    url: str
    auth_type: AuthType
    auth_config: dict[str, object]
    auth_token: Secret | None
    static_headers: tuple[tuple[str, Secret], ...]
    signing_secret: Secret | None
    policy: Policy
    addresses: AddressPolicy

    @cached_property
    def redactor(self) -> Redactor:
        """Takes every secret that goes along or signs out of what a receiver answers; none may come back in a record."""
        held = (self.auth_token, self.signing_secret, *(value for _, value in self.static_headers))
        return Redactor(secret for secret in held if secret is not None)

    @cached_property
    def target(self) -> Target:
        """The parsed address. Raises InvalidURLError or AddressBlockedError."""
        return parse_target(self.url, self.addresses)

    @cached_property
    def masked(self) -> dict[str, str]:
        """The static headers as a record shows them: their names, and no value."""
        return dict.fromkeys((name for name, _ in self.static_headers), HIDDEN)


class Endpoints:
    """Finds webhooks for calls: one query a second and webhook, however many calls."""

    def __init__(self, database: Database, vault: Vault, addresses: AddressPolicy) -> None:
        self._database = database
        self._vault = vault
        self._addresses = addresses
        self._known: dict[tuple[str, str], tuple[float, Endpoint]] = {}
        self._loading: dict[tuple[str, str], asyncio.Task[Endpoint]] = {}

    async def find(self, tenant_id: str, workflow_name: str) -> Endpoint:
        """The webhook of a workflow, ready to be called.

        Raises:
            NotFoundError: `tenant_not_found` or `webhook_not_found`.
            ConflictError: `tenant_suspended` or `webhook_inactive`.
            CipherError: its secrets do not open.
            UnavailableError: code `database_unavailable`.
        """
        key = (tenant_id, workflow_name)
        known = self._known.get(key)
        if known is not None and time.monotonic() - known[0] < _FRESH_S:
            return known[1]
        task = self._loading.get(key)
        if task is None:
            # One load for all who wait; a task of its own, so that a caller who leaves takes nobody along.
            task = self._loading[key] = asyncio.create_task(self._load(key))
            task.add_done_callback(lambda done: self._forget_load(key, done))
        return await asyncio.shield(task)

    def forget(self, tenant_id: str) -> None:
        """Drops what is known of a tenant's webhooks, after an admin changed something."""
        for key in [key for key in self._known if key[0] == tenant_id]:
            del self._known[key]
        for key in [key for key in self._loading if key[0] == tenant_id]:
            del self._loading[key]

    def _forget_load(self, key: tuple[str, str], done: "asyncio.Task[Endpoint]") -> None:
        if self._loading.get(key) is done:
            del self._loading[key]
        if not done.cancelled():
            done.exception()  # marks it as seen: whoever waited has it

    async def _load(self, key: tuple[str, str]) -> Endpoint:
        began = time.monotonic()
        tenant_id, workflow_name = key
        async with self._database.tenant(tenant_id) as tx:
            found = await store.find_target(tx, tenant_id, workflow_name)
            if found is None:
                raise NotFoundError(f"There is no tenant {tenant_id}.", code="tenant_not_found")
            webhook = found.webhook
            if webhook is None:
                raise store.not_found(workflow_name)
            if found.tenant_status != "active":
                raise ConflictError(f"The tenant {tenant_id} is suspended.", code="tenant_suspended")
            if not webhook.is_active:
                raise ConflictError(f"The webhook {workflow_name} is switched off.", code="webhook_inactive")
            cipher = await self._vault.at(tx, tenant_id, webhook.key_version)
        endpoint = _opened(webhook, cipher, self._addresses)
        if self._loading.get(key) is asyncio.current_task():
            if len(self._known) > _CACHED:
                self._known.clear()
            self._known[key] = (began, endpoint)
        return endpoint


def _opened(webhook: StoredWebhook, cipher: TenantCipher, addresses: AddressPolicy) -> Endpoint:
    def opened(field: str, sealed: str | None) -> Secret | None:
        return None if sealed is None else cipher.open(place(webhook.id, field), sealed)

    headers = ((name, opened(f"static_headers.{name}", value)) for name, value in webhook.static_headers.items())
    return Endpoint(
        tenant_id=webhook.tenant_id,
        webhook_id=webhook.id,
        workflow_name=webhook.workflow_name,
        url=webhook.webhook_url,
        auth_type=webhook.auth_type,
        auth_config=dict(webhook.auth_config),
        auth_token=opened("auth_token", webhook.auth_token),
        static_headers=tuple((name, value) for name, value in headers if value is not None),
        signing_secret=opened("signing_secret", webhook.signing_secret),
        policy=policy_of(webhook.policy),
        addresses=addresses,
    )
