"""Identifiers: UUIDv7 made here, and the shape of the names that callers choose."""

import os
import re
import time
from datetime import UTC, datetime
from uuid import UUID

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
_NAME = re.compile(NAME_PATTERN[:-1] + r"\Z", re.ASCII)


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7000 << 64 | (random >> 68) << 64
    value |= 0x8000_0000_0000_0000 | (random & 0x3FFF_FFFF_FFFF_FFFF)
    return UUID(int=value)


def id_time(identifier: UUID) -> datetime:
    """The moment a UUIDv7 was made, to the millisecond, in UTC."""
    milliseconds = identifier.int >> 80
    seconds, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)


def is_name(text: str) -> bool:
    """Whether a text may be a tenant id, slug or workflow name: 1 to 64 of A-Z a-z 0-9 _ -, not starting with _ or -."""
    return _NAME.match(text) is not None
