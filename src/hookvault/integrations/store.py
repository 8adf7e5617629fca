"""All SQL on tenant_integrations and credential_versions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from hookvault.db.pool import Row, SystemTx, TenantTx
from hookvault.errors import InvalidError
from hookvault.integrations.model import Kind, OpenState, Staged, StoredConfig, StoredRow, StoredVersion
from hookvault.paging import Page, cut, decode_cursor, encode_cursor

# An empty row first, so that two admins who configure a new tenant at once wait for each other at the lock below.
_ENSURE = """
INSERT INTO tenant_integrations (tenant_id, key_version, created_at, created_by, updated_at, updated_by)
VALUES ($1, $2, $3, $4, $3, $4) ON CONFLICT DO NOTHING
"""

_GET = """
SELECT tenant_id, n8n_enabled, n8n_base_url, n8n_api_key, whatsapp_enabled, whatsapp_config, sms_enabled, sms_config,
    secret_hints, updated, key_version, created_at, created_by, updated_at, updated_by
FROM tenant_integrations WHERE tenant_id = $1
"""

_SAVE = """
UPDATE tenant_integrations SET
    n8n_enabled = $2, n8n_base_url = $3, n8n_api_key = $4, whatsapp_enabled = $5, whatsapp_config = $6,
    sms_enabled = $7, sms_config = $8, secret_hints = $9, updated = $10, key_version = $11, updated_at = $12,
    updated_by = $13, version = version + 1
WHERE tenant_id = $1
"""

# Only of the version that was tested: who changed it meanwhile has something that was not.
_NOTE_TEST = """
UPDATE tenant_integrations SET updated = jsonb_set(updated, ARRAY[$2::text, 'test'], $4::jsonb)
WHERE tenant_id = $1 AND updated #> ARRAY[$2::text, 'version'] = to_jsonb($3::int)
"""

_DELETE = "DELETE FROM tenant_integrations WHERE tenant_id = $1"

_VERSION_COLUMNS = (
    "id, kind, provider, number, state, secrets, secret_hints, key_version, created_at, created_by, tested_at, test_code, "
    "switched_at, grace_until, ended_at"
)

_INSERT_VERSION = f"""
INSERT INTO credential_versions (tenant_id, {_VERSION_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""  # noqa: S608 - constants only

_OPEN_VERSIONS = f"""
SELECT {_VERSION_COLUMNS} FROM credential_versions
WHERE tenant_id = $1 AND kind = $2 AND state IN ('staged', 'current', 'previous') ORDER BY number
"""  # noqa: S608 - constants only

_LIST_VERSIONS = f"""
SELECT {_VERSION_COLUMNS} FROM credential_versions
WHERE tenant_id = $1 AND kind = $2 AND ($3::int IS NULL OR number < $3) ORDER BY number DESC LIMIT $4
"""  # noqa: S608 - constants only

_STAGED = """
SELECT v.tenant_id, t.name AS tenant_name, v.kind, v.created_at FROM credential_versions v JOIN tenants t ON t.id = v.tenant_id
WHERE v.state = 'staged' ORDER BY v.created_at LIMIT $1
"""

_LAST_NUMBER = "SELECT coalesce(max(number), 0) FROM credential_versions WHERE tenant_id = $1 AND kind = $2"

_SAVE_VERSION = """
UPDATE credential_versions SET state = $3, secrets = $4, secret_hints = $5, key_version = $6, tested_at = $7, test_code = $8,
    switched_at = $9, grace_until = $10, ended_at = $11
WHERE tenant_id = $1 AND id = $2
"""

# An ended version keeps what may be shown of it, and nothing else.
_END_ALL = """
UPDATE credential_versions SET secrets = '{}', ended_at = $3,
    state = CASE state WHEN 'staged' THEN 'discarded' ELSE 'revoked' END
WHERE tenant_id = $1 AND ($2::text IS NULL OR kind = $2) AND state IN ('staged', 'current', 'previous')
"""

_DUE = """
SELECT tenant_id, kind FROM credential_versions WHERE state = 'previous' AND grace_until <= $1 ORDER BY grace_until LIMIT 1000
"""


async def find(tx: TenantTx, *, lock: bool = False) -> StoredRow | None:
    """The tenant's row, or None; locked against other writers when asked."""
    row = await (tx.lock(f"{_GET} FOR UPDATE", tx.tenant_id) if lock else tx.fetchrow(_GET, tx.tenant_id))
    return None if row is None else _stored(row)


async def ensure(tx: TenantTx, *, key_version: int, moment: datetime, author: str) -> StoredRow:
    """The tenant's row, locked; an empty one is made where there is none."""
    await tx.execute(_ENSURE, tx.tenant_id, key_version, moment, author)
    row = await find(tx, lock=True)
    if row is None:
        raise AssertionError("the row was made in this transaction")
    return row


async def save(tx: TenantTx, row: StoredRow) -> None:
    """Stores a changed row."""
    n8n, whatsapp, sms = (row.configs.get(kind) for kind in ("n8n", "whatsapp", "sms"))
    updated = dict(row.versions)
    for kind, config in row.configs.items():
        updated[kind] = {
            "at": config.updated_at,
            "version": config.version,
            **({"test": config.test} if config.test else {}),
        }
    await tx.execute(
        _SAVE,
        row.tenant_id,
        n8n.enabled if n8n else True,
        n8n.values.get("baseUrl") if n8n else None,
        n8n.values.get("apiKey") if n8n else None,
        whatsapp.enabled if whatsapp else False,
        whatsapp.values if whatsapp else None,
        sms.enabled if sms else False,
        sms.values if sms else None,
        {kind: config.hints for kind, config in row.configs.items()},
        updated,
        row.key_version,
        row.updated_at,
        row.updated_by,
    )


async def note_test(tx: TenantTx, kind: Kind, version: int, test: Mapping[str, Any]) -> None:
    """Keeps what was said of an integration, unless it is at another version by now."""
    await tx.execute(_NOTE_TEST, tx.tenant_id, kind, version, dict(test))


async def delete(tx: TenantTx) -> bool:
    """Deletes the tenant's row; whether there was one."""
    return await tx.execute(_DELETE, tx.tenant_id) > 0


async def find_versions(tx: TenantTx, kind: Kind, *, lock: bool = False) -> dict[OpenState, StoredVersion]:
    """An integration's versions that are not ended, by state: one of each at most."""
    rows = await tx.fetch(_OPEN_VERSIONS + (" FOR UPDATE" if lock else ""), tx.tenant_id, kind)
    return {row["state"]: StoredVersion(**row) for row in rows}


async def list_staged(tx: SystemTx, limit: int) -> Sequence[Staged]:
    """The versions of all tenants that wait for their switch, the oldest first."""
    return [Staged(**row) for row in await tx.fetch(_STAGED, limit)]


async def last_number(tx: TenantTx, kind: Kind) -> int:
    """The highest number of an integration's versions so far; 0 without any."""
    return int(await tx.fetchval(_LAST_NUMBER, tx.tenant_id, kind))


async def insert_version(tx: TenantTx, version: StoredVersion) -> None:
    """Stores a new version."""
    identity = (version.id, version.kind, version.provider, version.number, version.state)
    sealed = (version.secrets, version.secret_hints, version.key_version, version.created_at, version.created_by)
    await tx.execute(_INSERT_VERSION, tx.tenant_id, *identity, *sealed, *_course(version))


async def save_version(tx: TenantTx, version: StoredVersion) -> None:
    """Stores a changed version."""
    sealed = (version.state, version.secrets, version.secret_hints, version.key_version)
    await tx.execute(_SAVE_VERSION, tx.tenant_id, version.id, *sealed, *_course(version))


async def end_versions(tx: TenantTx, kind: Kind | None, moment: datetime) -> None:
    """Ends all versions of an integration, or of all; their secrets are gone."""
    await tx.execute(_END_ALL, tx.tenant_id, kind, moment)


async def list_versions(tx: TenantTx, kind: Kind, *, limit: int, cursor: str | None) -> Page[StoredVersion]:
    """A page of an integration's versions, newest first. Raises InvalidError for a foreign cursor."""
    before = None if cursor is None else _number_of(kind, cursor)
    rows = await tx.fetch(_LIST_VERSIONS, tx.tenant_id, kind, before, limit + 1)
    found = [StoredVersion(**row) for row in rows]
    return cut(found, limit, lambda version: encode_cursor(f"versions of {kind}", str(version.number)))


async def list_due(tx: SystemTx, moment: datetime) -> Sequence[tuple[str, Kind]]:
    """Tenants and kinds whose previous version's grace has ended, 1,000 at most."""
    return [(row["tenant_id"], cast(Kind, row["kind"])) for row in await tx.fetch(_DUE, moment)]


def _course(version: StoredVersion) -> tuple[Any, ...]:
    times = (version.switched_at, version.grace_until, version.ended_at)
    return (version.tested_at, version.test_code, *times)


def _number_of(kind: Kind, cursor: str) -> int:
    (text,) = decode_cursor(f"versions of {kind}", cursor, 1)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidError("The cursor is not one that this list gave out.", code="invalid_cursor")
    return int(text)


def _stored(row: Row) -> StoredRow:
    configs: dict[Kind, StoredConfig] = {}
    if row["n8n_base_url"] is not None:
        values = {"baseUrl": row["n8n_base_url"]}
        if row["n8n_api_key"] is not None:
            values["apiKey"] = row["n8n_api_key"]
        configs["n8n"] = _config(row, "n8n", enabled=row["n8n_enabled"], values=values)
    if row["whatsapp_config"] is not None:
        configs["whatsapp"] = _config(row, "whatsapp", enabled=row["whatsapp_enabled"], values=row["whatsapp_config"])
    if row["sms_config"] is not None:
        configs["sms"] = _config(row, "sms", enabled=row["sms_enabled"], values=row["sms_config"])
    return StoredRow(
        tenant_id=row["tenant_id"],
        configs=configs,
        versions=dict(row["updated"]),
        key_version=row["key_version"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        updated_at=row["updated_at"],
        updated_by=row["updated_by"],
    )


def _config(row: Row, kind: Kind, *, enabled: bool, values: Mapping[str, Any]) -> StoredConfig:
    updated = row["updated"].get(kind, {})
    version, test = updated.get("version", 1), updated.get("test")
    return StoredConfig(
        enabled=enabled,
        values=dict(values),
        hints=dict(row["secret_hints"].get(kind, {})),
        version=version,
        updated_at=updated.get("at", ""),
        test=test if test and test["version"] == version else None,
    )
