"""What may be shown of stored integrations. Needs no key: hints were made when the secrets were stored."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from hookvault.audit.diff import Hidden
from hookvault.integrations.model import (
    CredentialVersion,
    Integration,
    Kind,
    LastTest,
    OpenState,
    Rotation,
    SecretInfo,
    StoredConfig,
    StoredRow,
    StoredVersion,
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
        last_test=_last_test(config),
    )


def _last_test(config: StoredConfig) -> LastTest | None:
    test = config.test
    if test is None:
        return None
    return LastTest(datetime.fromisoformat(test["at"]), test["code"], test["message"], test["ms"])


def shown_fields(
    row: StoredRow, kind: Kind, provider_of: Callable[[Kind, Mapping[str, Any]], Provider]
) -> dict[str, Any]:
    """One integration's fields as the audit log compares them, secrets hidden; none where it is not configured."""
    config = row.configs.get(kind)
    if config is None:
        return {}
    shown = integration_view(kind, config, provider_of(kind, config.values))
    hidden = {name: Hidden(secret.set, secret.hint, secret.updated_at) for name, secret in shown.secrets.items()}
    return {"enabled": shown.enabled, **shown.values, **hidden}


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


def version_view(version: StoredVersion) -> CredentialVersion:
    """A version without its secrets."""
    ended = version.state in ("revoked", "discarded")
    # Of the current one no secret is stored here, so its name stands for it: what counts is that it is not LOST.
    shown = {name: secret_info(version.secrets.get(name, name), hint) for name, hint in version.secret_hints.items()}
    return CredentialVersion(
        number=version.number,
        state=version.state,
        provider=version.provider,
        secrets={name: replace(info, set=info.set and not ended) for name, info in shown.items()},
        created_at=version.created_at,
        created_by=version.created_by,
        tested_at=version.tested_at,
        test_code=version.test_code,
        switched_at=version.switched_at,
        grace_until=version.grace_until,
        ended_at=version.ended_at,
    )


def rotation_view(current: StoredVersion, version: int, others: Mapping[OpenState, StoredVersion]) -> Rotation:
    """How a rotation stands: the current version, the integration's own, and what is staged and previous."""
    shown = {state: version_view(found) for state, found in others.items()}
    return Rotation(
        kind=current.kind,
        provider=current.provider,
        version=version,
        current=version_view(current),
        staged=shown.get("staged"),
        previous=shown.get("previous"),
    )
