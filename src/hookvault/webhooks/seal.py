"""How a webhook's secrets and policy are stored."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from hookvault.admission.model import RateLimit
from hookvault.vault.registry import N8N_WEBHOOKS, Place
from hookvault.vault.service import TenantCipher
from hookvault.webhooks.model import Policy, StoredWebhook

POLICY_FIELDS: Mapping[str, str] = {
    "timeoutMs": "timeout_ms",
    "maxRetries": "max_retries",
    "retryOnTimeout": "retry_on_timeout",
    "retryOnWorkflowError": "retry_on_workflow_error",
    "schedule": "schedule",
    "rateLimit": "rate_limit",
    "concurrency": "concurrency",
    "redactPaths": "redact_paths",
    "keepPayloads": "keep_payloads",
}


def place(webhook_id: UUID, field: str) -> Place:
    """Where a webhook's secret is stored: `auth_token`, `signing_secret` or `static_headers.<name>`."""
    return N8N_WEBHOOKS.place(str(webhook_id), field)


def policy_of(stored: Mapping[str, Any]) -> Policy:
    """The policy of a webhook from its stored JSON (camelCase)."""
    fields = {POLICY_FIELDS[name]: value for name, value in stored.items() if name in POLICY_FIELDS}
    for name in ("schedule", "redact_paths"):
        if name in fields:
            fields[name] = tuple(fields[name])
    if "rate_limit" in fields:
        fields["rate_limit"] = RateLimit(**fields["rate_limit"])
    return Policy(**fields)


def resealed(webhook: StoredWebhook, old: TenantCipher | None, new: TenantCipher) -> dict[str, Any]:
    """A webhook's secret columns, brought from an older data key to the active one; what does not open is LOST."""

    def moved(field: str, sealed: str | None) -> str | None:
        return new.take_over(place(webhook.id, field), sealed, old)

    headers = {name: moved(f"static_headers.{name}", value) for name, value in webhook.static_headers.items()}
    return {
        "auth_token": moved("auth_token", webhook.auth_token),
        "signing_secret": moved("signing_secret", webhook.signing_secret),
        "previous_signing_secret": moved("previous_signing_secret", webhook.previous_signing_secret),
        "static_headers": headers,
        "key_version": new.version,
    }
