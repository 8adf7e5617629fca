"""Shapes on the wire. No field of an answer can hold a stored secret: those are `SecretOut`, which has no value."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)
from pydantic.alias_generators import to_camel

from hookvault.clock import iso
from hookvault.ids import NAME_PATTERN

T = TypeVar("T")
Days = Annotated[int, Field(ge=1, le=36_500, strict=True)]
Moment = Annotated[datetime, PlainSerializer(iso, when_used="json")]


class Wire(BaseModel):
    """camelCase outside, snake_case inside; unknown fields are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        from_attributes=True,
        hide_input_in_errors=True,
        strict=False,
    )


class PageOut(Wire, Generic[T]):
    """A page of a list; `nextCursor` is null on the last."""

    items: list[T]
    next_cursor: str | None


class ProblemOut(BaseModel):
    """An error (RFC 9457). `code` is stable; `errors` names fields."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[dict[str, str]] | None = None


_RARE = frozenset({"needs_reentry", "needsReentry", "key_needed", "keyNeeded"})


class SecretOut(Wire):
    """What is shown of a stored secret.

    Only one that does not open has `needsReentry`: it must be entered again, or the service be given the key `keyNeeded`.
    """

    set: bool
    hint: str | None = None
    updated_at: Moment | None = None
    needs_reentry: bool | None = None
    key_needed: str | None = None

    @model_serializer(mode="wrap")
    def _brief(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        shown: dict[str, Any] = handler(self)
        return {name: value for name, value in shown.items() if value or name not in _RARE}


class TenantIn(Wire):
    """A new tenant; id and slug are derived from the name where absent."""

    id: str | None = Field(None, pattern=NAME_PATTERN)
    slug: str | None = Field(None, pattern=NAME_PATTERN)
    name: str = Field(min_length=1, max_length=200)
    retention_days: Days | None = None


class RateLimitIO(Wire):
    """So many calls in so many seconds; a burst of `calls` is let through at once."""

    calls: int = Field(ge=1, le=1_000_000, strict=True)
    seconds: int = Field(ge=1, le=86_400, strict=True)


class TenantPatch(Wire):
    """Changes to a tenant. The limits hold over all its webhooks together; null lifts them.

    `retentionDays` is for how long its calls and ended deliveries are kept, where that is shorter than the platform's.
    """

    slug: str = Field("", pattern=NAME_PATTERN)
    name: str = Field("", min_length=1, max_length=200)
    status: Literal["active", "suspended"] = "active"
    rate_limit: RateLimitIO | None = None
    concurrency: int | None = Field(None, ge=1, le=10_000, strict=True)
    retention_days: Days | None = None


class TenantOut(Wire):
    """A tenant."""

    id: str
    slug: str
    name: str
    status: Literal["active", "suspended"]
    version: int
    created_at: Moment
    updated_at: Moment
    rate_limit: RateLimitIO | None
    concurrency: int | None
    retention_days: int | None


class PolicyIn(Wire):
    """How a webhook is called; null or absent means the default.

    `schedule` is the pauses before a delivery's retries, in seconds; the last one repeats. `retryOnWorkflowError` is about n8n's
    "Error in workflow": the workflow ran then, perhaps with effects. `redactPaths` (such as `$.card.number`, `$.items[*].email`,
    `$..password`) lead to what is neither stored nor shown; with `keepPayloads` false no payload, answer or metadata is.
    """

    timeout_ms: int | None = Field(None, ge=1, le=120_000, strict=True)
    max_retries: int | None = Field(None, ge=0, le=10, strict=True)
    retry_on_timeout: bool | None = Field(None, strict=True)
    retry_on_workflow_error: bool | None = Field(None, strict=True)
    schedule: list[Annotated[int, Field(ge=1, le=86_400, strict=True)]] | None = Field(
        None, min_length=1, max_length=10
    )
    rate_limit: RateLimitIO | None = None
    concurrency: int | None = Field(None, ge=1, le=10_000, strict=True)
    redact_paths: list[Annotated[str, Field(max_length=200)]] | None = Field(None, max_length=50)
    keep_payloads: bool | None = Field(None, strict=True)


class WebhookFields(Wire):
    """What may be written into a webhook."""

    webhook_url: str | None = Field(None, max_length=2048)
    description: str | None = Field(None, max_length=2000)
    is_active: bool = Field(True, strict=True)
    auth_type: Literal["none", "bearer", "header", "basic", "jwt"] = "none"
    auth_config: dict[str, Any] = Field(default_factory=dict)
    auth_token: str | SecretOut | None = None
    static_headers: dict[str, str | SecretOut | None] | None = None
    policy: PolicyIn | None = None


class WebhookIn(WebhookFields):
    """A new webhook."""

    workflow_name: str = Field(pattern=NAME_PATTERN)


class WebhookPut(WebhookFields):
    """Changes to a webhook: an absent field keeps its value."""

    workflow_name: str = Field("", pattern=NAME_PATTERN)


class RotateIn(Wire):
    """How long calls are signed with the former secret too."""

    overlap_hours: float = Field(24.0, ge=0, le=168, allow_inf_nan=False, strict=True)


class WebhookOut(Wire):
    """A webhook. `signingSecret` is the secret itself in the answer that made it, and what is shown of it ever after."""

    id: UUID
    tenant_id: str
    workflow_name: str
    webhook_url: str
    description: str
    is_active: bool
    auth_type: str
    auth_config: Mapping[str, Any]
    auth_token: SecretOut
    static_headers: Mapping[str, SecretOut]
    signing_secret: SecretOut | str
    previous_signing_until: Moment | None
    policy: Mapping[str, Any]
    config_version: int
    total_calls: int
    successful_calls: int
    failed_calls: int
    last_called_at: Moment | None
    created_at: Moment
    created_by: str
    updated_at: Moment
    updated_by: str


class TimingOut(Wire):
    """What a call's time went into, in ms; null for what it did not need, or did not come to.

    A kept connection needs no name, connecting and TLS. Where no response came, the last phase lasted until the end.
    """

    resolve_ms: float | None = Field(description="From the host's name to its addresses.")
    connect_ms: float | None = Field(description="The TCP handshake.")
    tls_ms: float | None = Field(description="The TLS handshake.")
    wait_ms: float | None = Field(description="Until the response's first byte.")
    download_ms: float | None = Field(description="Until its last.")


class CallOut(Wire):
    """One recorded call. `responseTime` is in ms; `altered` tells that the record differs from what was on the wire.

    So it does where a value can't be stored, or the webhook's policy hides some. `expungedAt` is when payloads were removed.
    """

    id: UUID
    tenant_id: str
    webhook_id: UUID
    workflow_name: str | None
    timestamp: Moment
    request_payload: Any
    request_headers: Any
    status_code: int | None
    response_body: Any
    response_time: int
    timing: TimingOut | None = Field(description="Null where it was not timed, as of a call made elsewhere.")
    success: bool
    error_code: str | None
    error_message: str | None
    cause: str | None
    cause_text: str | None
    triggered_by: str | None
    metadata: Any
    delivery_id: UUID | None
    attempt: int
    retry_of: UUID | None
    altered: bool
    expunged_at: Moment | None


class FiguresOut(Wire):
    """Counted calls of a period; times in ms, null where nothing was called."""

    total_calls: int
    successful_calls: int
    failed_calls: int
    success_rate: float | None
    average_response_time: float | None
    p50: float | None
    p95: float | None
    p99: float | None


class SummaryOut(FiguresOut):
    """A period's figures beside those of the period before it."""

    start_date: Moment
    end_date: Moment
    previous: FiguresOut


class APIKeyIn(Wire):
    """A new API key: of the platform without tenantId, else of that tenant."""

    name: str = Field(min_length=1, max_length=200)
    tenant_id: str | None = Field(None, pattern=NAME_PATTERN)
    scopes: list[Literal["platform", "call", "send", "read"]] | None = None


class APIKeyOut(Wire):
    """An API key, without the key."""

    id: UUID
    tenant_id: str | None
    name: str
    hint: str
    scopes: list[str]
    created_at: Moment
    created_by: str
    last_used_at: Moment | None
    revoked_at: Moment | None


class NewAPIKeyOut(APIKeyOut):
    """An API key just made: `key` is shown this once."""

    key: str


class AuditEventOut(Wire):
    """Who did what."""

    id: UUID
    tenant_id: str
    at: Moment
    actor_type: str
    actor_id: str
    action: str
    target_type: str
    target_id: str
    outcome: Literal["success", "denied", "failed"]
    detail: Mapping[str, Any]
    ip: str | None
    request_id: str | None
    seq: int | None = Field(description="Its number in the tenant's chain; null before there was one.")
    hash: str | None = Field(description="SHA-256 of it and of all before it.")

    @field_validator("hash", mode="before")
    @classmethod
    def _in_hex(cls, value: object) -> object:
        return value.hex() if isinstance(value, bytes) else value


class CallBodyIn(Wire):
    """The body of a call, as the OpenAPI document shows it."""

    payload: Any = Field(description="Sent to the webhook byte for byte as it stands here.")
    triggered_by: str | None = Field(None, max_length=200)
    metadata: dict[str, Any] | None = None
    timeout_ms: int | None = Field(None, ge=1, le=120_000, description="The whole budget, retries included.")
    max_retries: int | None = Field(None, ge=0, le=10)


class DeliveryBodyIn(Wire):
    """The body of a delivery, as the OpenAPI document shows it."""

    payload: Any = Field(description="Sent to the webhook byte for byte as it stands here.")
    triggered_by: str | None = Field(None, max_length=200)
    metadata: dict[str, Any] | None = None
    timeout_ms: int | None = Field(None, ge=1, le=120_000, description="Of each attempt.")
    max_retries: int | None = Field(None, ge=0, le=10, description="By default as many as the schedule has pauses.")
    ordering_key: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Deliveries of one webhook with the same key go one by one, in order.",
    )
    deliver_before: datetime | None = Field(
        None, description="After this it is not sent any more, but ends as expired."
    )


class DeliveryAcceptedOut(Wire):
    """A delivery that is committed."""

    delivery_id: UUID


class CallReplyOut(Wire):
    """How a call went."""

    call_id: UUID
    success: bool
    status_code: int | None
    response_body: Any
    response_time: int = Field(description="Milliseconds.")
    attempts: int
