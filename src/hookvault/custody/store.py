"""All SQL on who holds which master key, on rekeyings and scans, on secrets that do not open, and on tombstones."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hookvault.clock import now
from hookvault.custody.model import Fault, Holder, Scan
from hookvault.db.pool import Row, SystemTx

DEAD_AFTER_S = 15

_SERVER = "SELECT current_setting('server_version'), value FROM hookvault_meta WHERE name = 'access'"

_BEAT = """
INSERT INTO key_holders (process, kind, host, fingerprints, started_at, seen_at)
VALUES ($1, $2, $3, $4, $5, clock_timestamp())
ON CONFLICT (process) DO UPDATE SET fingerprints = excluded.fingerprints, seen_at = excluded.seen_at
"""

_LEAVE = "DELETE FROM key_holders WHERE process = $1 OR seen_at < clock_timestamp() - interval '1 day'"

_LIVING = """
SELECT process, kind, host, fingerprints, started_at, seen_at FROM key_holders
WHERE seen_at > clock_timestamp() - make_interval(secs => $1) ORDER BY started_at
"""

_START_JOB = """
INSERT INTO key_jobs (id, tenant_id, total, started_at, started_by) VALUES ($1, $2, $3, clock_timestamp(), $4)
ON CONFLICT DO NOTHING
"""

_JOB_COLUMNS = "id, tenant_id, state, total, unreadable, started_at, started_by, finished_at"

_RUNNING_JOB = f"SELECT {_JOB_COLUMNS} FROM key_jobs WHERE state = 'running'"  # noqa: S608 - constants only

_LAST_JOB = f"SELECT {_JOB_COLUMNS} FROM key_jobs ORDER BY state = 'running' DESC, started_at DESC LIMIT 1"  # noqa: S608 - constants only

_END_JOB = "UPDATE key_jobs SET state = $2, unreadable = $3, finished_at = $4 WHERE id = $1 AND state = 'running'"

# Of a job: the tenants whose active data key is from before it began.
_TO_RENEW = """
SELECT tenant_id FROM data_keys WHERE state = 'active' AND created_at < $1 AND ($2 = '' OR tenant_id = $2)
ORDER BY tenant_id LIMIT $3
"""

_COUNT_TO_RENEW = """
SELECT count(*) FROM data_keys WHERE state = 'active' AND created_at < $1 AND ($2 = '' OR tenant_id = $2)
"""

_SUPERSEDED = """
SELECT k.tenant_id, a.version FROM data_keys k JOIN data_keys a ON a.tenant_id = k.tenant_id AND a.state = 'active'
WHERE k.state = 'decrypt_only' AND k.superseded_at < clock_timestamp() - make_interval(secs => $1) AND k.tenant_id > $2
    AND ($3 = '' OR k.tenant_id = $3)
GROUP BY 1, 2 ORDER BY 1 LIMIT $4
"""

_RUN_ALONE = "SELECT pg_try_advisory_xact_lock(hashtextextended('hookvault ' || $1, 0))"

_SHREDDED = "INSERT INTO shredded_tenants (tenant_id, shredded_at, shredded_by) VALUES ($1, clock_timestamp(), $2)"

_WIPE_VERSIONS = """
UPDATE credential_versions SET secrets = '{}', state = CASE WHEN state IN ('revoked', 'discarded') THEN state ELSE 'revoked' END,
    ended_at = coalesce(ended_at, $2)
WHERE tenant_id = $1
"""

_ANNOUNCE = "SELECT pg_notify('hookvault_changes', 'tenant ' || $1)"

_NOTE_FAULTS = """
INSERT INTO secret_faults (tenant_id, table_name, row_id, field, reason, key_needed, found_at)
SELECT g.*, $7 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) AS g
ON CONFLICT (tenant_id, table_name, row_id, field)
DO UPDATE SET reason = excluded.reason, key_needed = excluded.key_needed, found_at = excluded.found_at
"""

_FORGET_FAULTS = "DELETE FROM secret_faults WHERE found_at < $1"

_FAULTS = """
SELECT tenant_id, table_name, row_id, field, reason, key_needed FROM secret_faults
ORDER BY tenant_id, table_name, row_id, field LIMIT $1
"""

_LAST_STARTED = "SELECT max(started_at) FROM secret_scans"

_START_SCAN = "INSERT INTO secret_scans (id, started_at, started_by) VALUES ($1, $2, $3)"

_END_SCAN = "UPDATE secret_scans SET finished_at = $2, secrets = $3, unreadable = $4 WHERE id = $1"

_LAST_SCAN = """
SELECT id, started_at, started_by, finished_at, secrets, unreadable FROM secret_scans
WHERE finished_at IS NOT NULL ORDER BY started_at DESC LIMIT 1
"""

_FORGET_SCANS = "DELETE FROM secret_scans WHERE started_at < $1"

_BACKUPS_THAT_NEED = """
SELECT file_name, made_at FROM backups WHERE $1 = ANY(fingerprints) AND made_at > $2 ORDER BY made_at DESC LIMIT 5
"""


async def server(tx: SystemTx) -> tuple[str, str]:
    """PostgreSQL's version, and how tenants are separated: by `roles` or `settings`."""
    row = await tx.fetchrow(_SERVER)
    return (row[0], row[1]) if row else ("unknown", "unknown")


async def beat(tx: SystemTx, holder: Holder) -> None:
    """Notes that a process lives, and the keys that it holds."""
    values = (holder.process, holder.kind, holder.host, list(holder.fingerprints), holder.started_at)
    await tx.execute(_BEAT, *values)


async def leave(tx: SystemTx, process: UUID) -> None:
    """Removes a process that ends, and rows of long dead ones."""
    await tx.execute(_LEAVE, process)


async def list_living(tx: SystemTx) -> list[Holder]:
    """The processes that live, the oldest first."""
    rows = await tx.fetch(_LIVING, DEAD_AFTER_S)
    return [Holder(**{**dict(row), "fingerprints": tuple(row["fingerprints"])}) for row in rows]


async def start_job(tx: SystemTx, job_id: UUID, tenant_id: str, total: int, author: str) -> bool:
    """Stores a rekeying to be worked on; False while another one runs."""
    return await tx.execute(_START_JOB, job_id, tenant_id, total, author) > 0


async def running_job(tx: SystemTx) -> Row | None:
    """The rekeying that runs."""
    return await tx.fetchrow(_RUNNING_JOB)


async def last_job(tx: SystemTx) -> Row | None:
    """The rekeying that runs, or else the last one."""
    return await tx.fetchrow(_LAST_JOB)


async def end_job(tx: SystemTx, job_id: UUID, state: str, unreadable: int) -> bool:
    """Ends a rekeying; whether it was running."""
    return await tx.execute(_END_JOB, job_id, state, unreadable, now()) > 0


async def list_to_renew(tx: SystemTx, since: datetime, tenant_id: str, limit: int) -> list[str]:
    """Tenants whose active data key is older than a moment; of one tenant, or of all ('')."""
    return [row["tenant_id"] for row in await tx.fetch(_TO_RENEW, since, tenant_id, limit)]


async def count_to_renew(tx: SystemTx, since: datetime, tenant_id: str) -> int:
    """How many those are."""
    return int(await tx.fetchval(_COUNT_TO_RENEW, since, tenant_id))


async def list_superseded(tx: SystemTx, age_s: float, after: str, tenant_id: str, limit: int) -> list[tuple[str, int]]:
    """Tenants after one with data keys that seal nothing any more since a while, each with its active version."""
    return [(row["tenant_id"], row["version"]) for row in await tx.fetch(_SUPERSEDED, age_s, after, tenant_id, limit)]


async def run_alone(tx: SystemTx, what: str) -> bool:
    """Whether no other process does this at the moment; none does until the transaction ends."""
    return bool(await tx.fetchval(_RUN_ALONE, what))


async def note_shredded(tx: SystemTx, tenant_id: str, author: str) -> None:
    """Leaves a tombstone, and wipes the secrets of the tenant's credential versions."""
    await tx.execute(_SHREDDED, tenant_id, author)
    await wipe_versions(tx, tenant_id)


async def wipe_versions(tx: SystemTx, tenant_id: str) -> None:
    """Wipes the secrets of a tenant's credential versions."""
    await tx.execute(_WIPE_VERSIONS, tenant_id, now())


async def announce(tx: SystemTx, tenant_id: str) -> None:
    """Tells every process, at the commit, to forget what it knows of a tenant."""
    await tx.fetchval(_ANNOUNCE, tenant_id)


async def note_faults(tx: SystemTx, faults: Sequence[Fault], moment: datetime) -> None:
    """Notes secrets that do not open."""
    if faults:
        rows = [
            (one.tenant_id, one.table_name, one.row_id, one.field, one.reason, one.key_needed)
            for one in {(one.tenant_id, one.table_name, one.row_id, one.field): one for one in faults}.values()
        ]
        columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
        await tx.execute(_NOTE_FAULTS, *columns, moment)


async def forget_faults(tx: SystemTx, before: datetime) -> None:
    """Forgets faults that were not found again since a moment."""
    await tx.execute(_FORGET_FAULTS, before)


async def list_faults(tx: SystemTx, limit: int) -> list[Fault]:
    """Secrets that did not open when they were last tried."""
    return [Fault(**row) for row in await tx.fetch(_FAULTS, limit)]


async def start_scan(tx: SystemTx, scan_id: UUID, author: str, moment: datetime) -> None:
    """Notes that a scan begins; old ones are forgotten."""
    await tx.execute(_FORGET_SCANS, moment - timedelta(days=90))
    await tx.execute(_START_SCAN, scan_id, moment, author)


async def last_started(tx: SystemTx) -> datetime | None:
    """When the last scan began, whether or not it came to its end."""
    found: datetime | None = await tx.fetchval(_LAST_STARTED)
    return found


async def end_scan(tx: SystemTx, scan_id: UUID, secrets: int, unreadable: int) -> None:
    """Notes what a scan came to."""
    await tx.execute(_END_SCAN, scan_id, now(), secrets, unreadable)


async def last_scan(tx: SystemTx) -> Scan | None:
    """The last scan that came to its end."""
    row = await tx.fetchrow(_LAST_SCAN)
    return None if row is None else Scan(**row)


async def list_backups_that_need(tx: SystemTx, fingerprint: str, since: datetime) -> list[tuple[str, datetime]]:
    """Backups made since a moment that a master key opens: their names and times, the latest first."""
    return [(row["file_name"], row["made_at"]) for row in await tx.fetch(_BACKUPS_THAT_NEED, fingerprint, since)]
