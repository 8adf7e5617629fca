"""How a webhook does, in one word, and why (pure)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from hookvault.analytics.model import Figures

HealthStatus = Literal["healthy", "degraded", "failing", "idle", "disabled"]

# The last hour is judged where it has so many calls, else the last day.
RECENT = timedelta(hours=1)
LATELY = timedelta(hours=24)
USUAL = timedelta(days=7)
ENOUGH_CALLS = 20
FAILING_BELOW = 0.80
DEGRADED_BELOW = 0.98
SLOW_MS = 1000.0
SLOWER_THAN_USUAL = 3.0


@dataclass(frozen=True, slots=True)
class Health:
    """A word on a webhook, why, and the figures of the period that it was judged by."""

    status: HealthStatus
    reason: str
    period: timedelta
    figures: Figures


def judge(recent: Figures, lately: Figures, usual: Figures, *, enabled: bool, circuit_open: bool) -> Health:
    """How a webhook does.

    Args:
        recent: Its last hour.
        lately: Its last 24 hours.
        usual: Its last 7 days.
        enabled: Whether it and its tenant are active.
        circuit_open: Whether its deliveries are held since it breaks too often.
    """
    period, figures = (RECENT, recent) if recent.total_calls >= ENOUGH_CALLS else (LATELY, lately)
    status, reason = _judged(figures, usual, enabled=enabled, circuit_open=circuit_open)
    return Health(status, reason, period, figures)


def _judged(figures: Figures, usual: Figures, *, enabled: bool, circuit_open: bool) -> tuple[HealthStatus, str]:
    if not enabled:
        return "disabled", "It is switched off, or its tenant is suspended."
    if circuit_open:
        return "failing", "Its circuit is open: it broke so often that deliveries are held."
    rate = figures.success_rate
    if rate is None:
        return "idle", "Nothing was called in 24 hours."
    if rate < DEGRADED_BELOW:
        return "failing" if rate < FAILING_BELOW else "degraded", f"{_percent(1 - rate)} of its calls failed."
    if _is_slow(figures, usual):
        return "degraded", f"Its p95 is {figures.p95:,.0f} ms, usually {usual.p95:,.0f} ms."
    return "healthy", f"{_percent(rate)} of its calls succeeded."


def _is_slow(figures: Figures, usual: Figures) -> bool:
    if figures.p95 is None or usual.p95 is None:
        return False
    return figures.p95 >= SLOW_MS and figures.p95 > usual.p95 * SLOWER_THAN_USUAL


def _percent(share: float) -> str:
    """As a person writes it; never 100 % of what is less, nor 0 % of what is more."""
    percent = share * 100
    if 0 < percent < 0.1:
        return "Less than 0.1%"
    if 99.9 < percent < 100:
        return "More than 99.9%"
    return f"{percent:.1f}%".replace(".0%", "%")
