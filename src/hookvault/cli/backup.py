"""`hookvault backup`: all data in one file, proved to be whole, and put back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from hookvault import foundation
from hookvault.cli.output import ask, note, progress, show_one
from hookvault.cli.session import actor, finish, opened, settings_of_command
from hookvault.custody import backup, restore
from hookvault.custody.verify import Report, require_keys
from hookvault.custody.verify import verify as verify_file
from hookvault.settings import Settings
from hookvault.vault.keys import KeyRing

app = typer.Typer(help="Backups: one file with everything, secrets encrypted.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]
AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


@dataclass(frozen=True, slots=True)
class _Verified:
    """What `verify` prints."""

    backup: str
    created_at: str
    version: str
    schema: str
    tables: int
    rows: int
    tombstones: int
    audit_chains: int
    seal: str
    keys_needed: list[str]
    keys_held: list[str]
    secrets: int
    secrets_opened: int
    secrets_locked: int
    secrets_shredded: int
    secrets_broken: int


@app.command()
def create(file: File, *, as_json: AsJSON = False) -> None:
    """Write everything to a new FILE, as of one moment, while the service runs."""
    made = finish(_create(file))
    note(f"{made.rows} rows of {made.tables} tables are in {made.file}. Keep its keys, and keep them apart from it.")
    show_one(made, as_json=as_json)


@app.command()
def verify(file: File, *, as_json: AsJSON = False) -> None:
    """Prove that FILE is whole and opens with the keys held here. Needs no database."""
    ring = foundation.held_keys(settings_of_command())
    with progress("Verifying") as moved:
        report = verify_file(file, ring, moved)
    show_one(_verified(report), as_json=as_json)
    if ring is None:
        note("It is whole. No key is held here, so neither its seal nor its secrets were tried.")
        return
    require_keys(report)
    if report.secrets.broken:
        note(f"error: {report.secrets.broken} secrets do not open, as where it was made. (secrets_broken)")
        raise typer.Exit(1)
    note("It is whole, and it opens with the keys held here.")


@app.command("restore")
def put_back(
    file: File,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do all of it, then take it back; the service stands still meanwhile.")
    ] = False,
    as_json: AsJSON = False,
) -> None:
    """Replace all data by that of FILE, in one transaction. Keys are checked before anything is touched."""
    settings = settings_of_command()
    ring = foundation.key_ring(settings)
    dsn, plan = finish(_prepare(settings, ring, file))
    if not (yes or dry_run):
        ask(_question(plan))
    done = finish(_restore(dsn, ring, plan, dry_run=dry_run))
    note("Nothing was changed: this was a dry run." if dry_run else f"{done.rows} rows are restored from {file}.")
    show_one(done, as_json=as_json)


async def _create(file: Path) -> backup.Made:
    async with opened() as services:
        dsn = await foundation.database_url(services.settings)
        with progress("Backing up") as moved:
            return await backup.create(dsn, services.database, services.vault.ring, file, actor=actor(), progress=moved)


async def _prepare(settings: Settings, ring: KeyRing, file: Path) -> tuple[str, restore.Plan]:
    with progress("Verifying") as moved:
        report = verify_file(file, ring, moved)
    require_keys(report)
    dsn = await foundation.current_database(settings)
    return dsn, await restore.prepare(dsn, ring, file, report)


async def _restore(dsn: str, ring: KeyRing, plan: restore.Plan, *, dry_run: bool) -> restore.Restored:
    with progress("Restoring") as moved:
        return await restore.restore(dsn, ring, plan, actor=actor(), dry_run=dry_run, progress=moved)


def _question(plan: restore.Plan) -> str:
    header, rows = plan.report.header, sum(plan.replaces.values())
    living = f" At work on it now: {', '.join(plan.living)}; stop them first." if plan.living else ""
    pending = next((entry.rows for entry in plan.report.manifest.tables if entry.name == "delivery_queue"), 0)
    sent = (
        f" {pending} deliveries were pending then, and will be sent, again if they were sent since." if pending else ""
    )
    return (
        f"This replaces all {rows} rows of the database by the {header.rows} rows of {header.created_at}; "
        f"what was done since is lost.{living}{sent} Go on?"
    )


def _verified(report: Report) -> _Verified:
    header, manifest, secrets = report.header, report.manifest, report.secrets
    seal = "authentic" if report.authentic else f"not checked: needs key {header.signed_by}"
    return _Verified(
        backup=header.id,
        created_at=header.created_at,
        version=header.app,
        schema=header.revision,
        tables=len(manifest.tables),
        rows=manifest.rows,
        tombstones=manifest.tombstones,
        audit_chains=manifest.chains,
        seal=seal,
        keys_needed=header.needed,
        keys_held=list(report.held),
        secrets=secrets.total,
        secrets_opened=secrets.opened,
        secrets_locked=secrets.locked,
        secrets_shredded=secrets.shredded,
        secrets_broken=secrets.broken,
    )
