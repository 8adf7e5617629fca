"""Tenants: make, read, change, suspend, delete."""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hookvault.admission import store as admission
from hookvault.admission.model import RateLimit, check_concurrency, check_rate_limit, is_whole
from hookvault.audit import store as audit
from hookvault.audit.model import IN_PROCESS, Actor
from hookvault.clock import now
from hookvault.db.pool import Database
from hookvault.deliveries import store as deliveries
from hookvault.errors import InvalidError, PreconditionError
from hookvault.fault import fault_point
from hookvault.ids import NAME_PATTERN, is_name
from hookvault.paging import Page
from hookvault.queue.ending.waiting import end_waiting
from hookvault.tenants import store
from hookvault.tenants.model import Tenant, TenantStatus
from hookvault.vault.service import Vault

_NAME_LENGTH = 200
MAX_RETENTION_DAYS = 36_500


class TenantService:
    """The questions and commands on tenants, asked alike by the API, the CLI and Python."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def create_tenant(
        self,
        name: str,
        *,
        tenant_id: str | None = None,
        slug: str | None = None,
        status: TenantStatus = "active",
        retention_days: int | None = None,
        actor: Actor = IN_PROCESS,
    ) -> Tenant:
        """Makes a tenant with its own data key. The id defaults to the slug, and both to a form of the name.

        Its calls are kept for `retention_days`, where that is shorter than the platform's retention.

        Raises:
            InvalidError: a name, id or slug that is not acceptable.
            ConflictError: code `tenant_exists`, when the id or slug is taken.
        """
        _check_display_name(name)
        base = tenant_id or slug or _derived(name)
        moment = now()
        tenant = Tenant(
            tenant_id or base, slug or base, name.strip(), status, 1, moment, moment, retention_days=retention_days
        )
        _check_retention(retention_days)
        _check_name("id", tenant.id)
        _check_name("slug", tenant.slug)
        async with self._database.system() as tx:
            await store.insert(tx, tenant)
            await self._vault.add_key(tx, tenant.id)
            if status == "suspended":
                await admission.hold_tenant(tx, tenant.id, held=True)
            await audit.record(tx, actor, "tenant.created", ("tenant", tenant.id), tenant_id=tenant.id)
        return tenant

    async def get_tenant(self, tenant_id: str) -> Tenant:
        """A tenant. Raises NotFoundError, code `tenant_not_found`."""
        async with self._database.tenant(tenant_id) as tx:
            return await store.get(tx, tenant_id)

    async def list_tenants(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        search: str | None = None,
        status: TenantStatus | None = None,
    ) -> Page[Tenant]:
        """A page of all tenants, by id.

        Args:
            limit: How many at most.
            cursor: Where to go on, as a page named it.
            search: A part of the name, id or slug, in any case; without white space around it.
            status: Only those that are active, or suspended.

        Raises:
            InvalidError: code `invalid_cursor`.
        """
        wanted = (search or "").replace("\x00", "").strip()[:_NAME_LENGTH]
        async with self._database.system() as tx:
            return await store.list_page(tx, limit=limit, cursor=cursor, search=wanted or None, status=status)

    async def search_tenants(self, text: str, *, limit: int = 50) -> Sequence[Tenant]:
        """Tenants whose name, id or slug holds a text, those whose name begins with it first."""
        async with self._database.system() as tx:
            return await store.search(tx, text, limit)

    async def list_named(self, tenant_ids: Sequence[str]) -> Sequence[Tenant]:
        """Those of some tenants that there are, in no order."""
        async with self._database.system() as tx:
            return await store.list_named(tx, tenant_ids)

    async def update_tenant(
        self,
        tenant_id: str,
        changes: Mapping[str, Any],
        *,
        if_version: int | None = None,
        actor: Actor = IN_PROCESS,
    ) -> Tenant:
        """Changes any of name, slug, status, rate_limit, concurrency and retention_days. A suspended tenant's deliveries are held.

        Raises:
            NotFoundError: code `tenant_not_found`.
            ConflictError: code `tenant_exists`, when the slug is taken.
            PreconditionError: the tenant is no longer at `if_version`.
            InvalidError: a field or value that is not acceptable.
        """
        _check_changes(changes)
        async with self._database.tenant(tenant_id) as tx:
            old = await store.get(tx, tenant_id, lock=True)
            if if_version is not None and if_version != old.version:
                raise PreconditionError(
                    f"The tenant was changed since version {if_version}; it is at {old.version} now."
                )
            limit = changes.get("rate_limit")
            limits = {"rate_limit": RateLimit(**limit)} if limit else {}
            tenant = replace(old, **{**changes, **limits}, version=old.version + 1, updated_at=now())
            await store.update(tx, tenant)
            if tenant.status != old.status:
                await admission.hold_tenant(tx, tenant_id, held=tenant.status == "suspended")
            await audit.record(tx, actor, "tenant.updated", ("tenant", tenant_id), detail={"changed": sorted(changes)})
        return tenant

    async def delete_tenant(self, tenant_id: str, *, actor: Actor = IN_PROCESS) -> None:
        """Deletes a tenant with its secrets and data keys. Idempotent.

        Its calls, deliveries and audit events stay readable; deliveries that were waiting end `failed`.
        """
        async with self._database.system() as tx:
            await deliveries.keep_policies(tx, tenant_id)
            if await store.delete(tx, tenant_id):
                await self._vault.delete_keys(tx, tenant_id)
                await admission.forget_tenant(tx, tenant_id)
                await deliveries.forget_replays(tx, tenant_id)
                await audit.record(tx, actor, "tenant.deleted", ("tenant", tenant_id), tenant_id=tenant_id)
        fault_point("delete_tenant.after_commit")
        await end_waiting(self._database, tenant_id)


def _derived(name: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:48]
    return f"{words or 'tenant'}-{secrets.token_hex(3)}"


def _check_changes(changes: Mapping[str, Any]) -> None:
    unknown = set(changes) - {"name", "slug", "status", "rate_limit", "concurrency", "retention_days"}
    if unknown:
        raise InvalidError(f"A tenant has no field {min(unknown)} to change.")
    if "name" in changes:
        _check_display_name(changes["name"])
    if "slug" in changes:
        _check_name("slug", changes["slug"])
    if changes.get("status", "active") not in ("active", "suspended"):
        raise InvalidError("A tenant's status is active or suspended.")
    if changes.get("rate_limit") is not None:
        check_rate_limit("rateLimit", changes["rate_limit"])
    if changes.get("concurrency") is not None:
        check_concurrency("concurrency", changes["concurrency"])
    _check_retention(changes.get("retention_days"))


def _check_retention(days: object) -> None:
    if days is not None and not is_whole(days, 1, MAX_RETENTION_DAYS):
        message = f"must be a whole number of days from 1 to {MAX_RETENTION_DAYS}"
        raise InvalidError(f"retentionDays {message}.", errors=[{"field": "retentionDays", "message": message}])


def _check_display_name(name: object) -> None:
    if not isinstance(name, str) or not name.strip() or len(name) > _NAME_LENGTH or not name.isprintable():
        message = f"must be 1 to {_NAME_LENGTH} printable characters"
        raise InvalidError(f"A tenant's name {message}.", errors=[{"field": "name", "message": message}])


def _check_name(field: str, value: str) -> None:
    if not is_name(value):
        message = f"must match {NAME_PATTERN}"
        raise InvalidError(f"A tenant's {field} {message}.", errors=[{"field": field, "message": message}])
