"""All SQL on tenants."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from hookvault.admission.model import RateLimit
from hookvault.db.pool import Row, SystemTx, TenantTx, Tx
from hookvault.errors import ConflictError, NotFoundError
from hookvault.paging import Page, cut, decode_cursor, encode_cursor
from hookvault.tenants.model import Tenant, TenantStatus

_CURSOR = "tenants"

_INSERT = """
INSERT INTO tenants (id, slug, name, status, version, created_at, updated_at, retention_days)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""

_COLUMNS = "id, slug, name, status, version, created_at, updated_at, rate_limit, concurrency, retention_days"

_GET = f"SELECT {_COLUMNS} FROM tenants WHERE id = $1"  # noqa: S608 - constants only

_CREATED_AT = "SELECT created_at FROM tenants WHERE id = $1"

_LIST = f"""
SELECT {_COLUMNS} FROM tenants WHERE $1::text IS NULL OR id > $1 ORDER BY id LIMIT $2
"""  # noqa: S608 - constants only

# A walk along the ids that ends with the page. What few tenants match is looked for in all of them, in less than a tenth of a
# second with 100,000: one text in place of three, and the letters of ASCII made small by the byte wherever no other is
# asked for. `_` and `%` are nothing special to strpos.
_SEARCH = f"""
SELECT {_COLUMNS} FROM tenants
WHERE ($1::text IS NULL OR id > $1) AND ($3::text IS NULL OR status = $3)
    AND ($4::text IS NULL OR strpos(lower((name || E'\\n' || id || E'\\n' || slug) <letters>), lower($4 <letters>)) > 0)
ORDER BY id LIMIT $2
"""  # noqa: S608 - constants only
_SEARCH_ASCII = _SEARCH.replace("<letters>", 'COLLATE "C"')
_SEARCH_ANY = _SEARCH.replace("<letters>", "")

_SUGGEST = f"""
SELECT {_COLUMNS} FROM tenants WHERE strpos(lower(name), $1) > 0 OR strpos(lower(id), $1) > 0 OR strpos(lower(slug), $1) > 0
ORDER BY strpos(lower(name), $1) <> 1, lower(name), id LIMIT $2
"""  # noqa: S608 - constants only

_NAMED = f"SELECT {_COLUMNS} FROM tenants WHERE id = ANY($1::text[])"  # noqa: S608 - constants only

_UPDATE = """
UPDATE tenants SET slug = $2, name = $3, status = $4, version = $5, updated_at = $6, rate_limit = $7, concurrency = $8,
    retention_days = $9
WHERE id = $1
"""

_DELETE = "DELETE FROM tenants WHERE id = $1"


async def insert(tx: SystemTx, tenant: Tenant) -> None:
    """Stores a new tenant. Raises ConflictError, code `tenant_exists`, when its id or slug is taken."""
    values = (tenant.status, tenant.version, tenant.created_at, tenant.updated_at, tenant.retention_days)
    try:
        await tx.execute(_INSERT, tenant.id, tenant.slug, tenant.name, *values)
    except asyncpg.UniqueViolationError as error:
        raise _taken(error, tenant) from None


async def get(tx: Tx, tenant_id: str, *, lock: bool = False) -> Tenant:
    """A tenant. Raises NotFoundError, code `tenant_not_found`."""
    row = await (tx.lock(f"{_GET} FOR UPDATE", tenant_id) if lock else tx.fetchrow(_GET, tenant_id))
    if row is None:
        raise NotFoundError(f"There is no tenant {tenant_id}.", code="tenant_not_found")
    return _tenant(row)


async def find_created_at(tx: TenantTx) -> datetime | None:
    """When the transaction's tenant was made; None when there is none, or no longer."""
    found: datetime | None = await tx.fetchval(_CREATED_AT, tx.tenant_id)
    return found


async def list_page(
    tx: SystemTx, *, limit: int, cursor: str | None, search: str | None = None, status: TenantStatus | None = None
) -> Page[Tenant]:
    """A page of all tenants, or of those that match, in the order of their ids. Raises InvalidError for a foreign cursor."""
    after = decode_cursor(_CURSOR, cursor, 1)[0] if cursor else None
    if search or status:
        statement = _SEARCH_ASCII if search is None or search.isascii() else _SEARCH_ANY
        rows = await tx.fetch(statement, after, limit + 1, status, search)
    else:
        rows = await tx.fetch(_LIST, after, limit + 1)
    return cut([_tenant(row) for row in rows], limit, lambda tenant: encode_cursor(_CURSOR, tenant.id))


async def search(tx: SystemTx, text: str, limit: int) -> Sequence[Tenant]:
    """Tenants whose name, id or slug holds a text, those whose name begins with it first; by name without a text."""
    return [_tenant(row) for row in await tx.fetch(_SUGGEST, text.lower(), limit)]


async def list_named(tx: SystemTx, tenant_ids: Sequence[str]) -> Sequence[Tenant]:
    """Those of some tenants that there are."""
    return [_tenant(row) for row in await tx.fetch(_NAMED, tenant_ids)]


async def update(tx: TenantTx, tenant: Tenant) -> None:
    """Stores a tenant's changed fields. Raises ConflictError, code `tenant_exists`, when the slug is taken."""
    try:
        limit = tenant.rate_limit
        limits = (None if limit is None else limit._asdict(), tenant.concurrency, tenant.retention_days)
        values = (tenant.slug, tenant.name, tenant.status, tenant.version, tenant.updated_at, *limits)
        await tx.execute(_UPDATE, tenant.id, *values)
    except asyncpg.UniqueViolationError as error:
        raise _taken(error, tenant) from None


async def delete(tx: SystemTx, tenant_id: str) -> bool:
    """Deletes a tenant with its integrations, webhooks and API keys; whether there was one."""
    return await tx.execute(_DELETE, tenant_id) > 0


def _tenant(row: Row) -> Tenant:
    limit = row["rate_limit"]
    return Tenant(**{**row, "rate_limit": None if limit is None else RateLimit(**limit)})


def _taken(error: asyncpg.UniqueViolationError, tenant: Tenant) -> ConflictError:
    field, value = ("slug", tenant.slug) if error.constraint_name == "tenants_slug_key" else ("id", tenant.id)
    errors = [{"field": field, "message": f"{value} is taken by another tenant"}]
    return ConflictError(f"There is already a tenant with the {field} {value}.", code="tenant_exists", errors=errors)
