"""What is counted, and of whom."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import NamedTuple
from uuid import UUID

from hookvault.analytics.model import Figures
from hookvault.analytics.rollups import histogram

ALL_WEBHOOKS = UUID(int=0)  # the webhook id of what all webhooks of a tenant add up to
ALL_TENANTS = ""  # the tenant id of what all tenants add up to
SHARES = (0.5, 0.95, 0.99)


class Over(Enum):
    """What a question adds up, and into how many answers."""

    WEBHOOK = "some webhooks together"
    TENANT = "all webhooks of one tenant"
    WEBHOOKS = "each of some webhooks"
    PLATFORM = "all tenants"
    TENANTS = "each tenant"
    SOME_TENANTS = "each of some tenants"
    THEIR_WEBHOOKS = "each of some webhooks of some tenants"


class Scope(NamedTuple):
    """Whose calls are counted: `tenant_id` is '' for the platform, `webhooks` are needed where webhooks are meant.

    Of some tenants `tenant_id` has all their ids with commas between, which no id has.
    """

    over: Over
    tenant_id: str = ALL_TENANTS
    webhooks: Sequence[UUID] = ()


class Want(NamedTuple):
    """What is needed besides counters, each of which costs something."""

    histogram: bool = False
    errors: bool = False


class Failure(NamedTuple):
    """What failed calls have in common."""

    cause: str
    error_code: str | None
    status_code: int | None


@dataclass(slots=True)
class Tally:
    """Counted calls, with response times in ms; what `Want` did not ask for stays empty."""

    total: int = 0
    successful: int = 0
    failed: int = 0
    time_sum: int = 0
    time_max: int = 0
    histogram: dict[int, int] = field(default_factory=dict)
    errors: dict[Failure, tuple[int, datetime]] = field(default_factory=dict)

    def count(self, counters: Iterable[int]) -> None:
        """Adds total, successful, failed, the sum of response times, and the longest."""
        total, successful, failed, time_sum, time_max = counters
        self.total += total
        self.successful += successful
        self.failed += failed
        self.time_sum += time_sum
        self.time_max = max(self.time_max, time_max)

    def add(self, other: "Tally") -> None:
        """Adds another's calls."""
        self.count((other.total, other.successful, other.failed, other.time_sum, other.time_max))
        histogram.add(self.histogram, other.histogram.keys(), other.histogram.values())
        for failure, (calls, last_at) in other.errors.items():
            self.fail(failure, calls, last_at)

    def subtract(self, part: "Tally") -> None:
        """Takes out calls that are among these. The longest time stays, and errors do."""
        self.total -= part.total
        self.successful -= part.successful
        self.failed -= part.failed
        self.time_sum -= part.time_sum
        histogram.subtract(self.histogram, part.histogram.keys(), part.histogram.values())

    def fail(self, failure: Failure, calls: int, last_at: datetime) -> None:
        """Adds failed calls of one kind."""
        before, latest = self.errors.get(failure, (0, last_at))
        self.errors[failure] = (before + calls, max(latest, last_at))

    def figures(self) -> Figures:
        """The counted calls as figures; percentiles within 5 %."""
        average = self.time_sum / self.total if self.total else None
        p50, p95, p99 = histogram.percentiles(self.histogram, SHARES, self.time_max)
        return Figures(self.total, self.successful, self.failed, average, p50, p95, p99)
