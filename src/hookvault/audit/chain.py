"""The chain that audit events form: each carries a hash of itself and of all before it (pure).

What is hashed is what the database gives back, never what was handed to it: times as whole microseconds, the detail as the
very text that jsonb makes of it. Each part is preceded by its length, so that no two events give the same bytes.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from hookvault.vault.cipher import length_prefixed

START = bytes(32)  # what the first event of a chain follows
_LABEL = b"hookvault audit event v1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Broken = Literal["changed", "missing", "out of order", "cut off at the end", "outside the chain"]


@dataclass(frozen=True, slots=True)
class Entry:
    """An event exactly as it is stored: `detail` is the text of the jsonb. Its number is None before the chain."""

    tenant_id: str
    seq: int | None
    id: UUID
    at: datetime
    actor_type: str
    actor_id: str
    action: str
    target_type: str
    target_id: str
    outcome: str
    detail: str
    ip: str | None
    request_id: str | None
    hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain at some moment: its last event's number and hash."""

    tenant_id: str
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a chain is broken first, and how. `id` is None for an event that is not there."""

    tenant_id: str
    seq: int | None
    id: UUID | None
    what: Broken

    @property
    def message(self) -> str:
        """A sentence for a person."""
        chain = f"tenant {self.tenant_id}" if self.tenant_id else "the platform"
        where = "without a number" if self.seq is None else f"{self.seq}"
        event = f" ({self.id})" if self.id else ""
        return f"Audit log of {chain}: event {where}{event} is {_MEANING[self.what]}."


_MEANING: Mapping[Broken, str] = {
    "changed": "changed: it, or the hash before it, is not what was recorded",
    "missing": "missing: the next one there has a higher number",
    "out of order": "out of order: it was recorded elsewhere in the chain",
    "cut off at the end": "cut off at the end: it was there when the head was kept",
    "outside the chain": "outside the chain: it is younger than the chain and has no number",
}


def digest(entry: Entry, previous: bytes) -> bytes:
    """The hash of an event that follows one with the hash `previous`."""
    parts = (
        _LABEL,
        entry.tenant_id.encode(),
        str(entry.seq).encode(),
        entry.id.bytes,
        str((entry.at - _EPOCH) // _MICROSECOND).encode(),
        entry.actor_type.encode(),
        entry.actor_id.encode(),
        entry.action.encode(),
        entry.target_type.encode(),
        entry.target_id.encode(),
        entry.outcome.encode(),
        entry.detail.encode(),
        _optional(entry.ip),
        _optional(entry.request_id),
        previous,
    )
    return hashlib.sha256(length_prefixed(*parts)).digest()


class Check:
    """Follows one chain from its first event.

    Args:
        tenant_id: Whose chain.
        kept: Hashes that were kept elsewhere, by number.
    """

    def __init__(self, tenant_id: str, kept: Mapping[int, bytes] | None = None) -> None:
        self._tenant_id = tenant_id
        self._kept = kept or {}
        self.seq = 0
        self.hash = START

    def follow(self, entry: Entry) -> Fault | None:
        """Takes the next event, by number. The fault that it shows, after which nothing more may be taken."""
        due = self.seq + 1
        if entry.seq is None or entry.seq < due:
            return Fault(self._tenant_id, entry.seq, entry.id, "out of order")
        if entry.seq > due:
            return Fault(self._tenant_id, due, None, "missing")
        if entry.hash != digest(entry, self.hash) or self._kept.get(due, entry.hash) != entry.hash:
            return Fault(self._tenant_id, due, entry.id, "changed")
        self.seq, self.hash = due, entry.hash
        return None

    def end(self) -> Fault | None:
        """The fault that the end of the chain shows, once every event was taken."""
        missing = [seq for seq in self._kept if seq > self.seq]
        return Fault(self._tenant_id, self.seq + 1, None, "cut off at the end") if missing else None


def verify(entries: Iterable[Entry], *, tenant_id: str = "", kept: Mapping[int, bytes] | None = None) -> Fault | None:
    """The first fault of a whole chain, its events by number; None when it is sound."""
    check = Check(tenant_id, kept)
    for entry in entries:
        if (fault := check.follow(entry)) is not None:
            return fault
    return check.end()


def belongs(entry: Entry, previous: Head, stored: bytes | None) -> bool:
    """Whether an event was recorded right after `previous`, by the hash that it carries or the one stored there."""
    return digest(replace(entry, seq=previous.seq + 1), previous.hash) in (entry.hash, stored)


def _optional(text: str | None) -> bytes:
    """NULL and the empty text are two things."""
    return b"-" if text is None else b"+" + text.encode()
