"""What a page's address asks of calls and deliveries, under the names that the API has for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, get_args
from urllib.parse import urlencode
from uuid import UUID

from hookvault.analytics.filter import check, parse
from hookvault.analytics.model import CallFilter
from hookvault.analytics.period import checked_range
from hookvault.clock import iso, now
from hookvault.deliveries.model import DeliveryFilter, Status
from hookvault.errors import InvalidError
from hookvault.ids import NAME_PATTERN, is_name

RANGES: Mapping[str, timedelta] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
_DEFAULT = "30d"  # what the API takes where it is told nothing
LONGEST_CODE = 64
_STATUSES: tuple[Status, ...] = get_args(Status)
_FIELDS = {  # of a filter, by their names in an address
    "tenantId": "tenant_id",
    "webhookId": "webhook_id",
    "status": "status",
    "cause": "cause",
    "minResponseTime": "min_time",
    "maxResponseTime": "max_time",
    "triggeredBy": "triggered_by",
    "callId": "call_id",
    "startDate": "start",
    "endDate": "end",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks: as it was given, without what says nothing; and as the call log takes it."""

    given: Mapping[str, str]
    which: CallFilter

    @property
    def exact(self) -> dict[str, str]:
        """The same with a range of time in place of `range`: for the API, and for a cursor, which is one question's."""
        found = {name: text for name, text in self.given.items() if name != "range"}
        moments = {"startDate": self.which.start, "endDate": self.which.end}
        return found | {name: iso(moment) for name, moment in moments.items() if moment is not None}


def read_given(query: Mapping[str, str]) -> dict[str, str]:
    """What an address asks of calls, as it should be written: a range is named, or has dates, and a code is a status."""
    found = {name: query[name].strip() for name in (*_FIELDS, "range") if name in query}
    if "code" in query:
        found["status"] = query["code"].strip()
    named = found.pop("range", "")
    if named in RANGES:
        found = without(found, ("startDate", "endDate"))
        if named != _DEFAULT:
            found["range"] = named
    return found


def read_calls(given: Mapping[str, str], zone: tzinfo) -> Asked:
    """What an address asks of calls.

    Args:
        given: As `read_given` has it.
        zone: Whose clock a time without a zone is of.

    Raises:
        InvalidError: says what of it can't be asked.
    """
    texts = {field: given.get(name) for name, field in _FIELDS.items()}
    start, end = (read_moment(given.get(name), name, zone) for name in ("startDate", "endDate"))
    if "range" in given:
        start = now() - RANGES[given["range"]]
    texts |= {"start": None if start is None else start.isoformat(), "end": None if end is None else end.isoformat()}
    which = parse(**texts)
    check(which)
    checked_range(which.start, which.end)
    return Asked(given, which)


def read_moment(text: str | None, name: str, zone: tzinfo) -> datetime | None:
    """A moment; one without a zone is of the reader's clock. Raises InvalidError, naming the field."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        local = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment
        _ = local.timestamp(), iso(local)  # which the calendar may not hold
    except (ValueError, OverflowError):
        raise _wrong(name, "is a date and time such as 2026-01-31T09:30") from None
    return local


def read_id(text: str | None, name: str) -> UUID | None:
    """A UUID. Raises InvalidError, naming the field."""
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise _wrong(name, "is an id, such as 0199f8a2-7c1e-7d3a-9c54-2f6b8e1a4d07") from None


def read_tenant(query: Mapping[str, str]) -> str | None:
    """The tenant that an address names. Raises InvalidError for what can be none."""
    found = query.get("tenantId")
    if found is not None and not is_name(found):
        raise _wrong("tenantId", f"is the id of a tenant: {NAME_PATTERN}")
    return found


def read_deliveries(given: Mapping[str, str], zone: tzinfo, webhook_id: UUID | None) -> DeliveryFilter:
    """What an address asks of a tenant's deliveries. Raises InvalidError."""
    status = given.get("status")
    if status is not None and status not in _STATUSES:
        raise _wrong("status", f"is one of {', '.join(_STATUSES)}")
    code = given.get("errorCode")
    if code is not None and (len(code) > LONGEST_CODE or not code.isprintable()):
        raise _wrong("errorCode", f"has {LONGEST_CODE} printable characters or fewer")
    start, end = (read_moment(given.get(name), name, zone) for name in ("startDate", "endDate"))
    if (named := given.get("range")) in RANGES:
        start, end = now() - RANGES[named or ""], None
    wanted: tuple[Status, ...] = tuple(item for item in _STATUSES if item == status)
    return DeliveryFilter(wanted, webhook_id, code, start, end)


def link(path: str, given: Mapping[str, Any], **changes: Any) -> str:
    """An address: what was given, with changes; what is None is left out."""
    found = {name: value for name, value in {**given, **changes}.items() if value is not None}
    return f"{path}?{urlencode(found, doseq=True)}" if found else path


def without(given: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """What was given but for some."""
    left_out = set(names)
    return {name: text for name, text in given.items() if name not in left_out}


def typed(moment: datetime | None, zone: tzinfo) -> str:
    """A moment as an `<input type="datetime-local">` has it, on the reader's clock; empty for None."""
    return "" if moment is None else f"{moment.astimezone(zone):%Y-%m-%dT%H:%M}"


def _wrong(field: str, message: str) -> InvalidError:
    return InvalidError(f"{field} {message}.", errors=[{"field": field, "message": message}])
