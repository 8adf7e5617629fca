"""What processes tell one another about the live tail: that one watches, and which calls another has committed (pure).

`watch <process>`, and `calls <process> <lost> <tenant>:<id>,<id> <tenant>:<id>`, `lost` being how many could not be named.
"""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from hookvault.ids import id_time, is_name

_ROOM = 7900  # PostgreSQL takes 7999 bytes

CallKey = tuple[str, UUID]


class Notice(NamedTuple):
    """One notification: of a process that watches (`calls` is None) or that committed calls."""

    sender: str
    calls: list[CallKey] | None
    lost: int = 0


def watch_notice(sender: str) -> str:
    """Says that a process watches."""
    return f"watch {sender}"


def call_notices(sender: str, calls: Iterable[CallKey], lost: int = 0) -> list[str]:
    """Names committed calls, in their order, in as many notifications as it takes."""
    notices: list[str] = []
    head, parts, room, tenant = f"calls {sender} {lost}", list[str](), 0, ""
    for tenant_id, call_id in calls:
        part = f",{call_id.hex}" if parts and tenant_id == tenant else f" {tenant_id}:{call_id.hex}"
        if parts and len(part) > room:
            notices.append(head + "".join(parts))
            head, parts = f"calls {sender} 0", []
            part = f" {tenant_id}:{call_id.hex}"
        if not parts:
            room = _ROOM - len(head)
        parts.append(part)
        room -= len(part)
        tenant = tenant_id
    if parts or lost:
        notices.append(head + "".join(parts))
    return notices


def read_notice(payload: str) -> Notice | None:
    """What a notification says; None when it is none of ours."""
    kind, *words = payload.split(" ")
    if kind == "watch" and len(words) == 1:
        return Notice(words[0], None)
    if kind != "calls" or len(words) < 2 or not (words[1].isascii() and words[1].isdigit()):
        return None
    try:
        return Notice(words[0], [key for word in words[2:] for key in _keys(word)], int(words[1]))
    except (ValueError, OverflowError):  # the latter of a UUID that names a year past 9999
        return None


def _keys(word: str) -> list[CallKey]:
    tenant_id, _, listed = word.partition(":")
    if not is_name(tenant_id):
        raise ValueError
    return [(tenant_id, _id(text)) for text in listed.split(",")]


def _id(text: str) -> UUID:
    call_id = UUID(hex=text)
    id_time(call_id)
    return call_id
