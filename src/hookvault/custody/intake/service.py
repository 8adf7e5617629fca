"""The import itself: each tenant, integration and webhook goes through the service that would make it for anybody."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hookvault.audit.model import Actor
from hookvault.clock import now
from hookvault.custody.intake.mapping import read_integrations, read_tenant, read_webhook
from hookvault.custody.intake.model import (
    LOST,
    Entry,
    OldIntegration,
    OldRow,
    OldTenant,
    OldWebhook,
    Remark,
    Report,
    Result,
)
from hookvault.custody.intake.store import Source
from hookvault.custody.intake.unseal import REASONS, Opener
from hookvault.errors import CipherError, ConflictError, HookvaultError, InvalidError, NotFoundError, TooLargeError
from hookvault.ids import NAME_PATTERN, is_name
from hookvault.integrations.change import read_change, validate
from hookvault.integrations.service import IntegrationService
from hookvault.outbound.guard import AddressPolicy
from hookvault.providers.registry import N8N, WHATSAPP, sms_provider
from hookvault.tenants.service import TenantService
from hookvault.vault.cipher import FieldCipher
from hookvault.vault.keys import new_data_key
from hookvault.vault.secret import Secret
from hookvault.vault.service import TenantCipher
from hookvault.webhooks.change import Editing, apply
from hookvault.webhooks.draft import blank, derived
from hookvault.webhooks.edit import check_url
from hookvault.webhooks.service import WebhookService

_PAGE = 200
# What is wrong with one row; anything else, such as a lost database, ends the import.
_REFUSED = (InvalidError, ConflictError, NotFoundError, TooLargeError, CipherError)

MESSAGES: Mapping[str, str] = {
    **REASONS,
    "plaintext": "stood in the clear; it is sealed now, but whoever read that database knows it",
    "unknown_field": "is not a field here",
    "twice": "is given twice under two spellings",
    "unused": "is not used with auth type none",
    "name_changed": "was shortened to what can be shown",
    "slug_unusable": "can't be a slug here; the id is the slug",
    "status_unknown": "is none that is known; the tenant is suspended to be safe",
    "deleted": "was deleted in the former system",
    "not_json": "is not JSON",
    "not_an_object": "is not a JSON object",
    "unknown_provider": "names an SMS provider that is not known",
    "invalid_name": f"must match {NAME_PATTERN}",
    "duplicate": "there is another row of the same tenant and name",
    "tenant_not_imported": "its tenant is not there",
    "slug_taken": "another tenant has this slug or has this id as its slug",
}


@dataclass(slots=True)
class _Tenant:
    """What is known of a tenant meanwhile. `there` is whether what belongs to it can be imported."""

    there: bool
    slug: str = ""
    before: bool = False
    deleted: bool = False
    n8n: str | None = None
    configured: bool = False


@dataclass(slots=True)
class _Webhooks:
    """The webhooks of the tenant whose rows are being read."""

    tenant_id: str | None = None
    stored: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)


class Intake:
    """Imports a former system's database. What exists already stays as it is, so a second run changes nothing.

    Args:
        tenants: The service that makes tenants.
        integrations: The one that configures integrations.
        webhooks: The one that makes webhooks.
        policy: Which addresses may be called.
        opener: Opens the former system's secrets.
        actor: Who does it, for the audit log.
        dry_run: Do every check, and write nothing.
        advance: Told after every row that was read.
    """

    def __init__(
        self,
        tenants: TenantService,
        integrations: IntegrationService,
        webhooks: WebhookService,
        *,
        policy: AddressPolicy,
        opener: Opener,
        actor: Actor,
        dry_run: bool,
        advance: Callable[[], None] = lambda: None,
    ) -> None:
        self._tenants = tenants
        self._integrations = integrations
        self._webhooks = webhooks
        self._policy = policy
        self._opener = opener
        self._actor = actor
        self._advance = advance
        self._known: dict[str, _Tenant] = {}
        self._slugs: set[str] = set()
        self._now = _Webhooks()
        self._report = Report(dry_run)

    async def run(self, source: Source) -> Report:
        """Reads everything, and says of each part what became of it.

        Raises:
            SetupError, UnavailableError: as the source does; what was imported until then stays.
        """
        await self._look_around()
        steps = {
            "tenants": self._take_tenant,
            "tenant_integrations": self._take_integrations,
            "n8n_webhooks": self._take_webhook,
        }
        for table, take in steps.items():
            async for row in source.rows(table):
                await take(row)
                self._advance()
        self._report.opened = self._opener.opened
        return self._report

    async def _look_around(self) -> None:
        """Which tenants are there before."""
        cursor: str | None = None
        while True:
            page = await self._tenants.list_tenants(limit=_PAGE, cursor=cursor)
            for tenant in page.items:
                self._slugs.add(tenant.slug)
                self._known[tenant.id] = _Tenant(there=True, slug=tenant.slug, before=True)
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _take_tenant(self, row: OldRow) -> None:
        old = read_tenant(row)
        known = self._known.get(old.id)
        if known is None:
            await self._make_tenant(old)
        elif known.before:
            self._say(old.id, "tenant", "exists")
        else:
            self._say(old.id, "tenant", "skipped", "duplicate")

    async def _tenant(self, tenant_id: str) -> _Tenant:
        """The tenant that a row belongs to; made here where the former system has no table of tenants, or not this one."""
        if tenant_id not in self._known:
            await self._make_tenant(OldTenant(tenant_id, tenant_id))
        return self._known[tenant_id]

    async def _make_tenant(self, old: OldTenant) -> None:
        self._known[old.id] = _Tenant(there=False, deleted=old.deleted)
        if old.deleted:
            self._say(old.id, "tenant", "noted", "deleted")
            return
        if not is_name(old.id):
            self._say(old.id, "tenant", "skipped", "invalid_name")
            return
        slug = old.slug or old.id
        if slug in self._slugs:
            self._say(old.id, "tenant", "skipped", "slug_taken")
            return
        if await self._done(old.id, "tenant", lambda: self._create_tenant(old, slug), old.remarks):
            self._slugs.add(slug)
            self._known[old.id] = _Tenant(there=True, slug=slug)

    async def _create_tenant(self, old: OldTenant, slug: str) -> None:
        if not self._report.dry_run:
            await self._tenants.create_tenant(
                old.name, tenant_id=old.id, slug=slug, status=old.status, actor=self._actor
            )

    async def _take_integrations(self, row: OldRow) -> None:
        tenant_id = (row.get("tenantid") or "").strip()
        tenant = await self._tenant(tenant_id)
        found = read_integrations(row, self._opener)
        if not tenant.there or tenant.configured:
            for old in found:
                self._refuse(tenant_id, old.kind, tenant)
            return
        tenant.configured = True
        stored = await self._integrations.get_tenant_integration(tenant_id) if tenant.before else None
        for old in found:
            if getattr(stored, old.kind, None) is not None:
                self._say(tenant_id, old.kind, "exists")
            else:
                await self._take_integration(tenant_id, tenant, old)

    async def _take_integration(self, tenant_id: str, tenant: _Tenant, old: OldIntegration) -> None:
        if old.lacking is not None:
            self._say(tenant_id, old.kind, "skipped", old.lacking)
            return
        if await self._done(tenant_id, old.kind, lambda: self._configure(tenant_id, old), tuple(old.remarks)):
            tenant.n8n = _base_url(old) or tenant.n8n

    async def _configure(self, tenant_id: str, old: OldIntegration) -> None:
        body = _unboxed(old.body)
        provider = {"whatsapp": WHATSAPP, "n8n": N8N}.get(old.kind) or sms_provider(str(body["provider"]))
        own = {name: value for name, value in body.items() if name != "provider"}
        validate(read_change(own, provider, accept_sealed=False), None, provider)
        if not self._report.dry_run:
            await self._integrations.configure(tenant_id, old.kind, body, create=True, actor=self._actor)

    async def _take_webhook(self, row: OldRow) -> None:
        old = read_webhook(row, self._opener)
        what = f"webhook {old.name}"
        if old.deleted:
            self._say(old.tenant_id, what, "noted", "deleted")
            return
        tenant = await self._tenant(old.tenant_id)
        if self._now.tenant_id != old.tenant_id:
            await self._turn_to(old.tenant_id, tenant)
        if not tenant.there or old.name in self._now.read:
            self._refuse(old.tenant_id, what, tenant)
            return
        self._now.read.add(old.name)
        if old.name in self._now.stored:
            self._say(old.tenant_id, what, "exists")
        elif not is_name(old.name):
            self._say(old.tenant_id, what, "skipped", "invalid_name")
        else:
            await self._done(old.tenant_id, what, lambda: self._create_webhook(old, tenant), tuple(old.remarks))

    async def _turn_to(self, tenant_id: str, tenant: _Tenant) -> None:
        """The next tenant's webhooks follow."""
        self._now = _Webhooks(tenant_id)
        if tenant.there and tenant.before:
            webhooks = await self._webhooks.get_n8n_webhooks_by_tenant(tenant_id)
            self._now.stored = {webhook.workflow_name for webhook in webhooks}
            stored = await self._integrations.get_tenant_integration(tenant_id)
            if stored is not None and stored.n8n is not None and stored.n8n.enabled:
                tenant.n8n = stored.n8n.values["baseUrl"]

    async def _create_webhook(self, old: OldWebhook, tenant: _Tenant) -> None:
        fields = _unboxed(old.fields)
        self._rehearse(old, tenant, fields)
        if not self._report.dry_run:
            await self._webhooks.create_n8n_webhook(
                old.tenant_id, old.name, actor=self._actor, counters=old.counters, **fields
            )

    def _rehearse(self, old: OldWebhook, tenant: _Tenant, fields: Mapping[str, Any]) -> None:
        """All that can be refused of a webhook, under a key that is thrown away."""
        url = fields.get("webhook_url")
        if url is None:
            if tenant.n8n is None:
                raise InvalidError("It has no URL, and its tenant no n8n base URL to derive one from.")
            url = derived(tenant.n8n, old.tenant_id, tenant.slug, old.name)
        check_url(url, self._policy)
        cipher = TenantCipher(old.tenant_id, 1, FieldCipher(new_data_key()))
        editing = Editing(cipher, now(), self._actor.label)
        apply(blank(old.tenant_id, old.name, url, editing), {**fields, "webhook_url": url}, editing)

    async def _done(
        self, tenant_id: str, what: str, make: Callable[[], Awaitable[None]], remarks: tuple[Remark, ...]
    ) -> bool:
        """Makes one part and says what became of it; whether it is there, or in a dry run would be."""
        try:
            await make()
        except _REFUSED as error:
            if error.code in ("webhook_exists", "integration_exists"):  # made by somebody else meanwhile
                self._say(tenant_id, what, "exists")
                return False
            self._refused(tenant_id, what, error, remarks)
            return False
        self._say(tenant_id, what, "ready" if self._report.dry_run else "imported")
        self._remark(tenant_id, what, remarks)
        return True

    def _refused(self, tenant_id: str, what: str, error: HookvaultError, remarks: tuple[Remark, ...]) -> None:
        """A part that is not acceptable; where a field of it was lost before, that is why."""
        lost = next((remark for remark in remarks if remark.result in LOST), None)
        reason = lost.reason if lost is not None and error.code == "invalid_input" else error.code
        entry = Entry(_told(tenant_id), _told(what), "skipped", reason, error.message)
        self._report.entries.append(entry)
        self._remark(tenant_id, what, remarks)

    def _refuse(self, tenant_id: str, what: str, tenant: _Tenant) -> None:
        if tenant.deleted:
            self._say(tenant_id, what, "noted", "deleted")
        else:
            self._say(tenant_id, what, "skipped", "duplicate" if tenant.there else "tenant_not_imported")

    def _remark(self, tenant_id: str, what: str, remarks: tuple[Remark, ...] | list[Remark]) -> None:
        for remark in remarks:
            self._say(tenant_id, f"{what}.{remark.field}", remark.result, remark.reason)

    def _say(self, tenant_id: str, what: str, result: Result, reason: str | None = None) -> None:
        message = None if reason is None else MESSAGES[reason]
        self._report.entries.append(Entry(_told(tenant_id), _told(what), result, reason, message))


def _base_url(old: OldIntegration) -> str | None:
    url = old.body.get("baseUrl")
    return _plain(url) if old.kind == "n8n" and old.body.get("enabled") and url is not None else None


def _unboxed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as the services take them, who seal what is secret at once."""
    return {
        name: _unboxed(value) if isinstance(value, Mapping) and name != "claims" else _plain(value)
        for name, value in fields.items()
    }


def _plain(value: Any) -> Any:
    return value.open() if isinstance(value, Secret) else value


def _told(text: str) -> str:
    """A name that somebody else chose, fit for every terminal."""
    return "".join(character if character.isprintable() else "?" for character in text[:200])
