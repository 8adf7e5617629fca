"""Jobs as workers see them, and how they end."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class Candidate(NamedTuple):
    """A webhook that has ready jobs.

    Attributes:
        webhook_id: Which.
        tenant_id: Whose.
        alive: Whether webhook and tenant are still there.
        held: Whether it is switched off or its tenant is suspended.
        circuit: Whether its circuit is open.
        probe: Whether the time for a probe has come.
        version: Changes whenever anything does that a call depends on.
    """

    webhook_id: UUID
    tenant_id: str
    alive: bool
    held: bool
    circuit: bool
    probe: bool
    version: str


class Job(NamedTuple):
    """A claimed job. `claims` fences its answer; `attempts` were made before; `lost` claims came to none.

    `was_once`: the latest attempt said that one retry makes sense, which is this one.
    """

    tenant_id: str
    id: UUID
    accepted_at: datetime
    webhook_id: UUID
    claims: int
    attempts: int
    lost: int
    ordering_key: str | None
    deliver_before: datetime | None
    was_once: bool | None = None


class Message(NamedTuple):
    """What a job sends."""

    payload: bytes
    triggered_by: str | None
    metadata: bytes | None
    timeout_ms: int | None
    max_retries: int | None


class Ack(NamedTuple):
    """How a job goes on, in the order of the acknowledging statement.

    `status` is an end, or `pending` for a retry in `pause_s` seconds. `events` are further trail entries, as JSON.
    """

    tenant_id: str
    id: UUID
    accepted_at: datetime
    claims: int
    status: str
    pause_s: float
    attempts: int
    status_code: int | None
    error_code: str | None
    error_message: str | None
    events: bytes


class Lane(NamedTuple):
    """An ordering key of a webhook."""

    webhook_id: UUID
    ordering_key: str
