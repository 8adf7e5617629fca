"""What a webhook's page shows of its calls: the periods to choose from, and tiles with what changed (pure)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from hookvault.admin.shown import milliseconds, number, percent
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
