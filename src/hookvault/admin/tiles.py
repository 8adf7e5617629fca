"""Figures of a period in big letters, each beside the same of the period before (pure)."""

from dataclasses import dataclass
from typing import Literal

from hookvault.admin.shown import milliseconds, number, percent
from hookvault.analytics.model import Figures, Summary

Verdict = Literal["good", "bad", ""]
_STEADY = 0.005  # what changes by less has not changed


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure: its name, as it is written, how it changed, and whether that is good."""

    name: str
    value: str
    delta: str
    verdict: Verdict
    query: str = ""


def day_tiles(summary: Summary) -> list[Tile]:
    """Calls, successful ones, failed ones and the p95, with what they were the day before."""
    now, before = summary.figures, summary.previous
    return [
        Tile("Calls", number(now.total_calls), _change(now.total_calls, before.total_calls), ""),
        _success(now, before),
        _tile("Failed calls", number(now.failed_calls), now.failed_calls, before.failed_calls, "&status=failed"),
        _tile("Response time, p95", milliseconds(now.p95), now.p95, before.p95, ""),
    ]


def _tile(name: str, value: str, now: float | None, before: float | None, query: str) -> Tile:
    """Of something that is better when it is less."""
    delta = _change(now, before)
    worse = (now or 0) > (before or 0)
    return Tile(name, value, delta, ("bad" if worse else "good") if delta[:1] in "+\N{MINUS SIGN}" else "", query)


def _success(now: Figures, before: Figures) -> Tile:
    rate, was = now.success_rate, before.success_rate
    if rate is None or was is None:
        return Tile("Successful calls", percent(rate), "", "")
    points = (rate - was) * 100
    if abs(points) < 0.05:
        return Tile("Successful calls", percent(rate), "as the day before", "")
    sign = "+" if points > 0 else "\N{MINUS SIGN}"
    return Tile("Successful calls", percent(rate), f"{sign}{abs(points):.1f} points", "good" if points > 0 else "bad")


def _change(now: float | None, before: float | None) -> str:
    """How something changed against the day before."""
    if now is None or before is None:
        return ""
    if before == 0:
        return "as the day before" if now == 0 else "none the day before"
    share = now / before - 1
    if abs(share) < _STEADY:
        return "as the day before"
    sign = "+" if share > 0 else "\N{MINUS SIGN}"
    return f"{sign}{abs(share) * 100:,.0f}%" if abs(share) < 10 else f"{now / before:,.0f} times as many"
