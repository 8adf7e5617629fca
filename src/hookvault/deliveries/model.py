"""A delivery: one durable job of one or more calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from hookvault.clock import iso

Status = Literal["pending", "held", "delivered", "failed", "expired"]
STATUSES: tuple[Status, ...] = ("pending", "held", "delivered", "failed", "expired")
ENDED: tuple[Status, ...] = ("delivered", "failed", "expired")


class NewDelivery(NamedTuple):
    """A delivery as it is accepted, in the order of the accepting statement. JSON is text as bytes.

    `request_hash` tells whether a second request with the same idempotency key asks for the same.
    """

    tenant_id: str
    id: UUID
    accepted_at: datetime
    webhook_id: UUID
    payload: bytes
    triggered_by: str | None = None
    metadata: bytes | None = None
    timeout_ms: int | None = None
    max_retries: int | None = None
    ordering_key: str | None = None
    deliver_before: datetime | None = None
    idempotency_key: str | None = None
    request_hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as a list shows it. `status` is `held` where something keeps it from being tried now."""

    id: UUID
    tenant_id: str
    webhook_id: UUID
    workflow_name: str | None
    status: Status
    accepted_at: datetime
    finished_at: datetime | None
    next_attempt_at: datetime | None
    attempts: int
    status_code: int | None
    error_code: str | None
    error_message: str | None
    triggered_by: str | None
    ordering_key: str | None
    deliver_before: datetime | None
    idempotency_key: str | None
    replay_of: UUID | None
    expunged_at: datetime | None


class Kept(NamedTuple):
    """What stays of a delivery's payload and metadata, in place of what was sent."""

    tenant_id: str
    id: UUID
    accepted_at: datetime
    payload: bytes | None
    metadata: bytes | None


@dataclass(frozen=True, slots=True)
class Hold:
    """A time in which a webhook's deliveries waited, and why."""

    reason: str
    since: datetime
    until: datetime | None
    probe_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """All that is known of a delivery. `trail` is what was decided, oldest first; times in it are ISO 8601.

    `payload` is what may be shown of it, byte for byte but for what is `hidden`.
    """

    delivery: Delivery
    payload: bytes | None
    hidden: bool
    metadata: Any
    trail: Sequence[Mapping[str, Any]]
    call_ids: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries: all fields that are set must hold. Times are of acceptance, the end exclusive, but for `ended_by`."""

    status: tuple[Status, ...] = ()
    webhook_id: UUID | None = None
    error_code: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    ended_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """Deliveries being made again, in the background: those that `filter` names, at `rate` per second."""

    id: UUID
    tenant_id: str
    filter: Mapping[str, Any]
    rate: float
    total: int
    done: int
    status: Literal["running", "finished", "cancelled"]
    created_at: datetime
    created_by: str
    updated_at: datetime
    finished_at: datetime | None


def event(name: str, at: datetime, **more: Any) -> dict[str, Any]:
    """One entry of a delivery's trail."""
    return {"at": iso(at), "event": name, **{key: value for key, value in more.items() if value is not None}}
