"""What may be asked of the call log, and what a page's cursor remembers of it (pure)."""

import hashlib
import re
from dataclasses import astuple, replace
from datetime import UTC, datetime
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from hookvault.analytics.cause import CAUSES
from hookvault.analytics.model import CallFilter
from hookvault.errors import InvalidError
from hookvault.ids import is_name
from hookvault.paging import decode_cursor, encode_cursor

Position = tuple[datetime, UUID]

LONGEST_TRIGGER = 200
LONGEST_TIME = 2**31 - 1
_STATUS = re.compile(r"success|failed|[1-5]xx|[1-5][0-9]{2}")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_KIND = "calls"
_TYPED: TypeAdapter[CallFilter] = TypeAdapter(CallFilter)


def parse(**texts: str | None) -> CallFilter:
    """A filter from texts, as the API reads them from a query; those that are None are left out.

    Raises:
        InvalidError: a text is no date, UUID or whole number.
    """
    try:
        return _TYPED.validate_python({name: text for name, text in texts.items() if text is not None})
    except ValidationError as error:
        found = [(str(item["loc"][0]), item["msg"]) for item in error.errors(include_input=False)]
        said = "; ".join(f"{name.replace('_', ' ')}: {message}" for name, message in found)
        raise InvalidError(f"The filter is not acceptable: {said}.") from None


def check(which: CallFilter) -> None:
    """Refuses what no call can be asked for. The range is judged elsewhere, where its defaults are known.

    Raises:
        InvalidError: naming the field and what it may be.
    """
    if which.status is not None and not _STATUS.fullmatch(which.status):
        raise _wrong("status", "is success, failed, a class such as 5xx, or a code such as 404")
    if which.cause is not None and which.cause not in CAUSES:
        raise _wrong("cause", f"is one of {', '.join(CAUSES)}")
    if which.cause is not None and which.status == "success":
        raise _wrong("cause", "is why a call failed, so it does not go with status success")
    for name, value in (("minResponseTime", which.min_time), ("maxResponseTime", which.max_time)):
        if value is not None and not 0 <= value <= LONGEST_TIME:
            raise _wrong(name, f"is 0 to {LONGEST_TIME} ms")
    if which.min_time is not None and which.max_time is not None and which.min_time > which.max_time:
        raise _wrong("maxResponseTime", "is at least minResponseTime")
    if which.triggered_by is not None and (
        len(which.triggered_by) > LONGEST_TRIGGER or _UNSTORABLE.search(which.triggered_by)
    ):
        raise _wrong("triggeredBy", f"is at most {LONGEST_TRIGGER} characters, none of them NUL")
    if which.tenant_id is not None and not is_name(which.tenant_id):
        raise _wrong("tenantId", "is the id of a tenant: 1 to 64 of A-Z a-z 0-9 _ -")


def cursor_of(asked: CallFilter, position: Position | None) -> str | None:
    """The cursor of the page that goes on from a position, for this question only."""
    if position is None:
        return None
    # To the microsecond: a page may end between two calls, at a moment that no call has.
    return encode_cursor(_KIND, position[0].isoformat(), str(position[1]), _digest(asked))


def position_of(asked: CallFilter, cursor: str | None) -> Position | None:
    """Where a cursor says to go on; None without one.

    Raises:
        InvalidError: code `invalid_cursor`, when it was made for another list, or for other filters.
    """
    if cursor is None:
        return None
    moment, identifier, digest = decode_cursor(_KIND, cursor, 3)
    try:
        when = datetime.fromisoformat(moment)
        if when.tzinfo is None:
            raise ValueError  # a naive time can't have come from us
        found = when.astimezone(UTC), UUID(identifier)
    except (ValueError, OverflowError):
        raise InvalidError("The cursor is not one that this list gave out.", code="invalid_cursor") from None
    if digest != _digest(asked):
        raise InvalidError(
            "The cursor was made for other filters. Send those again, or leave it out to start from the first page.",
            code="invalid_cursor",
        )
    return found


def _digest(asked: CallFilter) -> str:
    """The filter in few letters. Times are taken in UTC: the same moment may be written in many ways."""
    plain = replace(asked, start=_utc(asked.start), end=_utc(asked.end))
    text = repr([None if value is None else str(value) for value in astuple(plain)])
    return hashlib.blake2s(text.encode(), digest_size=6).hexdigest()


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is None:
        return moment and moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)


def _wrong(field: str, message: str) -> InvalidError:
    return InvalidError(f"{field} {message}.", errors=[{"field": field, "message": message}])
