"""What is stored, and what was dropped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple

Parent = Literal["webhook_analytics", "webhook_deliveries"]
CALLS: Parent = "webhook_analytics"
DELIVERIES: Parent = "webhook_deliveries"


class Size(NamedTuple):
    """How much room something takes, its indexes included. `rows` are an estimate."""

    bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class Day:
    """What is kept of one day (UTC)."""

    day: date
    calls: Size
    deliveries: Size


@dataclass(frozen=True, slots=True)
class Kind:
    """What is kept of one kind; `rows` are an estimate, and None where they can't be told."""

    kind: str
    bytes: int
    rows: int | None


@dataclass(frozen=True, slots=True)
class Storage:
    """How much room the database takes. `disk_free` is None where its disk is not this machine's."""

    database_bytes: int
    disk_free: int | None
    retention_days: int
    oldest_day: date | None
    kinds: Sequence[Kind]
    days: Sequence[Day]


class Pruned(NamedTuple):
    """What a round of retention removed: whole days, and rows of tenants that keep less or are gone."""

    calls: int = 0
    days: int = 0
    tenant_calls: int = 0
    tenant_deliveries: int = 0
    figures: int = 0


class Dropped(NamedTuple):
    """A day that was dropped, or could not be since somebody reads the table."""

    parent: Parent
    day: date
    rows: int
    done: bool = True
