"""Recorded calls and what is asked of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from hookvault.analytics.cause import CAUSES, cause_of


@dataclass(frozen=True, slots=True)
class Timing:
    """What a call's time went into, in ms; None for a phase that it did not need, or did not come to.

    A kept connection needs no resolving, connecting and TLS. Where no response came, the last phase lasted until the end.
    """

    resolve_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    wait_ms: float | None
    download_ms: float | None


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """One recorded call: one HTTP attempt, one row of webhook_analytics. Times are in ms."""

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
    expunged_at: datetime | None = None
    resolve_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    wait_ms: float | None = None

    @property
    def cause(self) -> str | None:
        """Why it failed, one of `hookvault.analytics.cause.CAUSES`; None on success."""
        return None if self.success else cause_of(self.error_code, self.status_code, self.error_message)

    @property
    def cause_text(self) -> str | None:
        """The same in plain words."""
        return None if self.cause is None else CAUSES[self.cause]

    @property
    def timing(self) -> Timing | None:
        """What its time went into; None of one that was not timed, such as one made elsewhere."""
        before = (self.resolve_ms, self.connect_ms, self.tls_ms, self.wait_ms)
        known = [took for took in before if took is not None]
        if not known:
            return None
        rest = None if self.status_code is None else max(0.0, self.response_time - sum(known))
        return Timing(*(None if took is None else round(took, 2) for took in (*before, rest)))


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls: a half-open time range [start, end), and what else narrows it.

    Attributes:
        start: The first moment; None is the default range's.
        end: The first moment no more.
        status: As the API takes it: success, failed, a class such as 5xx, or a code such as 404.
        webhook_id: One webhook's calls.
        triggered_by: Who asked for them, exactly.
        cause: Why they failed, one of `hookvault.analytics.cause.CAUSES`.
        min_time: Response time in ms, at least.
        max_time: Response time in ms, at most.
        call_id: A call, its retries included (they name it as `retry_of`), or the calls of a delivery of this id.
        tenant_id: One tenant's calls, where the question is asked over all tenants.
    """

    start: datetime | None = None
    end: datetime | None = None
    status: str | None = None
    webhook_id: UUID | None = None
    triggered_by: str | None = None
    cause: str | None = None
    min_time: int | None = None
    max_time: int | None = None
    call_id: UUID | None = None
    tenant_id: str | None = None


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
