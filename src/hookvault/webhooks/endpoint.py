"""Webhooks ready to be called: address parsed, secrets opened into boxes, kept for a second at most."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from uuid import UUID

from hookvault.admission.model import WHOLE_TENANT, Bound
from hookvault.clock import now
from hookvault.db.pool import Database
from hookvault.errors import ConflictError, HookvaultError, NotFoundError, VaultError
from hookvault.log import get_logger
from hookvault.outbound.guard import AddressPolicy, Target, parse_target
from hookvault.vault.secret import HIDDEN, Secret
from hookvault.vault.service import TenantCipher, Vault
from hookvault.webhooks import store
from hookvault.webhooks.echo import Redactor
from hookvault.webhooks.model import AuthType, Policy, StoredWebhook
from hookvault.webhooks.redact import Redaction, redaction_of
from hookvault.webhooks.seal import place, policy_of
from hookvault.webhooks.signing import Signer

_FRESH_S = 1.0  # an admin's change is told to every process at once; one that was not told knows within this time
_CACHED = 20_000

_log = get_logger()


@dataclass(frozen=True)
class Endpoint:
    """What one call needs of a webhook. What is worked out from its fields is worked out once, not for every call.

    `previous_secret` signs too until `previous_until`. `bounds` are the limits in force; `circuit_open` asks for a probe first;
    `refusal` is the code and message of why it may not be called now. `saved` is false where its fields are only tried.
    """

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
    previous_secret: Secret | None = None
    previous_until: datetime | None = None
    bounds: tuple[Bound, ...] = ()
    circuit_open: bool = False
    refusal: tuple[str, str] | None = None
    saved: bool = True

    @cached_property
    def redaction(self) -> Redaction | None:
        """What of its payloads is kept; None is all of them."""
        return redaction_of(self.policy.redact_paths, self.policy.keep_payloads)

    @cached_property
    def _signers(self) -> tuple[Signer, ...]:
        held = (self.signing_secret, self.previous_secret)
        return tuple(Signer(secret) for secret in held if secret is not None)

    @property
    def signers(self) -> Sequence[Signer]:
        """What a call is signed with: the secret, and beside it the former one while both hold. The newest first."""
        both = self.previous_until is not None and self.previous_until > now()
        return self._signers if both else self._signers[:1]

    @cached_property
    def redactor(self) -> Redactor:
        """Takes every secret that goes along or signs out of what a receiver answers; none may come back in a record."""
        held = (
            self.auth_token,
            self.signing_secret,
            self.previous_secret,
            *(value for _, value in self.static_headers),
        )
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
        self._versions: dict[UUID, tuple[str, Endpoint]] = {}
        self._changed: dict[str, float] = {}
        self._all_changed = 0.0

    async def find(self, tenant_id: str, workflow_name: str) -> Endpoint:
        """The webhook of a workflow, ready to be called.

        Raises:
            NotFoundError: `tenant_not_found` or `webhook_not_found`.
            ConflictError: `tenant_suspended` or `webhook_inactive`.
            CipherError: its secrets do not open.
            UnavailableError: code `database_unavailable`.
        """
        endpoint = await self._find((tenant_id, workflow_name))
        if endpoint.refusal is not None:
            code, message = endpoint.refusal
            raise ConflictError(message, code=code)
        return endpoint

    async def find_id(self, tenant_id: str, workflow_name: str) -> UUID:
        """The id of a webhook that deliveries are accepted for, switched on or not. Raises as `find`, but ConflictError."""
        return (await self._find((tenant_id, workflow_name))).webhook_id

    async def _find(self, key: tuple[str, str]) -> Endpoint:
        known = self._known.get(key)
        if known is not None and time.monotonic() - known[0] < _FRESH_S:
            return known[1]
        task = self._loading.get(key)
        if task is None:
            # One load for all who wait; a task of its own, so that a caller who leaves takes nobody along.
            task = self._loading[key] = asyncio.create_task(self._load(key))
            task.add_done_callback(lambda done: self._forget_load(key, done))
        return await asyncio.shield(task)

    async def find_many(self, wanted: Mapping[UUID, tuple[str, str]]) -> dict[UUID, Endpoint]:
        """Webhooks by id, for workers: kept for as long as their version is the one asked for.

        Args:
            wanted: The tenant and the present version of each webhook.

        Raises:
            UnavailableError: code `database_unavailable`. A webhook that can't be used is left out and logged.
        """
        known = self._versions
        missing = [key for key, (_, version) in wanted.items() if key not in known or known[key][0] != version]
        if missing:
            if len(known) + len(missing) > _CACHED:
                known.clear()
                missing = list(wanted)
            for endpoint in await self._load_many(missing, [wanted[key][0] for key in missing]):
                known[endpoint.webhook_id] = (wanted[endpoint.webhook_id][1], endpoint)
        return {key: known[key][1] for key, (_, version) in wanted.items() if key in known and known[key][0] == version}

    def open(self, webhook: StoredWebhook, cipher: TenantCipher) -> Endpoint:
        """A webhook that need not be stored, ready to be called. Raises CipherError."""
        return replace(_opened(webhook, cipher, self._addresses), saved=False)

    def forget(self, tenant_id: str) -> None:
        """Drops what is known of a tenant's webhooks, after an admin changed something."""
        if len(self._changed) >= _CACHED:
            self._changed.clear()
            self._all_changed = time.monotonic()
        self._changed[tenant_id] = time.monotonic()
        for key in [key for key in self._known if key[0] == tenant_id]:
            del self._known[key]
        for key in [key for key in self._loading if key[0] == tenant_id]:
            del self._loading[key]

    def forget_all(self) -> None:
        """Drops all that is known by name. What is known by id is compared by version each time."""
        self._all_changed = time.monotonic()
        self._known.clear()
        self._loading.clear()

    async def latest(self, endpoint: Endpoint, since: float) -> Endpoint:
        """The webhook as it is now, should a change of its tenant have been heard of since a moment of the monotonic clock.

        What is recorded follows the policy in force when a call ends. One that is gone or can't be read stays as it was.
        """
        if max(self._changed.get(endpoint.tenant_id, 0.0), self._all_changed) < since or not endpoint.saved:
            return endpoint
        try:
            found = await self._load_many([endpoint.webhook_id], [endpoint.tenant_id])
        except HookvaultError:
            return endpoint
        return found[0] if found else endpoint

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
            refusal = _refusal(webhook, found.tenant_status)
            cipher = await self._vault.at(tx, tenant_id, webhook.key_version)
        limits = _bounds(webhook, found.limits)
        opened = _opened(webhook, cipher, self._addresses, limits)
        endpoint = replace(opened, circuit_open=found.circuit_open, refusal=refusal)
        if self._loading.get(key) is asyncio.current_task():
            if len(self._known) > _CACHED:
                self._known.clear()
            self._known[key] = (began, endpoint)
        return endpoint

    async def _load_many(self, keys: Sequence[UUID], tenant_ids: Sequence[str]) -> list[Endpoint]:
        async with self._database.system() as tx:
            rows = await store.list_targets(tx, tenant_ids, keys)
            places = {(webhook.tenant_id, webhook.key_version) for webhook, _ in rows}
            ciphers = await self._vault.many_at(tx, sorted(places))
        made = []
        for webhook, limits in rows:
            cipher = ciphers[webhook.tenant_id, webhook.key_version]
            try:
                if isinstance(cipher, VaultError):
                    raise cipher
                made.append(_opened(webhook, cipher, self._addresses, _bounds(webhook, limits)))
            except VaultError as error:
                _log.error("webhook_unusable", tenant=webhook.tenant_id, webhook=str(webhook.id), error=error.message)
        return made


def _refusal(webhook: StoredWebhook, tenant_status: str) -> tuple[str, str] | None:
    if tenant_status != "active":
        return "tenant_suspended", f"The tenant {webhook.tenant_id} is suspended."
    if not webhook.is_active:
        return "webhook_inactive", f"The webhook {webhook.workflow_name} is switched off."
    return None


def _bounds(webhook: StoredWebhook, limits: store.Limits) -> tuple[Bound, ...]:
    policy = policy_of(webhook.policy)
    own = Bound(webhook.tenant_id, webhook.id, policy.rate_limit, policy.concurrency)
    whole = Bound(webhook.tenant_id, WHOLE_TENANT, limits.rate, limits.concurrency)
    return tuple(bound for bound in (own, whole) if bound.rate is not None or bound.concurrency is not None)


def _opened(
    webhook: StoredWebhook,
    cipher: TenantCipher,
    addresses: AddressPolicy,
    bounds: tuple[Bound, ...] = (),
) -> Endpoint:
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
        previous_secret=opened("previous_signing_secret", webhook.previous_signing_secret),
        previous_until=webhook.previous_signing_until,
        bounds=bounds,
    )
