"""Axes: round ticks, values and times as people read them, and smooth paths that invent no peaks."""

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import pairwise
from typing import Literal, NamedTuple

from hookvault.analytics.period import Interval

Unit = Literal["count", "ms", "percent"]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000
# Between seconds and days, round means round on a clock.
_CLOCK_STEPS = (
    *(_SECOND * n for n in (10, 15, 30)),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
)
# How many labels fit at least on an axis that is narrow, middling, wide; charts.css knows the widths.
_FITTING = (3, 6, 12)
_LONG = ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", _SECOND, "s"))
_MINUTE_STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720)
_DAY_STEPS = (2, 3, 4, 7, 14)
_MONTH_STEPS = (1, 3, 6, 12, 24, 60, 120)

Point = tuple[float, float]


class Label(NamedTuple):
    """What an axis of time says at the point `at`, on axes of which widths: 0 is narrow, 1 middling, 2 wide."""

    at: int
    text: str
    widths: tuple[int, ...]


def ticks(top: float, unit: Unit = "count", most: int = 5) -> list[float]:
    """Round values at even distances from 0 to `top` or a little beyond; at most `most` above the 0.

    Counts have whole ticks, percentages (shares from 0 to 1) end at 1, times are round on a clock.
    """
    if unit == "percent":
        return [0.0, 0.25, 0.5, 0.75, 1.0]
    if not math.isfinite(top) or top <= 0:
        return [0.0, 1.0]
    step = next(step for step in _steps(top / most, unit) if step * most >= top)
    return [step * n for n in range(max(math.ceil(top / step - 1e-9), 1) + 1)]


def _steps(least: float, unit: Unit) -> Iterator[float]:
    if unit == "ms" and 5 * _SECOND < least <= 12 * _HOUR:
        yield from _CLOCK_STEPS
    base = float(_DAY) if unit == "ms" and least > 12 * _HOUR else 1.0
    exponent = math.floor(math.log10(least / base))
    while True:
        for factor in (1, 2, 2.5, 5):
            step = factor * 10.0**exponent * base
            if unit == "ms" or step == int(step):
                yield step
        exponent += 1


def number(value: float) -> str:
    """A count in full, such as 12,431; a small fraction with one decimal."""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:,.1f}"


def compact(value: float) -> str:
    """A count in few characters, such as 950, 12.4k, 3M or 1.2B."""
    if value >= 1e15:
        return f"{value:.0e}"
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        # From what rounds up to 1.0 of the next size on, that size is shown; 1,000 to 9,999 stand in full.
        if value >= size * 0.99995 and value >= 10_000:
            return f"{value / size:,.1f}".removesuffix(".0") + letter
    return number(value)


def duration(ms: float) -> str:
    """Milliseconds such as 152 ms, 1.12 s, 2 min 5 s, 3 h or 11 d 13 h."""
    if ms < 999.5:
        return f"{ms:.0f} ms" if ms >= 10 or ms == int(ms) else f"{ms:.1f} ms"
    if ms < _MINUTE - 50:
        text = f"{ms / _SECOND:.2f}" if ms < 9995 else f"{ms / _SECOND:.1f}"
        return f"{text.rstrip('0').rstrip('.')} s"
    size, name, part, smaller = next(row for row in _LONG if ms >= row[0] - row[2] / 2)
    whole, rest = divmod(round(ms / part), size // part)
    return f"{whole:,} {name} {rest} {smaller}" if rest else f"{whole:,} {name}"


def percent(share: float) -> str:
    """A share from 0 to 1, such as 95.4%. What is not all is never shown as 100%, what is not none never as 0%."""
    if 0 < share < 0.001:
        return "<0.1%"
    tenths = math.floor(share * 1000 + 1e-9) if share > 0.999 else round(share * 1000)
    return f"{tenths / 10:.1f}%" if tenths % 10 or 900 <= tenths < 1000 else f"{tenths // 10}%"


def written(value: float | None, unit: Unit) -> str:
    """A value in full, in its unit; a dash where there is none."""
    if value is None:
        return "\u2013"
    return {"count": number, "ms": duration, "percent": percent}[unit](value)


def marked(value: float, unit: Unit) -> str:
    """A tick's value in few characters."""
    return compact(value) if unit == "count" else written(value, unit)


def moment(at: datetime, interval: Interval, zone: tzinfo) -> str:
    """A point's time by the clocks of a zone, such as `26 Nov 14:00`, or `26 Nov 2026` for a day."""
    local = at.astimezone(zone)
    day = f"{local.day} {MONTHS[local.month - 1]}"
    return f"{day} {local.year}" if interval == "day" else f"{day} {local:%H:%M}"


def labels(times: Sequence[datetime], interval: Interval, zone: tzinfo) -> list[Label]:
    """What an axis of time says, at round times by the clocks of a zone: one choice for each width, in order.

    The labels for the narrow never overlap on 200 px, those for the middling on 400 px, those for the wide on 760 px.
    """
    local = [at.astimezone(zone) for at in times]
    choices = list(_choices(local, interval)) if local else []
    shown: dict[tuple[int, str], list[int]] = {}
    for width, fitting in enumerate(_FITTING):
        found, named = next((choice for choice in choices if 0 < len(choice[0]) <= fitting), _thinned(local, fitting))
        for index in found:
            shown.setdefault((index, named(local[index])), []).append(width)
    return [Label(index, text, tuple(widths)) for (index, text), widths in sorted(shown.items())]


def _choices(
    local: Sequence[datetime], interval: Interval
) -> Iterator[tuple[Sequence[int], Callable[[datetime], str]]]:
    """The points at rounder and rounder times, and how these are named."""
    if interval != "day":
        hour = _hour if local[0].date() == local[-1].date() else _hour_or_day
        minutes = [at.hour * 60 + at.minute for at in local]
        for step in _MINUTE_STEPS:
            yield [i for i, minute in enumerate(minutes) if minute % step == 0], hour
        midnights = [i for i, minute in enumerate(minutes) if minute == 0]
    else:
        midnights = list(range(len(local)))
    yield midnights, _day
    for step in _DAY_STEPS:
        yield [i for i in midnights if local[i].toordinal() % step == 1], _day
    firsts = [i for i in midnights if local[i].day == 1]
    for step in _MONTH_STEPS:
        named = _month if step < 12 else _year
        yield [i for i in firsts if (local[i].year * 12 + local[i].month - 1) % step == 0], named


def _thinned(local: Sequence[datetime], most: int) -> tuple[Sequence[int], Callable[[datetime], str]]:
    """Where no round time fits, points at even distances."""
    return range(0, len(local), -(-len(local) // most) or 1), _hour_or_day


def _hour(at: datetime) -> str:
    return f"{at:%H:%M}"


def _day(at: datetime) -> str:
    return f"{at.day} {MONTHS[at.month - 1]}"


def _hour_or_day(at: datetime) -> str:
    return _day(at) if at.hour == at.minute == 0 else _hour(at)


def _month(at: datetime) -> str:
    return _year(at) if at.month == 1 else MONTHS[at.month - 1]


def _year(at: datetime) -> str:
    return f"{at.year}"


def short(value: float) -> str:
    """A coordinate in few bytes."""
    return f"{round(value, 2):g}"


def runs(points: Sequence[Point | None]) -> list[list[Point]]:
    """The stretches of points without a gap between."""
    found: list[list[Point]] = [[]]
    for point in points:
        if point is not None:
            found[-1].append(point)
        elif found[-1]:
            found.append([])
    return [run for run in found if run]


def straight(points: Sequence[Point]) -> str:
    """An SVG path through points, to whole units; one point alone is a dot where the line has round ends."""
    if not points:
        return ""
    whole = [(round(x), round(y)) for x, y in points]
    # Relative, since points lie close where there are many: then a point takes five bytes or so.
    steps = [f"{x2 - x1} {y2 - y1}" for (x1, y1), (x2, y2) in pairwise(whole)]
    start = f"M{whole[0][0]} {whole[0][1]}"
    return start + ("l" + " ".join(steps).replace(" -", "-") if steps else "h.01")


def smooth(points: Sequence[Point]) -> str:
    """The same as a curve that never leaves the range of two neighbours (monotone cubic, after Fritsch and Carlson)."""
    if len(points) < 3:
        return straight(points)
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in pairwise(points)]
    tangents = [slopes[0], *(_tangent(a, b) for a, b in pairwise(slopes)), slopes[-1]]
    pieces = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x1, y1), (x2, y2), (m1, m2) in zip(points, points[1:], pairwise(tangents), strict=False):
        third = (x2 - x1) / 3
        ends = f"{x2 - third:.1f} {y2 - m2 * third:.1f} {x2:.1f} {y2:.1f}"
        pieces.append(f"C{x1 + third:.1f} {y1 + m1 * third:.1f} {ends}")
    return "".join(pieces)


def _tangent(before: float, after: float) -> float:
    """The harmonic mean of two slopes, or level at a peak: at most twice the smaller, so the curve stays within."""
    return 2 * before * after / (before + after) if before * after > 0 else 0.0
