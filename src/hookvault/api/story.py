"""The shapes of deliveries and replays on the wire."""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from pydantic import Field, field_validator

from hookvault.analytics.model import WebhookCall
from hookvault.api.schemas import CallOut, Moment, Wire
from hookvault.db.codec import decode_json
from hookvault.deliveries.model import Story
from hookvault.ids import NAME_PATTERN
from hookvault.webhooks.payload import response_json


class DeliveryOut(Wire):
    """A delivery. `nextAttemptAt` is null while it is called, waits for others of its ordering key, or has ended.

    `expungedAt` is when its payload was removed, by its webhook's policy or by an admin; it can't be replayed then.
    """

    id: UUID
    tenant_id: str
    webhook_id: UUID
    workflow_name: str | None
    status: Literal["pending", "held", "delivered", "failed", "expired"]
    accepted_at: Moment
    finished_at: Moment | None
    next_attempt_at: Moment | None
    attempts: int
    status_code: int | None
    error_code: str | None
    error_message: str | None
    triggered_by: str | None
    ordering_key: str | None
    deliver_before: Moment | None
    idempotency_key: str | None
    replay_of: UUID | None
    expunged_at: Moment | None


class DeliveryStoryOut(DeliveryOut):
    """A delivery's whole story. `trail` is what was decided and when, oldest first; `calls` are its HTTP attempts."""

    payload: Any
    altered: bool
    metadata: Any
    calls: list[CallOut]
    trail: list[dict[str, Any]]

    @field_validator("payload", mode="before")
    @classmethod
    def _parsed(cls, value: object) -> object:
        return decode_json(value) if isinstance(value, bytes) else value


class ReplayIn(Wire):
    """Which deliveries to make again: all that is given must hold. Without a status the failed and the expired ones."""

    status: list[Literal["delivered", "failed", "expired"]] = Field(default_factory=list, max_length=3)
    workflow_name: str | None = Field(None, pattern=NAME_PATTERN)
    webhook_id: UUID | None = None
    error_code: str | None = Field(None, max_length=64)
    start_date: Moment | None = None
    end_date: Moment | None = None
    rate_per_second: float = Field(50.0, ge=0.1, le=10_000, allow_inf_nan=False, strict=True)
    preview: bool = Field(False, strict=True, description="Only count.")


class ReplayPreviewOut(Wire):
    """What a replay would do."""

    count: int
    seconds: float = Field(description="How long it would take at the rate asked for.")


class ReplayOut(Wire):
    """A replay: `done` of `total` are made."""

    id: UUID
    tenant_id: str
    filter: dict[str, Any]
    rate: float = Field(serialization_alias="ratePerSecond")
    total: int
    done: int
    status: Literal["running", "finished", "cancelled"]
    created_at: Moment
    created_by: str
    updated_at: Moment
    finished_at: Moment | None

    @field_validator("filter", mode="before")
    @classmethod
    def _camel(cls, value: Any) -> Any:
        names = {"webhook_id": "webhookId", "error_code": "errorCode", "start": "startDate", "end": "endDate"}
        return {names.get(name, name): item for name, item in dict(value).items() if name != "ended_by"}


def story_out(story: Story, calls: Sequence[WebhookCall]) -> DeliveryStoryOut:
    """A delivery's story on the wire."""
    payload, altered = (None, False) if story.payload is None else response_json(story.payload, truncated=False)
    fields = {name: getattr(story.delivery, name) for name in DeliveryOut.model_fields}
    return DeliveryStoryOut(
        **fields,
        payload=payload,
        altered=altered or story.hidden,
        metadata=story.metadata,
        trail=[dict(entry) for entry in story.trail],
        calls=[CallOut.model_validate(call) for call in calls],
    )
