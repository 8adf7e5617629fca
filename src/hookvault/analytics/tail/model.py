"""Calls as the live tail shows them, and which of them a reader asked for (pure)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from hookvault.analytics.cause import cause_of
from hookvault.analytics.model import CallFilter


class Recorded(Protocol):
    """What `matches` looks at; every form of a call has it."""

    @property
    def id(self) -> UUID: ...  # noqa: D102 - the names say it
    @property
    def tenant_id(self) -> str: ...  # noqa: D102
    @property
    def webhook_id(self) -> UUID: ...  # noqa: D102
    @property
    def timestamp(self) -> datetime: ...  # noqa: D102
    @property
    def status_code(self) -> int | None: ...  # noqa: D102
    @property
    def response_time(self) -> int: ...  # noqa: D102
    @property
    def success(self) -> bool: ...  # noqa: D102
    @property
    def error_code(self) -> str | None: ...  # noqa: D102
    @property
    def error_message(self) -> str | None: ...  # noqa: D102
    @property
    def triggered_by(self) -> str | None: ...  # noqa: D102
    @property
    def delivery_id(self) -> UUID | None: ...  # noqa: D102
    @property
    def retry_of(self) -> UUID | None: ...  # noqa: D102


@dataclass(slots=True, eq=False)
class LiveCall:
    """A committed call without its bodies. `text` is what an edge made of it, kept so that it is made once for all readers."""

    id: UUID
    tenant_id: str
    webhook_id: UUID
    timestamp: datetime
    status_code: int | None
    response_time: int
    success: bool
    error_code: str | None
    error_message: str | None
    triggered_by: str | None
    delivery_id: UUID | None
    attempt: int
    retry_of: UUID | None
    workflow_name: str | None = None
    text: bytes = b""

    @property
    def cause(self) -> str | None:
        """Why it failed, a key of CAUSES; None when it did not."""
        return None if self.success else cause_of(self.error_code, self.status_code, self.error_message)

    @property
    def ended(self) -> datetime:
        """When it had ended; it was committed a moment later."""
        return self.timestamp + timedelta(milliseconds=self.response_time)


SHOWN = tuple(LiveCall.__slots__[:-2])  # the columns of a record


def live_call(record: Any) -> LiveCall:
    """A call from its record."""
    return LiveCall(*[getattr(record, name) for name in SHOWN])


def matches(which: CallFilter, call: Recorded) -> bool:
    """Whether a filter takes a call, as the SQL of the call log would."""
    return (
        (which.tenant_id is None or call.tenant_id == which.tenant_id)
        and (which.webhook_id is None or call.webhook_id == which.webhook_id)
        and (which.triggered_by is None or call.triggered_by == which.triggered_by)
        and (which.status is None or _has_status(which.status, call))
        and _in_bounds(which, call)
        and (which.call_id is None or which.call_id in (call.id, call.retry_of, call.delivery_id))
        and (which.cause is None or (not call.success and _cause(call) == which.cause))
    )


def _has_status(status: str, call: Recorded) -> bool:
    if status in ("success", "failed"):
        return call.success == (status == "success")
    if call.status_code is None or (call.success and not status.startswith("2")):
        return False  # as in the call log, where a code other than 2xx means a failed call
    return call.status_code // 100 == int(status[0]) if status.endswith("xx") else call.status_code == int(status)


def _in_bounds(which: CallFilter, call: Recorded) -> bool:
    return (
        (which.start is None or call.timestamp >= which.start)
        and (which.end is None or call.timestamp < which.end)
        and (which.min_time is None or call.response_time >= which.min_time)
        and (which.max_time is None or call.response_time <= which.max_time)
    )


def _cause(call: Recorded) -> str:
    return cause_of(call.error_code, call.status_code, call.error_message)
