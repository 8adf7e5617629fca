"""Where the parts of an integration stand: whose fields it has, which of them are secret, and the place of each secret."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from hookvault.errors import InvalidError, NotFoundError
from hookvault.integrations.model import Kind
from hookvault.providers.base import Provider
from hookvault.providers.registry import N8N, WHATSAPP, sms_provider
from hookvault.vault.registry import CREDENTIAL_VERSIONS, LOST, TENANT_INTEGRATIONS, Place
from hookvault.vault.secret import Secret
from hookvault.vault.service import TenantCipher

_COLUMNS: Mapping[Kind, str] = {"whatsapp": "whatsapp_config", "sms": "sms_config"}


def provider_of(kind: Kind, values: Mapping[str, Any]) -> Provider:
    """Whose fields a configuration has. Raises InvalidError for an SMS provider that is not known."""
    if kind == "sms":
        return sms_provider(values.get("provider", "twilio"))
    return WHATSAPP if kind == "whatsapp" else N8N


def secret_names(provider: Provider) -> set[str]:
    """The names of a provider's secret fields."""
    return {field.name for field in provider.fields if field.secret}


def place_of(tenant_id: str, kind: Kind, name: str) -> Place:
    """Where an integration's secret is stored."""
    field = "n8n_api_key" if kind == "n8n" else f"{_COLUMNS[kind]}.{name}"
    return TENANT_INTEGRATIONS.place(tenant_id, field)


def version_place(version_id: UUID, name: str) -> Place:
    """Where a secret of a staged or previous version is stored."""
    return CREDENTIAL_VERSIONS.place(str(version_id), f"secrets.{name}")


def boxed(cipher: TenantCipher, kind: Kind, values: Mapping[str, str]) -> dict[str, str | Secret]:
    """A stored configuration ready for use: plain values as text, secrets boxed.

    Raises:
        InvalidError: code `secrets_required`, where the key of a secret is gone for good.
        CipherError: a secret does not open under the tenant's key.
    """
    secret = secret_names(provider_of(kind, values))
    refuse_lost([name for name in secret if values.get(name) == LOST])
    return {
        name: cipher.open(place_of(cipher.tenant_id, kind, name), value) if name in secret else value
        for name, value in values.items()
    }


def not_configured(kind: Kind) -> NotFoundError:
    """What is raised where a tenant has no such integration."""
    return NotFoundError(f"This tenant has no {kind} integration yet.", code="integration_not_found")


def refuse_lost(names: Collection[str]) -> None:
    """Refuses to go on with secrets whose key is gone. Raises InvalidError, code `secrets_required`."""
    if names:
        raise InvalidError(
            f"{', '.join(sorted(names))} can't be opened any more: the key is gone. Give them again.",
            code="secrets_required",
            errors=[{"field": name, "message": "must be given again"} for name in sorted(names)],
        )
