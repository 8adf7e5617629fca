"""The master keys, who holds them, and the long jobs on secrets."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from hookvault.vault.registry import SealedTable


@dataclass(frozen=True, slots=True)
class MasterKeyStatus:
    """One master key, ever known; `held` is whether this process has it, `data_keys` how many it wraps."""

    fingerprint: str
    state: str
    data_keys: int
    held: bool
    first_seen_at: datetime
    activated_at: datetime | None
    superseded_at: datetime | None
    retired_at: datetime | None
    retired_by: str | None
    retired_why: str | None


@dataclass(frozen=True, slots=True)
class Holder:
    """A living process and the master keys that it holds, by fingerprint."""

    process: UUID
    kind: str
    host: str
    fingerprints: tuple[str, ...]
    started_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Rekeying:
    """A rekeying and how far it came. `tenant_id` is None where it is of all tenants.

    Attributes:
        total: Rows with secrets, and tenants, when it began.
        done: How many of them are finished.
        unreadable: Rows whose secrets did not open: they stay as they are, with the key that sealed them.
    """

    id: UUID
    tenant_id: str | None
    state: Literal["running", "finished", "cancelled"]
    total: int
    done: int
    unreadable: int
    started_at: datetime
    started_by: str
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Fault:
    """A stored secret that does not open: where it is, why, and which master key it would need."""

    tenant_id: str
    table_name: str
    row_id: str
    field: str
    reason: str
    key_needed: str | None


@dataclass(frozen=True, slots=True)
class Scan:
    """A health scan: how many secrets were opened to prove that they do, and how many did not."""

    id: UUID
    started_at: datetime
    started_by: str
    finished_at: datetime | None
    secrets: int
    unreadable: int


@dataclass(frozen=True, slots=True)
class KeysStatus:
    """All that `keys status` shows."""

    keys: tuple[MasterKeyStatus, ...]
    processes: tuple[Holder, ...]
    rekey: Rekeying | None
    scan: Scan | None


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation came to: from which master key to which, and how many data keys were wrapped anew."""

    previous: str
    active: str
    rewrapped: int


class SealedRow(NamedTuple):
    """A row that holds secrets, as stored. `columns` are those of the registry's table."""

    table: SealedTable
    tenant_id: str
    row_id: str
    key_version: int
    columns: dict[str, object]


@dataclass(slots=True)
class Tally:
    """What a pass over rows came to so far."""

    rows: int = 0
    secrets: int = 0
    missed: int = 0
    faults: list[Fault] = field(default_factory=list)
