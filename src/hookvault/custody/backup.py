"""Makes a backup: one file with all data as of one moment, its secrets encrypted as they are stored."""

from dataclasses import dataclass
from pathlib import Path

from hookvault import __version__
from hookvault.audit import store as audit
from hookvault.audit.model import Actor
from hookvault.clock import iso
from hookvault.custody.archive import Header, Table, Writer
from hookvault.custody.file import Draft
from hookvault.custody.verify import Progress, quiet
from hookvault.db.pool import Database
from hookvault.db.snapshot import BackupRecord, Snapshot, incomplete, record_backup, snapshot
from hookvault.ids import new_id
from hookvault.vault.keys import KeyRing, MasterKey


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made. `needs` are the fingerprints of the master keys without which it can't be restored."""

    id: str
    file: str
    bytes: int
    rows: int
    tables: int
    needs: list[str]


async def create(
    dsn: str, database: Database, ring: KeyRing, path: Path, *, actor: Actor, progress: Progress = quiet
) -> Made:
    """Writes all data to a new file while the service goes on, and notes that it was made.

    Args:
        dsn: The owner's URL of the database.
        database: The same one, for the note and the audit event.
        ring: The master keys held; the active one seals the file.
        path: The file; it must not exist.
        actor: Who asks.
        progress: Told how far it is.

    Raises:
        ConflictError: code `file_exists`.
        SetupError: code `disk_full` or `file_unusable`.
        UnavailableError: code `backup_incomplete`, `database_busy` or `database_unavailable`.
        WrongKeyError: the active master key is not held.
    """
    async with snapshot(dsn) as source:
        key = ring.by_fingerprint(source.active or ring.current.fingerprint)
        header = _header(source, key)
        with Draft(path) as draft:
            writer = Writer(draft, header)
            await _copy(source, writer, progress)
            chains, heads = await source.heads()
            manifest = writer.seal(key, tombstones=source.tombstones, chains=chains, heads=heads)
            size = draft.publish()
    made = BackupRecord(header.id, source.at, actor.label, path.name, size, manifest.rows, header.needed)
    async with database.system() as tx:
        await record_backup(tx, made)
        detail = {"file": path.name, "bytes": size, "rows": manifest.rows, "keys": header.needed}
        await audit.record(tx, actor, "backup.created", ("backup", header.id), detail=detail)
    return Made(header.id, str(path), size, manifest.rows, len(manifest.tables), header.needed)


def _header(source: Snapshot, key: MasterKey) -> Header:
    return Header(
        id=str(new_id()),
        created_at=iso(source.at),
        app=__version__,
        revision=source.revision,
        rows=sum(source.rows.values()),
        days=list(source.days),
        fingerprints=dict(source.fingerprints),
        signed_by=key.fingerprint,
    )


async def _copy(source: Snapshot, writer: Writer, progress: Progress) -> None:
    done, total = 0, sum(source.rows.values())

    async def add(rows: bytes) -> None:
        nonlocal done
        writer.add(rows)
        done += rows.count(b"\n")
        progress(done, total)

    for table, columns in source.columns.items():
        writer.begin(Table(table, list(columns)))
        await source.copy(table, add)
        if writer.end() != source.rows[table]:
            raise incomplete(table, "what was written of it has another number of rows")
