"""Figures as tiles: how much, how much more or less than in the period before, and a small line (pure)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from hookvault.admin import shown
from hookvault.admin.charts.series import Kind
from hookvault.admin.charts.spark import spark_area
from hookvault.analytics.figures import Point
from hookvault.analytics.model import Figures, Summary

Tone = Literal["", "good", "bad"]
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure.

    Attributes:
        name: What is counted.
        value: How much, as text.
        delta: How much more or less than before; empty where there was nothing before.
        tone: Whether that is good or bad.
        spark: A small line of the period; empty without one.
        href: Where it leads; empty for nowhere.
        note: What stands in place of the delta.
    """

    name: str
    value: str
    delta: str = ""
    tone: Tone = ""
    spark: Markup | Literal[""] = ""
    href: str = ""
    note: str = ""


def calls_tile(summary: Summary, points: Sequence[Point], *, href: str = "") -> Tile:
    """How many calls there were."""
    count, before = summary.figures.total_calls, summary.previous.total_calls
    spark = _spark(points, "Calls", "ok", lambda figures: figures.total_calls)
    # A change is neither good nor bad in itself.
    return Tile("Calls", shown.number(count), _change(count, before), "", spark, href)


def success_tile(summary: Summary, points: Sequence[Point], *, href: str = "") -> Tile:
    """Which share of them succeeded."""
    rate, before = summary.figures.success_rate, summary.previous.success_rate
    spark = _spark(points, "Success rate", "ok", lambda figures: figures.success_rate, floor=None)
    if rate is None or before is None:
        return Tile("Success rate", shown.percent(rate), spark=spark, href=href)
    change = round((rate - before) * 100, 1)
    return Tile(
        "Success rate", shown.percent(rate), _signed(change, f"{abs(change):.1f} pt"), _tone(change), spark, href
    )


def failed_tile(summary: Summary, points: Sequence[Point], *, href: str = "") -> Tile:
    """How many of them failed."""
    count, before = summary.figures.failed_calls, summary.previous.failed_calls
    spark = _spark(points, "Failed", "fail", lambda figures: figures.failed_calls)
    if not summary.previous.total_calls:
        return Tile("Failed", shown.number(count), spark=spark, href=href)
    change = count - before
    return Tile("Failed", shown.number(count), _signed(change, shown.number(abs(change))), _tone(-change), spark, href)


def time_tile(
    share: Literal["p50", "p95", "p99"], summary: Summary, points: Sequence[Point], *, href: str = ""
) -> Tile:
    """A percentile of their response times."""
    value, before = getattr(summary.figures, share), getattr(summary.previous, share)
    spark = _spark(points, f"{share} response time", share, lambda figures: getattr(figures, share))
    name = f"{share} response time"
    if value is None or before is None:
        return Tile(name, shown.milliseconds(value), spark=spark, href=href)
    change = round(value - before)
    return Tile(
        name, shown.milliseconds(value), _signed(change, shown.milliseconds(abs(change))), _tone(-change), spark, href
    )


def six_tiles(summary: Summary, points: Sequence[Point]) -> list[Tile]:
    """The dashboard's."""
    return [
        calls_tile(summary, points),
        success_tile(summary, points),
        failed_tile(summary, points),
        *(time_tile(share, summary, points) for share in ("p50", "p95", "p99")),
    ]


def _spark(
    points: Sequence[Point], name: str, kind: Kind, of: Callable[[Figures], float | None], *, floor: float | None = 0
) -> Markup:
    return spark_area([of(point.figures) for point in points], kind, label=f"{name} over the period", floor=floor)


def _change(count: int, before: int) -> str:
    """In percent, as long as that says something."""
    if not before:
        return ""
    share = (count - before) / before * 100
    return _signed(count - before, f"{abs(share):.1f}%" if abs(share) < 1000 else f"{abs(share) / 100 + 1:,.0f}x")


def _signed(change: float, text: str) -> str:
    return "no change" if not change else f"{'+' if change > 0 else _MINUS}{text}"


def _tone(better: float) -> Tone:
    return "" if not better else "good" if better > 0 else "bad"
