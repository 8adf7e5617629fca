"""Keyset paging. A cursor is the sort key of the last item seen, so pages stay right while rows arrive."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

import msgspec

from hookvault.errors import InvalidError

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page: its items, and the cursor of the next page (None on the last)."""

    items: Sequence[T]
    next_cursor: str | None

    def map(self, convert: Callable[[T], U]) -> "Page[U]":
        """The same page with each item converted."""
        return Page([convert(item) for item in self.items], self.next_cursor)


def encode_cursor(kind: str, *key: str) -> str:
    """An opaque cursor of the list `kind`, made from the sort key of the last item shown."""
    return base64.urlsafe_b64encode(msgspec.json.encode([kind, *key])).rstrip(b"=").decode()


def decode_cursor(kind: str, cursor: str, length: int) -> list[str]:
    """The `length` texts of a cursor made by `encode_cursor` for the same `kind`.

    Raises:
        InvalidError: code `invalid_cursor`, when the cursor was made by something else or for another list.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found = msgspec.json.decode(raw, type=list[str])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        found = []
    if len(found) != length + 1 or found[0] != kind:
        raise InvalidError(
            "The cursor is not one that this list gave out. Leave it out to start from the first page.",
            code="invalid_cursor",
        )
    return found[1:]


def time_id_cursor(kind: str, cursor: str | None) -> tuple[datetime, UUID] | None:
    """The (timestamp, id) that a cursor of a newest-first list points at; None without a cursor.

    Raises:
        InvalidError: code `invalid_cursor`.
    """
    if cursor is None:
        return None
    moment, identifier = decode_cursor(kind, cursor, 2)
    try:
        when = datetime.fromisoformat(moment)
        if when.tzinfo is None:
            raise ValueError  # a naive time can't have come from us
        return when, UUID(identifier)
    except ValueError:
        raise InvalidError("The cursor is not one that this list gave out.", code="invalid_cursor") from None


def cut(rows: Sequence[T], limit: int, cursor_of: Callable[[T], str]) -> Page[T]:
    """A page from up to `limit + 1` rows: the extra row only tells that there is a next page."""
    shown = rows[:limit]
    return Page(shown, cursor_of(shown[-1]) if len(rows) > limit else None)
