"""Recorded calls and what is asked of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """One recorded call: one HTTP attempt, one row of webhook_analytics. `response_time` is in ms."""

    id: UUID
    tenant_id: str
    webhook_id: UUID
    workflow_name: str | None
    timestamp: datetime
    request_payload: Any
    request_headers: Any
    status_code: int | None
    response_body: Any
    response_time: int
    success: bool
    error_code: str | None
    error_message: str | None
    triggered_by: str | None
    metadata: Any
    delivery_id: UUID | None
    attempt: int
    retry_of: UUID | None
    altered: bool


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls: a half-open time range [start, end), and what else narrows it. `status` as the API takes it."""

    start: datetime | None = None
    end: datetime | None = None
    status: str | None = None
    webhook_id: UUID | None = None
    triggered_by: str | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Counted calls of a period. Response times are in ms; None where nothing was called."""

    total_calls: int
    successful_calls: int
    failed_calls: int
    average_response_time: float | None
    p50: float | None
    p95: float | None
    p99: float | None

    @property
    def success_rate(self) -> float | None:
        """The share of calls that succeeded, 0 to 1; None where nothing was called."""
        return self.successful_calls / self.total_calls if self.total_calls else None


@dataclass(frozen=True, slots=True)
class Summary:
    """A period's figures beside those of the period of the same length before it."""

    start: datetime
    end: datetime
    figures: Figures
    previous: Figures
