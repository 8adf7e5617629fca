"""A tenant's webhooks, the calls made to them, and what a call needs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from hookvault.admission.model import RateLimit
from hookvault.vault.secret import Secret

TEST_TRIGGER = "test"  # who triggered a call that was made to try a webhook
MAX_BUDGET_MS = 120_000
MAX_RETRIES = 10  # of a call and of a delivery: the hard cap, whatever a policy or a caller says

AuthType = Literal["none", "bearer", "header", "basic", "jwt"]


@dataclass(frozen=True, slots=True)
class SecretMark:
    """What is shown of a webhook's stored secret. One that does not open must be entered again, or `key_needed` be given."""

    set: bool
    hint: str | None = None
    updated_at: str | None = None
    needs_reentry: bool = False
    key_needed: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How a webhook is called, and what is kept of it. None means the service's default.

    `redact_paths` lead to what is neither stored nor shown (see `redact`); without `keep_payloads` no payload is.
    """

    timeout_ms: int | None = None
    max_retries: int | None = None
    retry_on_timeout: bool = True
    retry_on_workflow_error: bool = True
    schedule: tuple[int, ...] | None = None
    rate_limit: RateLimit | None = None
    concurrency: int | None = None
    redact_paths: tuple[str, ...] | None = None
    keep_payloads: bool = True


@dataclass(frozen=True, slots=True)
class Webhook:
    """One row of n8n_webhooks with its counters; secrets only as marks.

    `new_signing_secret` is set in the answer that made it, and never again.
    """

    id: UUID
    tenant_id: str
    workflow_name: str
    webhook_url: str
    description: str
    is_active: bool
    auth_type: AuthType
    auth_config: Mapping[str, Any]
    auth_token: SecretMark
    static_headers: Mapping[str, SecretMark]
    signing_secret: SecretMark
    policy: Policy
    config_version: int
    total_calls: int
    successful_calls: int
    failed_calls: int
    last_called_at: datetime | None
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    previous_signing_until: datetime | None = None
    new_signing_secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class StoredWebhook:
    """A row of n8n_webhooks as stored: secrets sealed under the tenant's data key of `key_version`."""

    id: UUID
    tenant_id: str
    workflow_name: str
    webhook_url: str
    description: str
    is_active: bool
    auth_type: AuthType
    auth_config: Mapping[str, Any]
    auth_token: str | None
    static_headers: Mapping[str, str]
    signing_secret: str | None
    policy: Mapping[str, Any]
    secret_hints: Mapping[str, Mapping[str, str | None]]
    key_version: int
    config_version: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    previous_signing_secret: str | None = None
    previous_signing_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Counters:
    """How often a webhook was called, and how that went."""

    total_calls: int = 0
    successful_calls: int = 0
    failed_calls: int = 0
    last_called_at: datetime | None = None


NEVER_CALLED = Counters()


class CallRecord(NamedTuple):
    """One HTTP attempt: one row of webhook_analytics. Times are in ms; JSON columns hold JSON text as bytes.

    A tuple in the order of the table's columns, since a batch of them is turned into columns, and a frozen dataclass of this
    size takes ten times as long to make.
    """

    tenant_id: str
    id: UUID
    webhook_id: UUID
    timestamp: datetime
    request_payload: bytes | None
    request_headers: bytes | None
    status_code: int | None
    response_body: bytes | None
    response_time: int
    success: bool
    error_code: str | None = None
    error_message: str | None = None
    triggered_by: str | None = None
    metadata: bytes | None = None
    delivery_id: UUID | None = None
    attempt: int = 1
    retry_of: UUID | None = None
    altered: bool = False
    resolve_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    wait_ms: float | None = None


@dataclass(frozen=True, slots=True)
class CallRequest:
    """What a caller wants called. `payload` is the JSON text that is sent, byte for byte.

    `timeout_ms` is the whole budget of a call, and of each attempt of a delivery. `ordering_key` and `deliver_before` are for
    deliveries only.
    """

    payload: bytes
    triggered_by: str | None = None
    metadata: Mapping[str, Any] | None = None
    timeout_ms: int | None = None
    max_retries: int | None = None
    idempotency_key: str | None = None
    ordering_key: str | None = None
    deliver_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class CallResult:
    """How a call went, after its last attempt. `response_time` is the whole in ms; `response_body` is JSON text.

    `kept_body` is what the webhook's policy lets be stored of it.
    """

    call_id: UUID
    success: bool
    status_code: int | None
    response_body: bytes | None
    response_time: int
    attempts: int
    error_code: str | None = None
    error_message: str | None = None
    replayed: bool = False
    kept_body: bytes | None = field(default=None, compare=False, repr=False)

    @property
    def response(self) -> Any:
        """What the receiver answered, as a Python value: parsed JSON, else text, else None."""
        return None if self.response_body is None else json.loads(self.response_body)
