"""Integrations: configure, read, remove, and open for use. Secrets are sealed on the way in and never read back out."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from hookvault.audit import store as audit
from hookvault.audit.diff import differences
from hookvault.audit.model import IN_PROCESS, Actor
from hookvault.clock import iso, now
from hookvault.db.pool import Database, TenantTx
from hookvault.errors import ConflictError, InvalidError, NotFoundError, PreconditionError
from hookvault.integrations import store, succession
from hookvault.integrations.change import Change, destinations_of, keep_test, read_change, secrets_to_repeat, validate
from hookvault.integrations.layout import boxed, not_configured, refuse_lost
from hookvault.integrations.layout import place_of as _place
from hookvault.integrations.layout import provider_of as _provider_of
from hookvault.integrations.layout import secret_names as _secret_names
from hookvault.integrations.model import KINDS, Integration, Kind, StoredConfig, StoredRow, TenantIntegration
from hookvault.integrations.succession import Turn
from hookvault.integrations.view import integration_view, shown_fields, tenant_view
from hookvault.providers.base import Provider
from hookvault.tenants import store as tenants
from hookvault.vault.cipher import decrypt, is_ciphertext
from hookvault.vault.mask import hint_of
from hookvault.vault.registry import LOST, TENANT_INTEGRATIONS
from hookvault.vault.secret import Secret
from hookvault.vault.service import KeyFault, TenantCipher, Vault


@dataclass(frozen=True, slots=True)
class Edit:
    """Who changes which integration, how and when."""

    kind: Kind
    body: Mapping[str, Any]
    actor: Actor
    moment: datetime
    accept_sealed: bool = False
    if_version: int | None = None


class IntegrationService:
    """The questions and commands on a tenant's integrations."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def get_tenant_integration(self, tenant_id: str) -> TenantIntegration | None:
        """All integrations of a tenant; None while nothing was configured. Needs no key.

        Raises:
            NotFoundError: code `tenant_not_found`.
        """
        async with self._database.tenant(tenant_id) as tx:
            await tenants.get(tx, tenant_id)
            row = await store.find(tx)
            if row is None:
                return None
            faults = await self._vault.faults(tx, tenant_id, TENANT_INTEGRATIONS.name, [row.key_version])

        def fault_of(kind: Kind, name: str, sealed: str | None) -> KeyFault | None:
            return faults.of(tenant_id, row.key_version, _place(tenant_id, kind, name).field, sealed)

        return tenant_view(row, _provider_of, fault_of)

    async def create_tenant_integration(
        self,
        tenant_id: str,
        *,
        whatsapp_config: Mapping[str, Any] | None = None,
        sms_config: Mapping[str, Any] | None = None,
        n8n_base_url: str | None = None,
        n8n_api_key: str | None = None,
        actor: Actor = IN_PROCESS,
    ) -> TenantIntegration:
        """Configures a tenant's integrations at once, from plain values or ones of `encrypt_whatsapp_config` and its like.

        Raises:
            NotFoundError: code `tenant_not_found`.
            ConflictError: code `integration_exists`, when the tenant has any integration already.
            InvalidError: a configuration that is not acceptable; nothing is stored then.
        """
        bodies = _bodies(whatsapp_config, sms_config, n8n_base_url, n8n_api_key)
        moment = now()
        async with self._database.tenant(tenant_id) as tx:
            await tenants.get(tx, tenant_id)
            cipher = await self._vault.active(tx, tenant_id)
            row = await store.ensure(tx, key_version=cipher.version, moment=moment, author=actor.label)
            if row.configs:
                raise _exists(next(iter(row.configs)))
            for kind, body in bodies.items():
                await self._apply(tx, row, cipher, Edit(kind, body, actor, moment, accept_sealed=True))
        return tenant_view(row, _provider_of)

    async def update_tenant_integration(
        self,
        tenant_id: str,
        *,
        whatsapp_config: Mapping[str, Any] | None = None,
        sms_config: Mapping[str, Any] | None = None,
        n8n_base_url: str | None = None,
        n8n_api_key: str | None = None,
        actor: Actor = IN_PROCESS,
    ) -> TenantIntegration:
        """Changes what is named, in one transaction; an integration that was not configured yet is made.

        Raises as `create_tenant_integration`, with `integration_not_found` where the tenant has none at all.
        """
        bodies = _bodies(whatsapp_config, sms_config, n8n_base_url, n8n_api_key)
        moment = now()
        async with self._database.tenant(tenant_id) as tx:
            await tenants.get(tx, tenant_id)
            row = await store.find(tx, lock=True)
            if row is None:
                raise NotFoundError("This tenant has no integrations yet.", code="integration_not_found")
            cipher = await self._vault.active(tx, tenant_id)
            for kind, body in bodies.items():
                await self._apply(tx, row, cipher, Edit(kind, body, actor, moment, accept_sealed=True))
        return tenant_view(row, _provider_of)

    async def delete_tenant_integration(self, tenant_id: str, *, actor: Actor = IN_PROCESS) -> None:
        """Removes all integrations of a tenant, secrets included. Idempotent."""
        async with self._database.tenant(tenant_id) as tx:
            if await store.delete(tx):
                await store.end_versions(tx, None, now())
                await audit.record(tx, actor, "integration.deleted", ("integration", "all"))

    async def configure(
        self,
        tenant_id: str,
        kind: Kind,
        body: Mapping[str, Any],
        *,
        create: bool,
        if_version: int | None = None,
        actor: Actor = IN_PROCESS,
    ) -> Integration:
        """Makes (`create`) or changes one integration from the API's fields.

        Raises:
            NotFoundError: `tenant_not_found`, or `integration_not_found` on a change.
            ConflictError: `integration_exists` on a creation.
            PreconditionError: the integration is no longer at `if_version`.
            InvalidError: `mask_submitted`, `secrets_required`, `invalid_input` with all faults by field.
        """
        moment = now()
        async with self._database.tenant(tenant_id) as tx:
            await tenants.get(tx, tenant_id)
            cipher = await self._vault.active(tx, tenant_id)
            row = await store.ensure(tx, key_version=cipher.version, moment=moment, author=actor.label)
            if create and kind in row.configs:
                raise _exists(kind)
            if not create and kind not in row.configs:
                raise not_configured(kind)
            return await self._apply(tx, row, cipher, Edit(kind, body, actor, moment, if_version=if_version))

    async def remove(
        self, tenant_id: str, kind: Kind, *, if_version: int | None = None, actor: Actor = IN_PROCESS
    ) -> None:
        """Removes one integration with its secrets. Idempotent.

        Raises:
            NotFoundError: code `tenant_not_found`.
            PreconditionError: the integration is no longer at `if_version`.
        """
        async with self._database.tenant(tenant_id) as tx:
            await tenants.get(tx, tenant_id)
            row = await store.find(tx, lock=True)
            if row is None or kind not in row.configs:
                return
            removed = row.configs.pop(kind)
            if if_version is not None and removed.version != if_version:
                raise PreconditionError(f"The {kind} integration was changed since version {if_version}.")
            await store.end_versions(tx, kind, now())
            row.versions[kind] = {"at": iso(now()), "version": removed.version}
            row.updated_at, row.updated_by = now(), actor.label
            await store.save(tx, row)
            await audit.record(tx, actor, "integration.deleted", ("integration", kind))

    async def open_config(self, tenant_id: str, kind: Kind) -> dict[str, str | Secret]:
        """A tenant's configuration ready for use: plain values as text, secrets boxed.

        Raises:
            NotFoundError: `tenant_not_found` or `integration_not_found`.
            CipherError: a secret does not open under the tenant's key.
        """
        async with self._database.tenant(tenant_id) as tx:
            await tenants.get(tx, tenant_id)
            row = await store.find(tx)
            if row is None or kind not in row.configs:
                raise not_configured(kind)
            cipher = await self._vault.at(tx, tenant_id, row.key_version)
        return boxed(cipher, kind, row.configs[kind].values)

    async def draft(
        self, tenant_id: str, kind: Kind, body: Mapping[str, Any]
    ) -> tuple[Provider, dict[str, str | Secret]]:
        """A configuration as it would be with these changes, ready for use; nothing is stored.

        Stored secrets are in it only where every field that says where they go is as stored.

        Raises:
            NotFoundError: `tenant_not_found`, or `integration_not_found` for no changes to nothing.
            InvalidError: as `configure` does for these changes.
        """
        edit = Edit(kind, body, IN_PROCESS, now())
        async with self._database.tenant(tenant_id) as tx:
            await tenants.get(tx, tenant_id)
            cipher = await self._vault.active(tx, tenant_id)
            row = await store.find(tx)
            stored = row.configs.get(kind) if row else None
            if stored is None and not body:
                raise not_configured(kind)
            if row is not None and row.key_version != cipher.version:
                cipher = await self._vault.at(tx, tenant_id, row.key_version)
        provider, base = _base(edit, stored)
        change = read_change(_without_provider(edit), provider, accept_sealed=False)
        _refuse_lost(base, change)
        change = validate(change, base, provider)
        if base is not None:
            self._check_destination(tenant_id, kind, (provider, cipher), base, change)
        gone = {*change.cleared, *change.new}
        kept = {name: value for name, value in (base.values if base else {}).items() if name not in gone}
        secret = _secret_names(provider)
        typed = {name: Secret(value) if name in secret else value for name, value in change.new.items()}
        return provider, {**boxed(cipher, kind, kept), **typed}

    async def locked(
        self, tx: TenantTx, kind: Kind, if_version: int | None = None, *, lock: bool = True
    ) -> tuple[StoredRow, TenantCipher]:
        """A row with this integration in it, under the active data key; locked until the transaction ends, unless told not to.

        Raises:
            NotFoundError: `tenant_not_found` or `integration_not_found`.
            PreconditionError: the integration is no longer at `if_version`.
        """
        await tenants.get(tx, tx.tenant_id)
        cipher = await self._vault.active(tx, tx.tenant_id)
        row = await store.find(tx, lock=lock)
        if row is None or kind not in row.configs:
            raise not_configured(kind)
        if if_version is not None and row.configs[kind].version != if_version:
            raise PreconditionError(f"The {kind} integration was changed since version {if_version}.")
        await self._reseal(tx, row, cipher)
        return row, cipher

    async def _apply(self, tx: TenantTx, row: StoredRow, cipher: TenantCipher, edit: Edit) -> Integration:
        """Changes one integration of a locked row, stores the row and the audit event."""
        stored = row.configs.get(edit.kind)
        before = shown_fields(row, edit.kind, _provider_of)
        if edit.if_version is not None and (stored is None or stored.version != edit.if_version):
            raise PreconditionError(f"The {edit.kind} integration was changed since version {edit.if_version}.")
        await self._reseal(tx, row, cipher)
        await self._vault.forget_faults(tx, row.tenant_id, TENANT_INTEGRATIONS.name, row.tenant_id)
        provider, base = _base(edit, stored)
        change = read_change(_without_provider(edit), provider, accept_sealed=edit.accept_sealed)
        if edit.accept_sealed:
            change.new = {name: self._unsealed(value) for name, value in change.new.items()}
        generated = _generated(provider, base, change)
        _refuse_lost(base, change)
        change = validate(change, base, provider)
        moved = base is None or self._check_destination(row.tenant_id, edit.kind, (provider, cipher), base, change)
        config = _merged(row, edit, base, change)
        for name, value in change.new.items():
            self._put(config, (edit, provider, cipher), name, value)
        row.configs[edit.kind] = config
        row.updated_at, row.updated_by = edit.moment, edit.actor.label
        await store.save(tx, row)
        action = "integration.created" if stored is None else "integration.updated"
        changed = sorted({*change.new, *change.cleared})
        turn = Turn(edit.kind, provider.kind, edit.actor, edit.moment)
        replaced = not _secret_names(provider).isdisjoint(changed)
        await succession.follow(tx, turn, row, replaced=replaced, moved=moved)
        detail = {"changed": changed, "changes": differences(before, shown_fields(row, edit.kind, _provider_of))}
        await audit.record(tx, edit.actor, action, ("integration", edit.kind), detail=detail)
        return integration_view(edit.kind, config, provider, warnings=change.warnings, generated=generated)

    def _check_destination(
        self,
        tenant_id: str,
        kind: Kind,
        using: tuple[Provider, TenantCipher],
        stored: StoredConfig,
        change: Change,
    ) -> bool:
        """Whether a field that says where secrets go is another now; refused unless those secrets come with it."""
        provider, cipher = using
        secret = _secret_names(provider)
        changed = set()
        for name in destinations_of(provider.kind):
            old = stored.values.get(name)
            if name in change.new and old == LOST:
                changed.add(name)
            elif name in change.new and old is not None:
                was = cipher.open(_place(tenant_id, kind, name), old) if name in secret else Secret(old)
                if not was.same_as(Secret(change.new[name])):
                    changed.add(name)
        missing = secrets_to_repeat(provider.kind, changed, stored, change)
        if missing:
            raise InvalidError(
                f"{', '.join(sorted(changed))} changed: give {', '.join(missing)} again with it, so that a stored secret "
                "can't be sent to a new place unseen.",
                code="secrets_required",
                errors=[{"field": name, "message": "must be given again"} for name in missing],
            )
        return bool(changed)

    async def _reseal(self, tx: TenantTx, row: StoredRow, cipher: TenantCipher) -> None:
        """Brings a row that an older data key sealed to the active one: a row names one key version for all it holds."""
        if row.key_version == cipher.version:
            return
        old = await self._vault.former(tx, row.tenant_id, row.key_version)
        for kind, config in row.configs.items():
            for name in _secret_names(_provider_of(kind, config.values)).intersection(config.values):
                place = _place(row.tenant_id, kind, name)
                config.values[name] = cipher.take_over(place, config.values[name], old) or LOST
        row.key_version = cipher.version

    def _unsealed(self, value: str) -> str:
        """The plain text of a value in version 0 form (under ENCRYPTION_KEY itself), any other value as it is."""
        return decrypt(value, self._vault.ring.current.raw_hex.open()) if is_ciphertext(value) else value

    @staticmethod
    def _put(config: StoredConfig, using: tuple[Edit, Provider, TenantCipher], name: str, value: str) -> None:
        edit, provider, cipher = using
        if name not in _secret_names(provider):
            config.values[name] = value
            return
        place = _place(cipher.tenant_id, edit.kind, name)
        config.values[name] = cipher.seal(place, Secret(value))
        config.hints[name] = {"hint": hint_of(value), "updatedAt": iso(edit.moment)}


def _refuse_lost(base: StoredConfig | None, change: Change) -> None:
    """Secrets of this integration whose key is gone must come along, or go."""
    values = base.values if base else {}
    lost = [
        name
        for name, value in values.items()
        if value == LOST and name not in change.new and name not in change.cleared
    ]
    refuse_lost(lost)


def _bodies(
    whatsapp: Mapping[str, Any] | None,
    sms: Mapping[str, Any] | None,
    base_url: str | None,
    api_key: str | None,
) -> dict[Kind, Mapping[str, Any]]:
    n8n = {name: value for name, value in (("baseUrl", base_url), ("apiKey", api_key)) if value is not None}
    found = {"whatsapp": whatsapp, "sms": sms, "n8n": n8n or None}
    return {kind: body for kind in KINDS if (body := found[kind]) is not None}


def _exists(kind: Kind) -> ConflictError:
    return ConflictError(
        f"This tenant has a {kind} integration already. Change it with PUT.", code="integration_exists"
    )


def _base(edit: Edit, stored: StoredConfig | None) -> tuple[Provider, StoredConfig | None]:
    """The provider that the result is for, and what of the stored configuration it can keep: nothing of another's."""
    before = dict(stored.values) if stored else {}
    named = edit.body.get("provider")
    provider = _provider_of(edit.kind, {**before, **({"provider": named} if named is not None else {})})
    if stored is not None and edit.kind == "sms" and before.get("provider") != provider.kind:
        return provider, None
    return provider, stored


def _without_provider(edit: Edit) -> dict[str, Any]:
    return {name: value for name, value in edit.body.items() if edit.kind != "sms" or name != "provider"}


def _generated(provider: Provider, stored: StoredConfig | None, change: Change) -> dict[str, str]:
    """Values that we make because nobody gave them, such as the WhatsApp verify token: put into the change."""
    made = {}
    for field in provider.fields:
        present = field.name in change.new or (stored is not None and field.name in stored.values)
        if field.generated and not present:
            made[field.name] = change.new[field.name] = secrets.token_hex(16)
    return made


def _merged(row: StoredRow, edit: Edit, base: StoredConfig | None, change: Change) -> StoredConfig:
    before = row.configs.get(edit.kind)
    last = before.version if before else row.versions.get(edit.kind, {}).get("version", 0)
    kept = {name: value for name, value in (base.values if base else {}).items() if name not in change.cleared}
    hints = {name: hint for name, hint in (base.hints if base else {}).items() if name in kept}
    if edit.kind == "sms":
        named = edit.body.get("provider") or kept.get("provider") or "twilio"
        kept["provider"] = cast(str, named)
    enabled = change.enabled if change.enabled is not None else (before.enabled if before else True)
    return StoredConfig(enabled, kept, hints, last + 1, iso(edit.moment), keep_test(base, change, last + 1))
