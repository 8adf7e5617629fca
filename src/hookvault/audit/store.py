"""All SQL on audit_events. The database roles can insert and read them, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from hookvault.audit.chain import START, Entry, Head, digest
from hookvault.audit.model import Actor, AuditEvent, AuditFilter, Outcome
from hookvault.clock import iso, now
from hookvault.db.pool import LINE_TIMEOUT, Row, SystemTx, TenantTx, Tx
from hookvault.ids import first_id, new_id
from hookvault.paging import Page, cut, encode_cursor, time_id_cursor

_CURSOR = "audit"

# Held until the transaction ends, so that a chain never forks. A statement of its own: one that has to wait goes on with what
# it saw before it waited. The connection's own lock_timeout is for rows that somebody sits on, and much shorter.
_LOCK = """
SELECT current_setting('lock_timeout') AS before, set_config('lock_timeout', $2, true),
    pg_advisory_xact_lock(hashtextextended('hookvault audit ' || $1, 0))
"""

# The end of the chain; and the detail's text as jsonb makes it, for that is what is read back.
_TAIL = """
SELECT set_config('lock_timeout', $2, true), ($3::jsonb)::text AS detail, last.seq, last.hash
FROM (SELECT 1) AS one LEFT JOIN LATERAL (
    SELECT seq, hash FROM audit_events WHERE tenant_id = $1 AND seq IS NOT NULL ORDER BY seq DESC LIMIT 1
) AS last ON true
"""

_INSERT = """
INSERT INTO audit_events (tenant_id, seq, id, at, actor_type, actor_id, action, target_type, target_id, outcome, detail, ip,
    request_id, hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""

_COLUMNS = "id, tenant_id, at, actor_type, actor_id, action, target_type, target_id, outcome, detail, ip, request_id, seq, hash"

# A page of events, newest first. UUIDv7 ids sort by time, so that an index that ends in the id serves each filter.
_LIST = f"SELECT {_COLUMNS} FROM audit_events WHERE ($1::uuid IS NULL OR id < $1)"  # noqa: S608 - constants only
_NEWEST = " ORDER BY id DESC LIMIT $2"

_EXISTS = "SELECT EXISTS (SELECT FROM audit_events WHERE tenant_id = $1)"

# The next tenants that have events, by id, each with the end of its chain: one look into the index for each.
_HEADS = """
WITH RECURSIVE chains AS (
    (SELECT tenant_id FROM audit_events WHERE $1::text IS NULL OR tenant_id > $1 ORDER BY tenant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT tenant_id FROM audit_events WHERE tenant_id > chains.tenant_id ORDER BY tenant_id LIMIT 1)
    FROM chains WHERE chains.tenant_id IS NOT NULL
)
SELECT chains.tenant_id, last.seq, last.hash
FROM chains LEFT JOIN LATERAL (
    SELECT seq, hash FROM audit_events
    WHERE tenant_id = chains.tenant_id AND seq IS NOT NULL ORDER BY seq DESC LIMIT 1
) AS last ON true
WHERE chains.tenant_id IS NOT NULL
LIMIT $2
"""

_ENTRIES = """
SELECT tenant_id, seq, id, at, actor_type, actor_id, action, target_type, target_id, outcome, detail::text AS detail, ip,
    request_id, hash
FROM audit_events
WHERE tenant_id = $1 AND (seq, id) > ($2, $3)
ORDER BY seq, id
LIMIT $4
"""

# Those without a number: how many there are, and the first that is younger than the chain's own first event.
_UNCHAINED = """
SELECT count(*) AS total, min(id::text) FILTER (
    WHERE at > (SELECT at FROM audit_events WHERE tenant_id = $1 AND seq IS NOT NULL ORDER BY seq LIMIT 1)
) AS younger
FROM audit_events WHERE tenant_id = $1 AND seq IS NULL
"""


async def record(
    tx: Tx,
    actor: Actor,
    action: str,
    target: tuple[str, str],
    *,
    tenant_id: str = "",
    outcome: Outcome = "success",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Appends an event in the caller's transaction: the change and its event are committed together or not at all.

    From here to the transaction's end every other event of the same tenant waits. So call it last: after all rows are locked
    and changed, with nothing slow to follow, and for one tenant only in a transaction.

    Args:
        tx: The transaction of the change.
        actor: Who did it.
        action: Noun and verb, such as `webhook.updated`.
        target: Its type and id.
        tenant_id: The tenant it belongs to; empty for the platform's own events. A TenantTx names its own.
        outcome: `success`, or `denied` / `failed` for what was tried.
        detail: Names of changed fields and hints; never a secret.

    Raises:
        LockedError: events of the tenant wait for one that does not end.
    """
    owner = tx.tenant_id if isinstance(tx, TenantTx) else tenant_id
    locked = await tx.fetchrow(_LOCK, owner, LINE_TIMEOUT)
    tail = await tx.fetchrow(_TAIL, owner, locked["before"] if locked else "0", dict(detail or {}))
    seq, last, text = (tail["seq"], tail["hash"], tail["detail"]) if tail else (None, None, "{}")
    known = (actor.kind, actor.id, action, *target, outcome, text, actor.ip, actor.request_id)
    entry = Entry(owner, (seq or 0) + 1, new_id(), now(), *known)
    await _insert(tx, replace(entry, hash=digest(entry, START if last is None else last)))


async def _insert(tx: Tx, entry: Entry) -> None:
    await tx.execute(
        _INSERT,
        entry.tenant_id,
        entry.seq,
        entry.id,
        entry.at,
        entry.actor_type,
        entry.actor_id,
        entry.action,
        entry.target_type,
        entry.target_id,
        entry.outcome,
        entry.detail.encode(),
        entry.ip,
        entry.request_id,
        entry.hash,
    )


async def list_events(tx: Tx, which: AuditFilter, *, limit: int, cursor: str | None) -> Page[AuditEvent]:
    """A page of events, newest first. Raises InvalidError for a foreign cursor."""
    after = time_id_cursor(_CURSOR, cursor)
    statement = _LIST
    values: list[Any] = [after[1] if after else None, limit + 1]
    # An id begins with its time, so that every index which ends in the id serves a range of time as well.
    for condition, wanted in (
        ("tenant_id =", which.tenant_id),
        ("action =", which.action),
        ("outcome =", which.outcome),
        ("actor_id =", which.actor_id),
        ("id >=", None if which.start is None else first_id(which.start)),
        ("id <", None if which.end is None else first_id(which.end)),
    ):
        if wanted is not None:
            values.append(wanted)
            statement += f" AND {condition} ${len(values)}"
    rows = await tx.fetch(statement + _NEWEST, *values)
    return cut([AuditEvent(**row) for row in rows], limit, lambda event: _cursor(event.at, event.id))


async def has_events(tx: Tx, tenant_id: str) -> bool:
    """Whether the tenant ever left an event here, also when it was deleted since."""
    return bool(await tx.fetchval(_EXISTS, tenant_id))


async def list_heads(tx: SystemTx, *, after: str | None, limit: int) -> Sequence[tuple[str, Head | None]]:
    """The next tenants that have events, by id, with the ends of their chains; None where all are from before the chain."""
    rows = await tx.fetch(_HEADS, after, limit)
    return [(row["tenant_id"], Head(**row) if row["seq"] is not None else None) for row in rows]


async def list_entries(tx: SystemTx, tenant_id: str, *, after: tuple[int, UUID], limit: int) -> Sequence[Entry]:
    """The next events of a chain as they are stored, by number."""
    return [Entry(**row) for row in await tx.fetch(_ENTRIES, tenant_id, *after, limit)]


async def find_unchained(tx: SystemTx, tenant_id: str) -> tuple[int, UUID | None]:
    """How many events have no number, and one of them that is younger than the chain."""
    row: Row | None = await tx.fetchrow(_UNCHAINED, tenant_id)
    younger = row["younger"] if row else None
    return row["total"] if row else 0, UUID(younger) if younger else None


def _cursor(at: datetime, identifier: UUID) -> str:
    return encode_cursor(_CURSOR, iso(at), str(identifier))
