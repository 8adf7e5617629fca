"""Webhooks: make, read, change, delete, and call."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

from hookvault.admission import store as admission
from hookvault.audit import store as audit
from hookvault.audit.diff import differences
from hookvault.audit.model import IN_PROCESS, SYSTEM, Actor
from hookvault.clock import now
from hookvault.db.pool import Database, TenantTx
from hookvault.errors import HookvaultError, PreconditionError
from hookvault.fault import fault_point
from hookvault.outbound.guard import AddressPolicy
from hookvault.paging import Page, cut, decode_cursor, encode_cursor
from hookvault.queue.ending.waiting import end_waiting
from hookvault.settings import Settings
from hookvault.tenants import store as tenants
from hookvault.vault.registry import N8N_WEBHOOKS
from hookvault.vault.service import Vault
from hookvault.webhooks import store
from hookvault.webhooks.call import Caller, budget_of
from hookvault.webhooks.change import Editing, apply, shown_fields, view, with_signing_secret
from hookvault.webhooks.delivery import DeliveryService, check_request
from hookvault.webhooks.draft import address, blank
from hookvault.webhooks.edit import check_fields, fault
from hookvault.webhooks.endpoint import Endpoints
from hookvault.webhooks.model import NEVER_CALLED, CallRequest, CallResult, Counters, StoredWebhook, Webhook
from hookvault.webhooks.once import OnceCaller
from hookvault.webhooks.payload import encode_payload
from hookvault.webhooks.seal import resealed
from hookvault.webhooks.signing import new_signing_secret

_CURSOR = "webhooks"
_SWITCHED_OFF = "webhook_inactive"
MAX_OVERLAP_HOURS = 168
HTTP_GONE = 410


class WebhookService:
    """The questions and commands on a tenant's webhooks, asked alike by the API and Python."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        caller: Caller,
        endpoints: Endpoints,
        settings: Settings,
        *,
        policy: AddressPolicy,
        deliveries: DeliveryService,
    ) -> None:
        self._database = database
        self._vault = vault
        self._caller = caller
        self._endpoints = endpoints
        self._settings = settings
        self._policy = policy
        self._deliveries = deliveries
        self._once = OnceCaller(database)

    async def create_n8n_webhook(
        self,
        tenant_id: str,
        workflow_name: str,
        *,
        actor: Actor = IN_PROCESS,
        counters: Counters = NEVER_CALLED,
        **fields: Any,
    ) -> Webhook:
        """Makes a webhook with a generated signing secret, which only this answer holds.

        Args:
            tenant_id: Whose webhook.
            workflow_name: Unique within the tenant.
            actor: Who does it, for the audit log.
            counters: How often it was called before it came here.
            fields: Any of webhook_url, description, is_active, auth_type, auth_config, auth_token, static_headers, policy.
                Without webhook_url it is derived from the tenant's n8n base URL.

        Raises:
            NotFoundError: code `tenant_not_found`.
            ConflictError: code `webhook_exists`.
            InvalidError: a field that is not acceptable; `invalid_url`, `address_blocked`, `mask_submitted`.
        """
        check_fields({**fields, "workflow_name": workflow_name})
        moment, secret = now(), new_signing_secret()
        async with self._database.tenant(tenant_id) as tx:
            url = await address(tx, self._policy, workflow_name, fields.get("webhook_url"))
            cipher = await self._vault.active(tx, tenant_id)
            editing = Editing(cipher, moment, actor.label)
            webhook = apply(blank(tenant_id, workflow_name, url, editing), {**fields, "webhook_url": url}, editing)
            webhook = with_signing_secret(webhook, secret, editing)
            await store.insert(tx, webhook, counters)
            if not webhook.is_active:
                await admission.hold(tx, tenant_id, webhook.id, _SWITCHED_OFF)
            detail = {"workflowName": workflow_name}
            await audit.record(tx, actor, "webhook.created", ("webhook", str(webhook.id)), detail=detail)
        self._endpoints.forget(tenant_id)
        return view(webhook, counters, signing_secret=secret)

    async def get_n8n_webhook(self, tenant_id: str, webhook_id: UUID) -> Webhook:
        """A webhook with its counters. Raises NotFoundError, code `webhook_not_found` or `tenant_not_found`."""
        async with self._database.tenant(tenant_id) as tx:
            await tenants.get(tx, tenant_id)
            return await self._shown(tx, *await store.get(tx, webhook_id))

    async def get_n8n_webhook_by_name(self, tenant_id: str, workflow_name: str) -> Webhook:
        """A webhook by its workflow name. Raises NotFoundError, code `webhook_not_found` or `tenant_not_found`."""
        async with self._database.tenant(tenant_id) as tx:
            await tenants.get(tx, tenant_id)
            return await self._shown(tx, *await store.get_by_name(tx, workflow_name))

    async def get_n8n_webhooks_by_tenant(self, tenant_id: str) -> Sequence[Webhook]:
        """All webhooks of a tenant, by workflow name. Raises NotFoundError, code `tenant_not_found`."""
        return await self._all(tenant_id, active_only=False)

    async def get_active_n8n_webhooks(self, tenant_id: str) -> Sequence[Webhook]:
        """A tenant's webhooks that are switched on, by workflow name. Raises NotFoundError, `tenant_not_found`."""
        return await self._all(tenant_id, active_only=True)

    async def list_webhooks(self, tenant_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Webhook]:
        """A page of a tenant's webhooks, by workflow name. Raises NotFoundError, or InvalidError `invalid_cursor`."""
        after = decode_cursor(_CURSOR, cursor, 1)[0] if cursor else None
        async with self._database.tenant(tenant_id) as tx:
            await tenants.get(tx, tenant_id)
            found = await self._all_shown(tx, await store.list_page(tx, limit=limit + 1, after=after))
        return cut(found, limit, lambda webhook: encode_cursor(_CURSOR, webhook.workflow_name))

    async def update_n8n_webhook(
        self,
        tenant_id: str,
        webhook_id: UUID,
        changes: Mapping[str, Any],
        *,
        if_version: int | None = None,
        actor: Actor = IN_PROCESS,
    ) -> Webhook:
        """Changes a webhook: an absent field keeps, a value replaces, null clears. It holds for the next call at once.

        Args:
            tenant_id: Whose webhook.
            webhook_id: Which.
            changes: Field names in snake_case, as for `create_n8n_webhook`; `webhook_url` null derives it anew.
            if_version: The config_version that the change was made for.
            actor: Who does it, for the audit log.

        Raises:
            NotFoundError: code `webhook_not_found`.
            ConflictError: code `webhook_exists`, when a new workflow name is taken.
            PreconditionError: the webhook is no longer at `if_version`.
            InvalidError: a field that is not acceptable, or code `secrets_required`.
        """
        check_fields(changes)
        async with self._database.tenant(tenant_id) as tx:
            webhook, editing = await self._locked(tx, webhook_id, actor, if_version)
            was_active, before = webhook.is_active, shown_fields(webhook)
            fields = dict(changes)
            if "webhook_url" in fields:
                name = fields.get("workflow_name") or webhook.workflow_name
                fields["webhook_url"] = await address(tx, self._policy, name, fields["webhook_url"])
            webhook = apply(webhook, fields, editing)
            webhook = replace(webhook, config_version=webhook.config_version + 1)
            await store.update(tx, webhook)
            if webhook.is_active != was_active:
                await admission.set_hold(tx, tenant_id, webhook_id, _SWITCHED_OFF, held=not webhook.is_active)
            _, counters = await store.get(tx, webhook_id)
            detail = {"changed": sorted(changes), "changes": differences(before, shown_fields(webhook))}
            await audit.record(tx, actor, "webhook.updated", ("webhook", str(webhook_id)), detail=detail)
        self._endpoints.forget(tenant_id)
        return view(webhook, counters)

    async def rotate_signing_secret(
        self, tenant_id: str, webhook_id: UUID, *, overlap_hours: float = 24.0, actor: Actor = IN_PROCESS
    ) -> Webhook:
        """Replaces a webhook's signing secret; only this answer holds the new one.

        For `overlap_hours` (0 to 168) calls carry two signatures, the new secret's and the former one's, so that the receiver
        can be changed in that time.

        Raises:
            NotFoundError: code `webhook_not_found`.
            InvalidError: an overlap out of bounds.
        """
        if not 0 <= overlap_hours <= MAX_OVERLAP_HOURS:
            raise fault("overlapHours", f"must be from 0 to {MAX_OVERLAP_HOURS}")
        secret = new_signing_secret()
        async with self._database.tenant(tenant_id) as tx:
            webhook, editing = await self._locked(tx, webhook_id, actor, None)
            before = shown_fields(webhook)
            webhook = with_signing_secret(webhook, secret, editing, overlap_s=overlap_hours * 3600)
            await store.update(tx, webhook)
            _, counters = await store.get(tx, webhook_id)
            changes = differences(before, shown_fields(webhook))
            target, detail = ("webhook", str(webhook_id)), {"overlapHours": overlap_hours, "changes": changes}
            await audit.record(tx, actor, "webhook.signing_secret_rotated", target, detail=detail)
        self._endpoints.forget(tenant_id)
        return view(webhook, counters, signing_secret=secret)

    async def increment_webhook_stats(self, tenant_id: str, webhook_id: UUID, *, success: bool) -> None:
        """Counts a call that was made outside Hookvault. Calls made here count themselves. Raises NotFoundError."""
        async with self._database.tenant(tenant_id) as tx:
            await store.get(tx, webhook_id)
            await store.increment(tx, webhook_id, success=success, moment=now())

    async def delete_n8n_webhook(self, tenant_id: str, webhook_id: UUID, *, actor: Actor = IN_PROCESS) -> None:
        """Deletes a webhook and its secrets; its calls stay readable, its workflow name is free at once. Idempotent.

        Deliveries that were waiting for it end `failed`, code `webhook_deleted`.
        """
        async with self._database.tenant(tenant_id) as tx:
            if await store.delete(tx, webhook_id, moment=now(), author=actor.label):
                await audit.record(tx, actor, "webhook.deleted", ("webhook", str(webhook_id)))
        self._endpoints.forget(tenant_id)
        fault_point("delete.after_commit")
        await end_waiting(self._database, tenant_id, webhook_id)  # also what a former try, cut short, left waiting

    async def switch_off(self, tenant_id: str, webhook_id: UUID, *, reason: str) -> None:
        """Switches a webhook off because its receiver answered that it is gone; what waits for it is held."""
        async with self._database.tenant(tenant_id) as tx:
            if await store.switch_off(tx, webhook_id, moment=now(), author=SYSTEM.label):
                await admission.hold(tx, tenant_id, webhook_id, _SWITCHED_OFF)
                detail = {"reason": reason}
                await audit.record(tx, SYSTEM, "webhook.switched_off", ("webhook", str(webhook_id)), detail=detail)
                fault_point("gone.before_commit")
        self._endpoints.forget(tenant_id)

    async def call_webhook(
        self,
        tenant_id: str,
        workflow_name: str,
        payload: Any,
        *,
        triggered_by: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timeout_ms: int | None = None,
    ) -> CallResult:
        """Calls a webhook once, now, and records the call. The receiver's failure is a result, not an error.

        Raises:
            NotFoundError: `tenant_not_found` or `webhook_not_found`.
            ConflictError: `webhook_inactive` or `tenant_suspended`.
            InvalidError: `invalid_payload`, or a bad budget.
            TooLargeError: `payload_too_large` or `too_deep`.
            UnavailableError: `overloaded`, `database_unavailable` or `recording_unavailable`.
        """
        request = CallRequest(encode_payload(payload), triggered_by, metadata, timeout_ms, 0)
        return await self.call(tenant_id, workflow_name, request)

    async def call_webhook_with_retry(
        self,
        tenant_id: str,
        workflow_name: str,
        payload: Any,
        max_retries: int = 3,
        *,
        triggered_by: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timeout_ms: int | None = None,
    ) -> CallResult:
        """As `call_webhook`, with up to `max_retries` quick retries of what may be temporary, within the same budget."""
        request = CallRequest(encode_payload(payload), triggered_by, metadata, timeout_ms, max_retries)
        return await self.call(tenant_id, workflow_name, request)

    async def call(self, tenant_id: str, workflow_name: str, request: CallRequest) -> CallResult:
        """Calls a webhook with a payload that is JSON text already. With an idempotency key it is called once.

        Raises: as `call_webhook`; ConflictError `idempotency_conflict` or `idempotency_in_progress`.
        """
        check_request(request, self._settings.webhook_max_payload_bytes)
        if request.idempotency_key is None:
            return await self._called(tenant_id, workflow_name, request)
        before = await self._once.find(tenant_id, workflow_name, request)
        if before is not None:
            return before
        endpoint = await self._endpoints.find(tenant_id, workflow_name)
        budget_s = budget_of(endpoint, request, self._settings.webhook_timeout_s)
        return await self._once.call(
            tenant_id,
            workflow_name,
            request,
            budget_s,
            lambda call_id: self._called(tenant_id, workflow_name, request, call_id),
        )

    async def enqueue(
        self,
        tenant_id: str,
        workflow_name: str,
        payload: Any,
        *,
        connection: Any = None,
        **options: Any,
    ) -> UUID:
        """Accepts a delivery: it is sent in the background, with retries, until it is delivered or given up. Its id.

        Args:
            tenant_id: Whose webhook.
            workflow_name: Which.
            payload: Any JSON value.
            connection: An asyncpg connection to this database with a transaction open (outbox): the delivery is sent if and
                only if that commits. Without it the delivery is committed when this returns.
            options: Any of triggered_by, metadata, timeout_ms (of each attempt), max_retries, ordering_key, deliver_before,
                idempotency_key (not with `connection`).

        Raises:
            NotFoundError: `tenant_not_found` or `webhook_not_found`.
            InvalidError: `invalid_payload`, a bad option, `deliver_before_passed`.
            TooLargeError: `payload_too_large` or `too_deep`.
            ConflictError: `idempotency_conflict`.
            UnavailableError: `enqueue_unavailable`; nothing was accepted.
        """
        request = CallRequest(encode_payload(payload), **options)
        if connection is not None:
            return await self._deliveries.enqueue_in(connection, tenant_id, workflow_name, request)
        return (await self._deliveries.enqueue(tenant_id, workflow_name, request)).delivery_id

    def forget(self, tenant_id: str) -> None:
        """Drops what is cached of a tenant, after a change made elsewhere in this process (suspension, deletion)."""
        self._endpoints.forget(tenant_id)

    def forget_all(self) -> None:
        """Drops all that is cached, when what was changed elsewhere can't be known."""
        self._endpoints.forget_all()

    async def _called(
        self, tenant_id: str, workflow_name: str, request: CallRequest, call_id: UUID | None = None
    ) -> CallResult:
        endpoint = await self._endpoints.find(tenant_id, workflow_name)
        timeout_s = self._settings.webhook_timeout_s
        result = await self._caller.call(endpoint, request, default_timeout_s=timeout_s, call_id=call_id)
        if result.status_code == HTTP_GONE:
            with suppress(HookvaultError):  # the call is made and recorded; the next one that finds it gone tries again
                await self.switch_off(tenant_id, endpoint.webhook_id, reason="http_410")
        return result

    async def _all(self, tenant_id: str, *, active_only: bool) -> Sequence[Webhook]:
        async with self._database.tenant(tenant_id) as tx:
            await tenants.get(tx, tenant_id)
            return await self._all_shown(tx, await store.list_page(tx, active_only=active_only))

    async def _shown(self, tx: TenantTx, webhook: StoredWebhook, counters: Counters) -> Webhook:
        return (await self._all_shown(tx, [(webhook, counters)]))[0]

    async def _all_shown(self, tx: TenantTx, rows: Sequence[tuple[StoredWebhook, Counters]]) -> list[Webhook]:
        """Rows as they are shown: one of which nothing opens says so, and hides no other."""
        versions = [webhook.key_version for webhook, _ in rows]
        faults = await self._vault.faults(tx, tx.tenant_id, N8N_WEBHOOKS.name, versions)
        return [view(webhook, counters, faults=faults) for webhook, counters in rows]

    async def _locked(
        self, tx: TenantTx, webhook_id: UUID, actor: Actor, if_version: int | None
    ) -> tuple[StoredWebhook, Editing]:
        """A webhook locked for a change, its secrets under the tenant's active data key."""
        await tenants.get(tx, tx.tenant_id)
        webhook = await store.lock(tx, webhook_id)
        if if_version is not None and if_version != webhook.config_version:
            raise PreconditionError(f"The webhook was changed since version {if_version}; reload it.")
        cipher = await self._vault.active(tx, tx.tenant_id)
        if webhook.key_version != cipher.version:
            old = await self._vault.former(tx, tx.tenant_id, webhook.key_version)
            webhook = replace(webhook, **resealed(webhook, old, cipher))
        await self._vault.forget_faults(tx, tx.tenant_id, N8N_WEBHOOKS.name, str(webhook_id))
        return webhook, Editing(cipher, now(), actor.label)
