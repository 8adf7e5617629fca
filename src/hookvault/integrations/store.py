"""All SQL on tenant_integrations."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hookvault.db.pool import Row, TenantTx
from hookvault.integrations.model import Kind, StoredConfig, StoredRow

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

_DELETE = "DELETE FROM tenant_integrations WHERE tenant_id = $1"


async def find(tx: TenantTx, *, lock: bool = False) -> StoredRow | None:
    """The tenant's row, or None; locked against other writers when asked."""
    row = await tx.fetchrow(_GET + (" FOR UPDATE" if lock else ""), tx.tenant_id)
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
        updated[kind] = {"at": config.updated_at, "version": config.version}
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


async def delete(tx: TenantTx) -> bool:
    """Deletes the tenant's row; whether there was one."""
    return await tx.execute(_DELETE, tx.tenant_id) > 0


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
    return StoredConfig(
        enabled=enabled,
        values=dict(values),
        hints=dict(row["secret_hints"].get(kind, {})),
        version=updated.get("version", 1),
        updated_at=updated.get("at", ""),
    )
