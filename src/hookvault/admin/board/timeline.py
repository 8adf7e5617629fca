"""Counted points as the lines and bars of charts (pure)."""

from collections.abc import Sequence

from hookvault.admin.board.choice import Choice
from hookvault.admin.charts.scale import Unit
from hookvault.admin.charts.series import Series, Timeline
from hookvault.analytics.figures import Point


def results(points: Sequence[Point], choice: Choice) -> Timeline:
    """Calls by result, to be stacked; those that timed out apart where they were counted so."""
    successful = Series("Successful", "ok", [point.figures.successful_calls for point in points])
    failed = [point.figures.failed_calls - point.timed_out_calls for point in points]
    if not choice.tells_timeouts:
        return _timeline("Calls by result", points, choice, (successful, Series("Failed", "fail", failed)))
    timed_out = Series("Timed out", "warn", [point.timed_out_calls for point in points])
    series = (successful, timed_out, Series("Failed otherwise", "fail", failed))
    return _timeline("Calls by result", points, choice, series)


def latencies(points: Sequence[Point], choice: Choice) -> Timeline:
    """Percentiles of response times, in ms."""
    series = (
        Series("p50", "p50", [point.figures.p50 for point in points]),
        Series("p95", "p95", [point.figures.p95 for point in points]),
        Series("p99", "p99", [point.figures.p99 for point in points]),
    )
    return _timeline("Response time of calls", points, choice, series, unit="ms")


def _timeline(
    title: str, points: Sequence[Point], choice: Choice, series: Sequence[Series], *, unit: Unit = "count"
) -> Timeline:
    return Timeline(
        title,
        [point.start for point in points],
        choice.end,
        series,
        interval=choice.interval,
        zone=choice.zone,
        unit=unit,
        empty="No calls in this period",
    )
