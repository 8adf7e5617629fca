"""Limits, and what a request with an idempotency key finds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from hookvault.errors import InvalidError

WHOLE_TENANT = UUID(int=0)
MAX_CONCURRENCY = 10_000
_MAX_CALLS = 1_000_000
_MAX_SECONDS = 86_400


class RateLimit(NamedTuple):
    """So many calls in so many seconds, as a token bucket: a burst of `calls`, then `calls` / `seconds` each second."""

    calls: int
    seconds: int


class Bound(NamedTuple):
    """A limit in force: `scope` is a webhook, or WHOLE_TENANT."""

    tenant_id: str
    scope: UUID
    rate: RateLimit | None
    concurrency: int | None


@dataclass(frozen=True, slots=True)
class OpenHold:
    """A hold that is in force: whose deliveries wait, why, and since when."""

    tenant_id: str
    tenant_name: str
    webhook_id: UUID
    workflow_name: str | None
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What is known of an idempotency key that was in use. `answer` is None while a call runs, and for deliveries."""

    request_hash: bytes
    message_id: UUID
    answer: Any
    running: bool
    expired: bool


def check_rate_limit(field: str, limit: object) -> None:
    """Refuses what is not `{"calls": n, "seconds": s}`. Raises InvalidError, naming the field."""
    if not isinstance(limit, Mapping) or set(limit) != {"calls", "seconds"}:
        raise _fault(field, 'must be of the form {"calls": 60, "seconds": 60}')
    for name, highest in (("calls", _MAX_CALLS), ("seconds", _MAX_SECONDS)):
        if not is_whole(limit[name], 1, highest):
            raise _fault(f"{field}.{name}", f"must be a whole number from 1 to {highest}")


def check_concurrency(field: str, value: object) -> None:
    """Refuses what is no bound on calls in flight. Raises InvalidError, naming the field."""
    if not is_whole(value, 1, MAX_CONCURRENCY):
        raise _fault(field, f"must be a whole number from 1 to {MAX_CONCURRENCY}")


def is_whole(value: object, lowest: int, highest: int) -> bool:
    """Whether a value is an integer, and no boolean, within bounds."""
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def _fault(field: str, message: str) -> InvalidError:
    return InvalidError(f"{field} {message}.", errors=[{"field": field, "message": message}])
