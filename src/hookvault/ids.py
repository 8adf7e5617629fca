"""Identifiers: UUIDv7 made here, and the shape of the names that callers choose."""

import os
import re
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

from asyncpg.pgproto import pgproto

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
_NAME = re.compile(NAME_PATTERN[:-1] + r"\Z", re.ASCII)
_VERSION_7 = 0x7 << 76 | 0x2 << 62  # version and variant
_FIXED = 0xF << 76 | 0x3 << 62  # the bits that these two take
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    random = int.from_bytes(os.urandom(10), "big") & ~_FIXED
    value = time.time_ns() // 1_000_000 << 80 | _VERSION_7 | random
    # The driver's subclass of UUID: it costs a tenth to make and to print, and calls make and print several each.
    made: UUID = pgproto.UUID(value.to_bytes(16, "big"))
    return made


def id_time(identifier: UUID) -> datetime:
    """The moment a UUIDv7 was made, to the millisecond, in UTC."""
    return _EPOCH + timedelta(milliseconds=identifier.int >> 80)


def first_id(moment: datetime) -> UUID:
    """What no UUIDv7 of this moment or later is below, to the millisecond; a moment outside of their time is its nearest end."""
    milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
    return UUID(int=min(max(milliseconds, 0), 2**48 - 1) << 80)


def is_name(text: str) -> bool:
    """Whether a text may be a tenant id, slug or workflow name: 1 to 64 of A-Z a-z 0-9 _ -, not starting with _ or -."""
    return _NAME.match(text) is not None
