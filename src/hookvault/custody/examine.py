"""What `doctor` looks at: whether this installation is as it should be, each finding with what to do."""

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from hookvault.clock import iso, now
from hookvault.custody import store
from hookvault.custody.keys import KeyService
from hookvault.custody.model import KeysStatus
from hookvault.db.pool import Database
from hookvault.ledger.store import read_ledger

_LEAST_FREE = 1 << 30  # bytes
_SCAN_AGE = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `advice` says what to do where it is not `ok`."""

    name: str
    state: Literal["ok", "warning", "error"]
    found: str
    advice: str | None = None


async def examine(database: Database, keys: KeyService, data_dir: Path, *, embedded: bool) -> list[Finding]:
    """Looks at the database, the keys and the secrets, the account of deliveries, and the disk.

    That the database can be reached, is migrated, and is sealed under a key that is held was proved by opening it.
    """
    status = await keys.status()
    found = [
        await _of(database, "database", _server),
        _active_key(status),
        _processes(status),
        _rekeying(status),
        _secrets(status),
        await _of(database, "deliveries", _account),
    ]
    if embedded:
        found.append(_disk(data_dir))
    return found


async def _of(database: Database, name: str, look: Callable[[Database], Awaitable[tuple[str, str | None]]]) -> Finding:
    text, advice = await look(database)
    return Finding(name, "ok" if advice is None else "error", text, advice)


async def _server(database: Database) -> tuple[str, str | None]:
    async with database.system() as tx:
        version, mode = await store.server(tx)
    return f"PostgreSQL {version}, tenants separated by {mode}", None


async def _account(database: Database) -> tuple[str, str | None]:
    async with database.system_statement() as tx:
        ledger = await read_ledger(tx)
    text = f"{ledger.accepted} accepted, {ledger.pending} pending, {ledger.held} held, balance {ledger.balance}"
    if ledger.balance == 0:
        return text, None
    return text, "A delivery was lost or made up. Keep the database as it is and report it."


def _active_key(status: KeysStatus) -> Finding:
    active = next((key for key in status.keys if key.state == "active"), None)
    strays = sum(key.data_keys for key in status.keys if not key.held)
    if strays:
        needed = ", ".join(key.fingerprint for key in status.keys if not key.held and key.data_keys)
        advice = f"Give {needed} as ENCRYPTION_KEY_PREVIOUS; {strays} data keys are wrapped under it."
        return Finding("keys", "error", f"{strays} data keys do not open here", advice)
    return Finding("keys", "ok", f"active {active.fingerprint if active else 'none yet'}")


def _processes(status: KeysStatus) -> Finding:
    active = {key.fingerprint for key in status.keys if key.state == "active"}
    behind = [holder for holder in status.processes if not active.intersection(holder.fingerprints)]
    if behind and active:
        hosts = ", ".join(f"{holder.kind} on {holder.host}" for holder in behind)
        return Finding("processes", "error", f"{hosts} lacks the active key", "Restart it with that key.")
    return Finding("processes", "ok", f"{len(status.processes)} living")


def _rekeying(status: KeysStatus) -> Finding:
    job = status.rekey
    if job is None or job.state == "finished":
        left = job.unreadable if job else 0
        if left:
            return Finding("rekeying", "warning", f"{left} rows do not open", "See them with: hookvault keys scan")
        return Finding("rekeying", "ok", "none runs")
    advice = "Go on with: hookvault keys rekey" if job.state == "cancelled" else None
    return Finding("rekeying", "warning", f"{job.state} at {job.done} of {job.total} rows", advice)


def _secrets(status: KeysStatus) -> Finding:
    scan = status.scan
    if scan is None or scan.finished_at is None:
        return Finding("secrets", "warning", "never scanned", "Run: hookvault keys scan")
    text = f"{scan.secrets} tried, {scan.unreadable} do not open, {iso(scan.finished_at)}"
    if scan.unreadable:
        return Finding("secrets", "error", text, "See them with `hookvault keys scan`, and enter them again.")
    if now() - scan.finished_at > _SCAN_AGE:
        return Finding("secrets", "warning", text, "No worker has scanned for two days. Run: hookvault keys scan")
    return Finding("secrets", "ok", text)


def _disk(data_dir: Path) -> Finding:
    free = shutil.disk_usage(data_dir).free
    text = f"{free / (1 << 30):.1f} GiB free at {data_dir}"
    if free < _LEAST_FREE:
        return Finding("disk", "error", text, "Make room: a full disk stops the database.")
    return Finding("disk", "ok", text)
