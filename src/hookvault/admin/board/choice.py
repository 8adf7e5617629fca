"""Which calls a dashboard is of: filters in its address, read as the API reads them (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import get_args
from urllib.parse import urlencode
from uuid import UUID

from hookvault.admin.charts.series import zone_name
from hookvault.analytics.filter import check, parse
from hookvault.analytics.period import Interval, checked_range, find_zone, make_points
from hookvault.clock import iso, now
from hookvault.errors import InvalidError

# What may be asked without naming moments: how long, in which points, and what the time before is called.
RANGES: Mapping[str, tuple[timedelta, Interval, str]] = {
    "1h": (timedelta(hours=1), "minute", "prior hour"),
    "24h": (timedelta(hours=24), "half_hour", "prior day"),
    "7d": (timedelta(days=7), "hour", "prior 7 days"),
    "30d": (timedelta(days=30), "day", "prior 30 days"),
}
CUSTOM = "custom"
INTERVALS: Mapping[Interval, str] = {
    "minute": "by minute",
    "half_hour": "by half hour",
    "hour": "by hour",
    "day": "by day",
}
# The finest points of which a range has about a hundred or two.
_FITTING: tuple[tuple[timedelta, Interval], ...] = (
    (timedelta(hours=3), "minute"),
    (timedelta(hours=36), "half_hour"),
    (timedelta(days=15), "hour"),
)
_NAMES = ("tenantId", "webhookId", "range", "startDate", "endDate", "interval", "timeZone")
_DEFAULT = "24h"


@dataclass(frozen=True, slots=True)
class Choice:
    """Whose calls, of when, in which points.

    Attributes:
        tenant_id: None for all tenants.
        webhook_id: One of the tenant's; None for all.
        name: Of the range: a key of `RANGES`, or `CUSTOM`.
        start: The first moment.
        end: The first moment no more.
        interval: How long a point of a chart is.
        zone: Whose clocks.
        given: What the address says.
    """

    tenant_id: str | None
    webhook_id: UUID | None
    name: str
    start: datetime
    end: datetime
    interval: Interval
    zone: tzinfo
    given: Mapping[str, str]

    @property
    def zone_name(self) -> str:
        """The time zone as the API takes it."""
        return zone_name(self.zone)

    @property
    def before(self) -> str:
        """What the period before is called."""
        return RANGES[self.name][2] if self.name in RANGES else "prior period"

    @property
    def pinned(self) -> str:
        """The query of the page's parts: all count to the same moment, however long each takes to be asked for."""
        return "?" + urlencode({
            **self.whose,
            "startDate": iso(self.start),
            "endDate": iso(self.end),
            "interval": self.interval,
            "timeZone": self.zone_name,
            "of": self.name,
        })  # fmt: skip

    @property
    def tells_timeouts(self) -> bool:
        """Whether calls that timed out are counted apart. By days of a time zone that would take four times as long."""
        return self.interval != "day"

    @property
    def whose(self) -> dict[str, str]:
        """Tenant and webhook as parameters."""
        return {name: self.given[name] for name in ("tenantId", "webhookId") if name in self.given}

    @property
    def when(self) -> dict[str, str]:
        """The range as parameters of the API."""
        return {"startDate": iso(self.start), "endDate": iso(self.end)}


def link(path: str, given: Mapping[str, str], **changes: str | None) -> str:
    """The address of a page with these parameters, some of them changed, or left out where they are None."""
    changed = {**{name: given[name] for name in _NAMES if name in given}, **changes}
    kept = {name: value for name, value in changed.items() if value is not None}
    return f"{path}?{urlencode(kept)}" if kept else path


def read_choice(query: Mapping[str, str], reader: tzinfo) -> Choice:
    """What an address asks for.

    Args:
        query: Its parameters, without empty ones.
        reader: The time zone where it names none.

    Raises:
        InvalidError: as the API says, or for a range or interval that there is not.
    """
    zone = find_zone(query["timeZone"]) if "timeZone" in query else reader
    which = parse(
        start=query.get("startDate"),
        end=query.get("endDate"),
        webhook_id=query.get("webhookId"),
        tenant_id=query.get("tenantId"),
    )
    check(which)
    if which.webhook_id is not None and "tenantId" not in query:
        raise InvalidError("A webhook is one of a tenant's. Choose its tenant too.", code="invalid_filter")
    asked = _interval(query)
    if which.start is None and which.end is None:
        name = query.get("range", _DEFAULT)
        start, end, interval = _ranged(name, asked, zone)
    else:
        name = query.get("of", CUSTOM)
        start, end = checked_range(_placed(which.start, zone), _placed(which.end, zone))
        interval = asked or _fitting(end - start)
        make_points(start, end, interval, zone)
    return Choice(query.get("tenantId"), which.webhook_id, name, start, end, interval, zone, dict(query))


def _fitting(length: timedelta) -> Interval:
    return next((interval for most, interval in _FITTING if length <= most), "day")


def _interval(query: Mapping[str, str]) -> Interval | None:
    if (text := query.get("interval")) is None:
        return None
    found: Interval | None = next((each for each in get_args(Interval) if each == text), None)
    if found is None:
        raise InvalidError("The interval is minute, half_hour, hour or day.", code="invalid_filter")
    return found


def _ranged(name: str, asked: Interval | None, zone: tzinfo) -> tuple[datetime, datetime, Interval]:
    """A range that ends now. It begins where a point does, so that the first is as whole as the others."""
    if name not in RANGES:
        raise InvalidError(f"The range is {', '.join(RANGES)}, or from startDate to endDate.", code="invalid_filter")
    length, usual, _ = RANGES[name]
    _, end = checked_range(None, None)
    points = make_points(end - length, end, asked or usual, zone)
    within = [start for start in points.starts if start >= end - length]
    return within[0] if within else end - length, end, asked or usual


def _placed(moment: datetime | None, zone: tzinfo) -> datetime | None:
    """A moment without a zone is one by the reader's clocks, as a form submits it."""
    return moment.replace(tzinfo=zone) if moment is not None and moment.tzinfo is None else moment


def last_hours(hours: int, zone: tzinfo) -> Choice:
    """The platform's calls of the last hours, for the overview, by hour."""
    end = now() + timedelta(milliseconds=1)
    points = make_points(end - timedelta(hours=hours), end, "hour", zone)
    return Choice(None, None, "24h", points.starts[1], end, "hour", zone, {})
