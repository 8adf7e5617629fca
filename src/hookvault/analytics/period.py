"""Ranges of time, and the points that a series divides them into, in anybody's time zone (pure)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hookvault.clock import now
from hookvault.errors import InvalidError

Interval = Literal["minute", "half_hour", "hour", "day"]

DEFAULT_RANGE = timedelta(days=30)
MOST_POINTS = 2000
_LONGEST_RANGE = timedelta(days=3660)
_MS = timedelta(milliseconds=1)
_QUARTER = timedelta(minutes=15)
_HALF_HOUR = timedelta(minutes=30)
_UNIT = {"minute": timedelta(minutes=1), "half_hour": _HALF_HOUR, "hour": timedelta(hours=1), "day": timedelta(days=1)}
_DEFAULT_POINTS = {"minute": 60, "half_hour": 48, "hour": 48, "day": 30}
# Why an interval is too fine is better said with one that is not.
_COARSER = {"minute": "hour", "half_hour": "hour", "hour": "day", "day": None}


@dataclass(frozen=True, slots=True)
class Points:
    """What a series is divided into.

    Attributes:
        starts: Where each point begins by the clock; the first may begin before the range does.
        bounds: Where each point's calls begin, and where the last one's end.
    """

    starts: Sequence[datetime]
    bounds: Sequence[datetime]


def checked_range(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """A half-open range: the end is now by default (calls of this very moment included), the start 30 days before it.

    Raises:
        InvalidError: code `invalid_range`, when it ends before it starts or is longer than ten years.
    """
    try:
        last = _whole(end) if end else now() + _MS
        first = _whole(start) if start else last - DEFAULT_RANGE
        if first < last and last - first <= _LONGEST_RANGE:
            _ = first - (last - first) - _UNIT["day"]  # the period before must exist too
            return first, last
    except OverflowError:
        raise _beyond() from None
    raise InvalidError("The range must start before it ends, and span ten years or less.", code="invalid_range")


def find_zone(name: str) -> tzinfo:
    """A time zone of the IANA database by its name, such as Europe/Berlin.

    Raises:
        InvalidError: code `unknown_time_zone`.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidError(
            "This time zone is not known. Give a name of the IANA database, such as Europe/Berlin or UTC.",
            code="unknown_time_zone",
        ) from None


def make_points(
    start: datetime | None, end: datetime | None, interval: Interval, zone: tzinfo, *, most: int = MOST_POINTS
) -> Points:
    """The points of a series: whole minutes, half hours, hours or days by the clocks of a zone, whatever these do.

    Args:
        start: The first moment; by default 60 minutes, 48 half hours or hours, or 30 days before the end, with the present one.
        end: Exclusive; now by default.
        interval: How long a point is. A day has 23 or 25 hours when the clocks are changed.
        zone: Whose clocks.
        most: How many points there may be.

    Raises:
        InvalidError: codes `invalid_range`, `interval_too_fine`.
    """
    if start is None:
        _, last = checked_range(None, end)
        first = _begin(last - _MS, interval, zone)
        for _ in range(_DEFAULT_POINTS[interval] - 1):
            first = _begin(first - _MS, interval, zone)
    else:
        first, last = checked_range(start, end)
    if (last - first) / _UNIT[interval] > most:
        raise _too_fine(interval, most)
    try:
        starts = [_begin(first, interval, zone)]
        while (following := _after(starts[-1], interval, zone)) < last:
            starts.append(following)
    except (OverflowError, ValueError):  # a clock of this zone would show the year 0 or 10000
        raise _beyond() from None
    if len(starts) > most:
        raise _too_fine(interval, most)
    return Points(starts, [first, *starts[1:], last])


def _begin(moment: datetime, interval: Interval, zone: tzinfo) -> datetime:
    """Where the minute, hour or day that holds a moment begins, by the clocks of the zone."""
    if interval == "minute":
        return moment.replace(second=0, microsecond=0)
    local = moment.astimezone(zone)
    if interval == "half_hour":
        return local.replace(minute=local.minute // 30 * 30, second=0, microsecond=0).astimezone(UTC)
    if interval == "hour":
        return local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    return datetime.combine(local.date(), time(), zone).astimezone(UTC)


def _after(moment: datetime, interval: Interval, zone: tzinfo) -> datetime:
    """Where the next one begins. Clocks are changed by any multiple of 15 minutes, and once a whole day was left out."""
    step, stride = _STEPS[interval]
    later = step(moment)
    while (following := _begin(later, interval, zone)) <= moment:
        later += stride
    return following


_STEPS: dict[str, tuple[Callable[[datetime], datetime], timedelta]] = {
    "minute": (lambda moment: moment + _UNIT["minute"], _UNIT["minute"]),
    "half_hour": (lambda moment: moment + _HALF_HOUR, _QUARTER),
    "hour": (lambda moment: moment + _UNIT["hour"], _QUARTER),
    "day": (lambda moment: moment + timedelta(hours=22), _UNIT["hour"]),
}


def _beyond() -> InvalidError:
    return InvalidError("The range reaches to where the calendar begins or ends.", code="invalid_range")


def _too_fine(interval: Interval, most: int) -> InvalidError:
    coarser = _COARSER[interval] if most == MOST_POINTS else None
    hint = f"Ask by {coarser}, or for a shorter range." if coarser else "Ask for a shorter range."
    name = interval.replace("_", " ")
    return InvalidError(f"This range has more than {most:,} points by {name}. {hint}", code="interval_too_fine")


def _whole(moment: datetime) -> datetime:
    """In UTC, at the first whole millisecond from then on, since calls have whole ones."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware + timedelta(microseconds=-aware.microsecond % 1000)
