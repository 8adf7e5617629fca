"""Time. Business times come from here; leases and due times from the database's own now()."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The present moment in UTC, cut to the millisecond that records keep."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class _Second:
    """The text of the present second, kept: a delivery's trail needs several stamps, and deliveries are many."""

    number = 0
    text = ""


def stamp() -> str:
    """The present moment as `iso` writes it, several times as fast."""
    second, millisecond = divmod(time.time_ns() // 1_000_000, 1000)
    if second != _Second.number:
        _Second.text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        _Second.number = second
    return f"{_Second.text}.{millisecond:03}Z"


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and a Z, as the API writes every time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
