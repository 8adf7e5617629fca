"""Puts a backup in the place of all data of a database: keys are checked before anything is touched, and all of it or nothing."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import asyncpg

from hookvault.audit import store as audit
from hookvault.audit.model import Actor
from hookvault.custody import store
from hookvault.custody.archive import BackupError, Header, Manifest, Reader, Section
from hookvault.custody.sealed import store as sealed
from hookvault.custody.verify import Progress, Report, quiet, require_keys
from hookvault.db.content import SAVED
from hookvault.db.pool import SystemTx
from hookvault.db.replace import OtherKey, Present, Replacement, look, replacing
from hookvault.db.snapshot import BackupRecord, record_backup
from hookvault.errors import ConflictError, VaultError, WrongKeyError
from hookvault.vault import store as keys
from hookvault.vault.keys import KeyRing, MasterKey, new_data_key


@dataclass(frozen=True, slots=True)
class Plan:
    """A restore that may be done.

    Attributes:
        path: The file.
        report: What was found in it.
        replaces: Rows that are in the database now, by table.
        living: Processes that work on it now.
    """

    path: Path
    report: Report
    replaces: Mapping[str, int]
    living: Sequence[str]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did, or a dry run would have done.

    Attributes:
        backup: The backup's id.
        rows: Rows restored.
        replaced: Rows that they replaced.
        key: The master key that all data keys are wrapped under now.
        rewrapped: Data keys that were wrapped under another one.
        shredded: Data keys destroyed, since their tenant had been shredded after the backup.
    """

    backup: str
    rows: int
    replaced: int
    key: str
    rewrapped: int
    shredded: int


async def prepare(dsn: str, ring: KeyRing, path: Path, report: Report) -> Plan:
    """Compares a backup with the keys held and with the database; changes nothing.

    Args:
        dsn: The owner's URL of a database whose schema is this version's.
        ring: The master keys held.
        path: The backup.
        report: What `verify` found in it with the same keys.

    Raises:
        WrongKeyError: a key that the backup or the database needs is not held.
        ConflictError: code `schema_differs`.
        UnavailableError: code `database_unavailable`.
    """
    require_keys(report)
    present = await look(dsn)
    _compare(report.manifest, present)
    _active(ring, present.active, data_keys=present.rows["data_keys"])
    return Plan(path, report, present.rows, present.living)


async def restore(
    dsn: str, ring: KeyRing, plan: Plan, *, actor: Actor, dry_run: bool = False, progress: Progress = quiet
) -> Restored:
    """Replaces all data by the backup's, in one transaction.

    Args:
        dsn: The owner's URL.
        ring: The master keys held.
        plan: Of `prepare`.
        actor: Who asks.
        dry_run: Do all of it, then take it back.
        progress: Told how far it is.

    Raises:
        BackupError: the file was changed since it was checked, or its rows don't fit.
        WrongKeyError: the database's master key was changed meanwhile to one that is not held.
        ConflictError: code `table_referenced`, by a table that is not ours.
        UnavailableError: code `database_busy` or `database_unavailable`.
    """
    try:
        async with replacing(dsn, dry_run=dry_run) as target:
            replaced = await target.empty()
            active = _active(ring, target.active, data_keys=replaced["data_keys"])
            await _fill(target, plan, progress)
            shredded = await target.unite(active)
            rewrapped = await _rewrap(target, ring, active)
            done = Restored(
                plan.report.header.id,
                plan.report.manifest.rows,
                sum(replaced.values()),
                active,
                rewrapped,
                len(shredded),
            )
            tx = await target.close()
            await _shred_again(tx, ring.by_fingerprint(active), sorted({*shredded}))
            await _note(tx, plan, done, actor)
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.PostgresSyntaxError) as error:
        # Only its kind: what the database says quotes the row.
        raise BackupError(
            f"The database refuses rows of this backup ({type(error).__name__}). Nothing was changed.",
            code="rows_refused",
        ) from None
    except asyncpg.FeatureNotSupportedError:
        raise ConflictError(
            "Tables that are not Hookvault's refer to its tables, which therefore can't be emptied. Nothing was changed.",
            code="table_referenced",
        ) from None
    return done


def _compare(manifest: Manifest, present: Present) -> None:
    """Every table and column of the backup must be there; what an older backup lacks is left empty."""
    for table in manifest.tables:
        lacking = set(table.columns) - present.columns.get(table.name, frozenset())
        if table.name not in SAVED or lacking:
            what = f"table {table.name}" if table.name not in SAVED else f"column {table.name}.{min(lacking)}"
            raise ConflictError(
                f"The database has no {what}, which the backup holds. Restore it into a fresh database. Nothing was changed.",
                code="schema_differs",
            )


def _active(ring: KeyRing, present: str | None, *, data_keys: int) -> str:
    """The master key that everything is wrapped under afterwards: the database's own, which its other processes hold."""
    if present is not None and present in ring.fingerprints:
        return present
    if present is None or data_keys == 0:
        return ring.current.fingerprint
    held = ", ".join(ring.fingerprints)
    raise WrongKeyError(
        f"Wrong ENCRYPTION_KEY: this database is sealed under key {present}, and held are {held}. Nothing was changed. "
        "Give its key and the backup's as ENCRYPTION_KEY and ENCRYPTION_KEY_PREVIOUS, or restore into a fresh database.",
        needed=[present],
        held=list(ring.fingerprints),
    )


async def _fill(target: Replacement, plan: Plan, progress: Progress) -> None:
    done = 0
    with Reader(plan.path) as reader:
        await target.make_days(reader.header.days)
        for section in reader.sections():
            done += await target.fill(section.name, section.columns, _rows(section, progress, done, reader.header))
        manifest, seal = reader.finish()
    chains = await target.heads()
    if seal.sha256 != plan.report.digest or done != manifest.rows or chains != (manifest.chains, manifest.heads):
        raise BackupError("The backup was changed while it was restored. Nothing was changed in the database.")


async def _rows(section: Section, progress: Progress, before: int, header: Header) -> AsyncIterator[bytes]:
    for raw in section.chunks:
        yield raw
        before += raw.count(b"\n")
        progress(before, header.rows)


async def _rewrap(target: Replacement, ring: KeyRing, active: str) -> int:
    done = 0
    async for batch in target.other_keys(active):
        made = [(key.tenant_id, key.version, wrapped) for key in batch if (wrapped := _rewrapped(ring, key, active))]
        await target.rewrap(active, made)
        done += len(made)
    return done


def _rewrapped(ring: KeyRing, key: OtherKey, active: str) -> str | None:
    """None for a data key that does not open; it did not where the backup was made, and stays as it is."""
    try:
        opened = ring.by_fingerprint(key.fingerprint).unwrap(key.wrapped, tenant_id=key.tenant_id, version=key.version)
    except VaultError:
        return None
    return ring.by_fingerprint(active).wrap(opened, tenant_id=key.tenant_id, version=key.version)


async def _shred_again(tx: SystemTx, master: MasterKey, tenant_ids: Sequence[str]) -> None:
    """As a shredding leaves a tenant: nothing is shown of what is gone, and a new data key seals what it is given next."""
    last, made = await keys.last_versions(tx, tenant_ids), []
    for tenant_id in tenant_ids:
        version = last[tenant_id] + 1
        made.append((tenant_id, version, master.wrap(new_data_key(), tenant_id=tenant_id, version=version)))
        await sealed.drop_hints(tx, tenant_id)
        await store.wipe_versions(tx, tenant_id)
    if made:
        await keys.supersede_keys(tx, made, master.fingerprint)


async def _note(tx: SystemTx, plan: Plan, done: Restored, actor: Actor) -> None:
    header, size = plan.report.header, plan.path.stat().st_size
    made_at = datetime.fromisoformat(header.created_at)
    made = BackupRecord(header.id, made_at, actor.label, plan.path.name, size, done.rows, header.needed)
    await record_backup(tx, made)
    detail = {"file": plan.path.name, "rows": done.rows, "replaced": done.replaced, "madeAt": header.created_at}
    await audit.record(tx, actor, "backup.restored", ("backup", header.id), detail=detail)
