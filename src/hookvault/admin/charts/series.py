"""What a chart over time shows: named series of values at common times."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from typing import Any, Literal

from hookvault.admin.charts.scale import Unit, moment, written
from hookvault.analytics.period import Interval

_MOST = 1e15

Kind = Literal["ok", "warn", "fail", "p50", "p95", "p99", "muted"]


@dataclass(frozen=True, slots=True)
class Series:
    """Values under one name, one for each point of time.

    Attributes:
        name: As the legend shows it; any text.
        kind: Which colour: the class `c-<kind>` of charts.css.
        values: None where nothing is known; what is negative or no finite number becomes None.
    """

    name: str
    kind: Kind
    values: Sequence[float | None]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(map(drawable, self.values)))


@dataclass(frozen=True, slots=True)
class Timeline:
    """Series over a range of time.

    Attributes:
        title: What is shown, such as `Calls by result`; said to those who can't see the chart.
        times: Where each point begins, ascending.
        end: Where the last point ends.
        series: In the order of the legend; stacked from the bottom up.
        interval: How long a point is, for the form of its labels.
        zone: Whose clocks.
        unit: What the values are: counts, milliseconds, or shares from 0 to 1.
        empty: What stands in a chart that has nothing to show.
    """

    title: str
    times: Sequence[datetime]
    end: datetime
    series: Sequence[Series]
    interval: Interval = "hour"
    zone: tzinfo = UTC
    unit: Unit = "count"
    empty: str = "Nothing in this period"

    @property
    def blank(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(any(series.values) for series in self.series)

    def data(self, *, stacked: bool) -> dict[str, Any]:
        """What the read-out of charts.js needs, as `data-chart` carries it."""
        offsets = [round((at - self.times[0]).total_seconds()) for at in self.times]
        steps = {after - before for before, after in pairwise(offsets)}
        return {
            "start": self.times[0].astimezone(UTC).isoformat() if self.times else None,
            "end": self.end.astimezone(UTC).isoformat(),
            # Most points are equally long; then the step is enough.
            **({"step": steps.pop(), "points": len(offsets)} if len(steps) == 1 else {"at": offsets}),
            "interval": self.interval,
            "zone": zone_name(self.zone),
            "unit": self.unit,
            "stacked": stacked,
            "total": stacked and len(self.series) > 1,
            "series": [{"n": s.name, "c": s.kind, "v": [_brief(value) for value in s.values]} for s in self.series],
        }

    def told(self, *, summed: bool) -> str:
        """The chart in words: the range, and each series' total (where values add up), highest and lowest."""
        if not self.times:
            return f"{self.title}: {self.empty}."
        first, last = (moment(at, self.interval, self.zone) for at in (self.times[0], self.times[-1]))
        span = first if len(self.times) == 1 else f"{first} to {last}"
        said = [f"{self.title}, {span} ({zone_name(self.zone)})", *(self._said(s, summed=summed) for s in self.series)]
        return ". ".join([*said, self.empty] if self.blank else said) + "."

    def _said(self, series: Series, *, summed: bool) -> str:
        pairs = [(v, at) for v, at in zip(series.values, self.times, strict=True) if v is not None]
        if not pairs:
            return f"{series.name}: no values"
        (high, high_at), (low, low_at) = max(pairs, key=lambda p: p[0]), min(pairs, key=lambda p: p[0])
        total = f"{written(sum(v for v, _ in pairs), self.unit)} in total, " if summed else ""
        if high == low:
            return f"{series.name}: {total}{written(high, self.unit)} throughout"
        highest = f"highest {written(high, self.unit)} at {moment(high_at, self.interval, self.zone)}"
        lowest = f"lowest {written(low, self.unit)} at {moment(low_at, self.interval, self.zone)}"
        return f"{series.name}: {total}{highest}, {lowest}"


def drawable(value: float | None) -> float | None:
    """The value, or None where there is no finite number from 0 on; absurd ones end where floats still count exactly."""
    return min(value, _MOST) if value is not None and 0 <= value < math.inf else None


def zone_name(zone: tzinfo) -> str:
    """A zone's name as browsers know it, such as Europe/Berlin, or its offset, such as +02:00."""
    key = getattr(zone, "key", None)
    if isinstance(key, str):
        return key
    offset = datetime.now(zone).strftime("%z")
    return "UTC" if offset == "+0000" else f"{offset[:3]}:{offset[3:5]}"


def _brief(value: float | None) -> float | int | None:
    """In few bytes, exact enough to read."""
    if value is None:
        return None
    return int(value) if value == int(value) else round(value, 1 if value >= 1 else 4)
