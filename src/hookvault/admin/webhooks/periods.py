"""The periods of which a webhook's page shows the calls (pure)."""

from dataclasses import dataclass
from datetime import timedelta

from hookvault.analytics.period import Interval


@dataclass(frozen=True, slots=True)
class Range:
    """How far back a page looks, and in what steps its charts go."""

    name: str
    said: str
    length: timedelta
    interval: Interval


RANGES: dict[str, Range] = {
    "24h": Range("24h", "last 24 hours", timedelta(hours=24), "hour"),
    "7d": Range("7d", "last 7 days", timedelta(days=7), "hour"),
    "30d": Range("30d", "last 30 days", timedelta(days=30), "day"),
}
