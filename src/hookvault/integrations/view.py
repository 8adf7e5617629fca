"""What may be shown of stored integrations. Needs no key: hints were made when the secrets were stored."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from hookvault.integrations.model import (
    Integration,
    Kind,
    SecretInfo,
    StoredConfig,
    StoredRow,
    TenantIntegration,
)
from hookvault.providers.base import Provider
from hookvault.vault.registry import LOST
from hookvault.vault.service import KeyFault

FaultOf = Callable[[Kind, str, str | None], KeyFault | None]


def tenant_view(
    row: StoredRow, provider_of: Callable[[Kind, Mapping[str, Any]], Provider], fault_of: FaultOf | None = None
) -> TenantIntegration:
    """All integrations of a row. `fault_of` tells what is wrong with a secret, by kind, field and what is stored."""
    shown = {
        kind: integration_view(kind, config, provider_of(kind, config.values), fault_of=fault_of)
        for kind, config in row.configs.items()
    }
    return TenantIntegration(
        tenant_id=row.tenant_id,
        whatsapp=shown.get("whatsapp"),
        sms=shown.get("sms"),
        n8n=shown.get("n8n"),
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=row.updated_at,
        updated_by=row.updated_by,
    )


def integration_view(
    kind: Kind,
    config: StoredConfig,
    provider: Provider,
    *,
    warnings: tuple[Mapping[str, str], ...] = (),
    generated: Mapping[str, str] | None = None,
    fault_of: FaultOf | None = None,
) -> Integration:
    """One integration: every plain field with its value or None, every secret field as a SecretInfo."""
    values: dict[str, str | None] = {"provider": config.values["provider"]} if kind == "sms" else {}
    shown: dict[str, SecretInfo] = {}
    for field in provider.fields:
        if field.secret:
            stored = config.values.get(field.name)
            fault = fault_of(kind, field.name, stored) if fault_of else None
            shown[field.name] = secret_info(stored, config.hints.get(field.name), fault)
        else:
            values[field.name] = config.values.get(field.name)
    return Integration(
        kind=kind,
        enabled=config.enabled,
        values=values,
        secrets=shown,
        version=config.version,
        updated_at=datetime.fromisoformat(config.updated_at),
        warnings=warnings,
        generated=generated or {},
    )


def secret_info(stored: str | None, hint: Mapping[str, str | None] | None, fault: KeyFault | None = None) -> SecretInfo:
    """What is shown of a secret, from the hint stored beside it."""
    if stored is None:
        return SecretInfo(set=False)
    stored_at = (hint or {}).get("updatedAt")
    return SecretInfo(
        set=stored != LOST,
        needs_reentry=fault is not None or stored == LOST,
        key_needed=fault.key_needed if fault else None,
        hint=(hint or {}).get("hint"),
        updated_at=datetime.fromisoformat(stored_at) if stored_at else None,
    )
