"""Time. Business times come from here; leases and due times from the database's own now()."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment in UTC, cut to the millisecond that records keep."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and a Z, as the API writes every time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
