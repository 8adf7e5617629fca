"""What a webhook's page shows of its calls: tiles with what changed, charts, and why calls failed (pure)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Literal

from markupsafe import Markup

from hookvault.admin.charts.bars import stacked
from hookvault.admin.charts.lines import lined
from hookvault.admin.charts.ranks import Rank, ranked
from hookvault.admin.charts.series import Series, Timeline
from hookvault.admin.charts.table import timeline_table
from hookvault.admin.shown import milliseconds, number, percent
from hookvault.analytics.figures import ErrorGroup, Point
from hookvault.analytics.model import Figures, Summary
from hookvault.analytics.period import Interval

Span = Literal["24h", "7d", "30d"]


@dataclass(frozen=True, slots=True)
class Range:
    """How far back a page looks, and in what steps its charts go."""

    name: str
    said: str
    before: str
    length: timedelta
    interval: Interval


RANGES: dict[str, Range] = {
    "24h": Range("24h", "last 24 hours", "vs. day before", timedelta(hours=24), "hour"),
    "7d": Range("7d", "last 7 days", "vs. week before", timedelta(days=7), "hour"),
    "30d": Range("30d", "last 30 days", "vs. 30 days before", timedelta(days=30), "day"),
}


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure, and how it differs from the period before. `mood` is good, bad, or empty where neither."""

    name: str
    value: str
    change: str
    mood: str


def make_tiles(summary: Summary) -> list[Tile]:
    """The figures of a period beside those of the one before."""
    now, then = summary.figures, summary.previous
    return [
        Tile("Calls", number(now.total_calls), *_relative(now.total_calls, then.total_calls)),
        Tile("Success rate", percent(now.success_rate), *_points(now, then)),
        Tile("Failed", number(now.failed_calls), *_count(now.failed_calls, then.failed_calls)),
        Tile("p50", milliseconds(now.p50), *_time(now.p50, then.p50)),
        Tile("p95", milliseconds(now.p95), *_time(now.p95, then.p95)),
        Tile("p99", milliseconds(now.p99), *_time(now.p99, then.p99)),
    ]


def draw_results(points: Sequence[Point], asked: Range, end: datetime, zone: tzinfo) -> Markup:
    """The calls of a period by result."""
    series = [
        Series("Succeeded", "ok", [point.figures.successful_calls for point in points]),
        Series("Failed", "fail", [point.figures.failed_calls for point in points]),
    ]
    title = f"Calls by result, {asked.said}"
    timeline = Timeline(title, _times(points), end, series, asked.interval, zone, empty="No calls in this period")
    return stacked(timeline) + timeline_table(timeline, totals=True)


def draw_times(points: Sequence[Point], asked: Range, end: datetime, zone: tzinfo) -> Markup:
    """The response times of a period."""
    series = [
        Series("p50", "p50", [point.figures.p50 for point in points]),
        Series("p95", "p95", [point.figures.p95 for point in points]),
        Series("p99", "p99", [point.figures.p99 for point in points]),
    ]
    title = f"Response time, {asked.said}"
    times = _times(points)
    timeline = Timeline(title, times, end, series, asked.interval, zone, unit="ms", empty="No calls in this period")
    return lined(timeline) + timeline_table(timeline)


def draw_causes(groups: Sequence[ErrorGroup]) -> Markup:
    """Why calls failed, the most frequent cause first."""
    failed: Counter[str] = Counter()
    for group in groups:
        failed[group.text] += group.failed_calls
    whole = failed.total()
    ranks = [Rank(text, calls, calls / whole, "fail") for text, calls in failed.most_common(8)]
    return ranked(ranks, empty="No call failed in this period.")


def draw_codes(groups: Sequence[ErrorGroup], figures: Figures) -> Markup:
    """How many calls were answered with which HTTP status."""
    return ranked(rank_codes(groups, figures), empty="No calls in this period.")


def rank_codes(groups: Sequence[ErrorGroup], figures: Figures) -> Sequence[Rank]:
    """Calls by the HTTP status of their answer: those that succeeded, then failures by their number."""
    codes: Counter[str] = Counter()
    for group in groups:
        codes[str(group.status_code) if group.status_code else "No answer"] += group.failed_calls
    ranks = [Rank("2xx", figures.successful_calls, figures.success_rate)] if figures.successful_calls else []
    for code, calls in codes.most_common(8):
        kind: Literal["warn", "fail"] = "warn" if code.startswith(("3", "4")) else "fail"
        ranks.append(Rank(code, calls, calls / figures.total_calls if figures.total_calls else None, kind))
    return ranks


def _times(points: Sequence[Point]) -> list[datetime]:
    return [point.start for point in points]


def _relative(now: int, then: int) -> tuple[str, str]:
    if not then:
        return ("", "")
    change = (now - then) / then * 100
    return (f"{change:+.1f}%" if abs(change) < 1000 else f"{now / then:,.0f} times", "")


def _points(now: Figures, then: Figures) -> tuple[str, str]:
    if now.success_rate is None or then.success_rate is None:
        return ("", "")
    change = round((now.success_rate - then.success_rate) * 100, 1)
    return (f"{change:+.1f} pt", _mood(-change)) if change else ("the same", "")


def _count(now: int, then: int) -> tuple[str, str]:
    change = now - then
    if not (now or then):
        return ("", "")
    return (f"{change:+,}", _mood(change)) if change else ("as many", "")


def _time(now: float | None, then: float | None) -> tuple[str, str]:
    if now is None or then is None:
        return ("", "")
    change = round(now - then)
    if not change:
        return ("the same", "")
    return (
        ("+" if change >= 0 else "-") + milliseconds(abs(change)),
        _mood(change if abs(change) > then / 20 else 0),
    )


def _mood(worse: float) -> str:
    return "bad" if worse > 0 else "good" if worse < 0 else ""
