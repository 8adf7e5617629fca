"""`hookvault keys`: the master keys that the vault is sealed under, and the data keys of tenants."""

import asyncio
import json
import secrets
from typing import Annotated, Any

import typer

from hookvault.cli.output import ask, note, progress, secret, show_list, wire
from hookvault.cli.session import actor, finish, opened, settings_of_command
from hookvault.clock import iso
from hookvault.custody.model import KeysStatus, Rekeying, Rotation, Scan
from hookvault.errors import HookvaultError
from hookvault.wiring import App

_KEYS = {
    "fingerprint": "Key",
    "state": "State",
    "data_keys": "Data keys",
    "held": "Held here",
    "activated_at": "Active since",
    "superseded_at": "Until",
    "retired_at": "Retired",
}
_PROCESSES = {"kind": "Process", "host": "Host", "fingerprints": "Holds", "started_at": "Since", "seen_at": "Seen"}
_POLL_S = 0.5
_KEY_GOES = "ENCRYPTION_KEY (or in {}/encryption.key, where the service made its own)"

app = typer.Typer(help="Encryption keys.", no_args_is_help=True)
JSON = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command()
def generate() -> None:
    """Print a new random ENCRYPTION_KEY: 64 hexadecimal characters and nothing else. Changes nothing."""
    secret(secrets.token_hex(32))


@app.command()
def status(*, as_json: JSON = False) -> None:
    """Show the master keys by fingerprint, the processes that hold them, and the last rekeying and health scan."""
    found = finish(_status())
    if as_json:
        typer.echo(json.dumps(wire(found), indent=2, ensure_ascii=False))
        return
    show_list(found.keys, _KEYS, as_json=False)
    if found.processes:
        show_list(found.processes, _PROCESSES, as_json=False)
    typer.echo(f"Rekeying: {_said_of_rekey(found.rekey)}")
    typer.echo(f"Health scan: {_said_of_scan(found.scan)}")


@app.command()
def rotate() -> None:
    """Make ENCRYPTION_KEY_NEXT the active key: tenants' data keys are wrapped anew, while the service runs."""
    done = finish(_rotate())
    if not done.rewrapped and done.previous == done.active:
        note(f"{done.active} is the active key already. Nothing was changed.")
        return
    note(f"Rotated from {done.previous} to {done.active}: {done.rewrapped} data keys wrapped anew.")
    note(
        f"Next: give the new key as {_KEY_GOES.format(settings_of_command().hookvault_data_dir)} and the former as "
        "ENCRYPTION_KEY_PREVIOUS, restart, and when no backup needs the former any more: "
        f"hookvault keys retire {done.previous}"
    )


@app.command()
def retire(
    fingerprint: Annotated[str, typer.Argument(help="The key's fingerprint, mk_...")],
    *,
    reason: Annotated[str, typer.Option(help="Why it goes although something still needs it.")] = "",
) -> None:
    """Note that a former key is of no use any more. Refused while anything needs it, unless a reason is given."""
    finish(_retire(fingerprint, reason))
    note(f"Retired {fingerprint}. Take it out of ENCRYPTION_KEY_PREVIOUS; its fingerprint is kept.")


@app.command()
def rekey(
    *,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Stop the rekeying that runs.")] = False,
) -> None:
    """Give tenants new data keys and seal everything anew, while the service runs. Goes on where it was stopped."""
    if cancel:
        finish(_cancel())
        note("Stopped. What is sealed anew stays so; start it again to go on.")
        return
    done = finish(_rekey(tenant))
    if done.unreadable:
        note(
            f"{done.unreadable} rows hold secrets that do not open; they were left as they are, with their keys. "
            "See them with: hookvault keys scan"
        )
        raise typer.Exit(1)
    note(f"Done: {done.total} rows are sealed with new keys, and the former keys are destroyed.")


@app.command()
def shred(tenant_id: Annotated[str, typer.Argument(metavar="TENANT")], *, yes: Yes = False) -> None:
    """Destroy a tenant's data keys: its stored secrets can never be opened again."""
    if not yes:
        ask(
            f"Destroy the data keys of {tenant_id}? None of its secrets will ever open again. An old backup together with an "
            "old ENCRYPTION_KEY, outside of Hookvault, still could."
        )
    destroyed = finish(_shred(tenant_id))
    note(f"Destroyed {destroyed} data keys of {tenant_id}. Restores honour it. Its secrets can be entered anew.")


@app.command()
def scan(*, as_json: JSON = False) -> None:
    """Open every stored secret to prove that it opens. Exits with 1 when one does not."""
    found, faults = finish(_scan())
    columns = {"tenant_id": "Tenant", "table_name": "Table", "row_id": "Row", "field": "Field", "reason": "Reason"}
    if faults or as_json:
        show_list(faults, {**columns, "key_needed": "Needs"}, as_json=as_json)
    shredded = sum(fault.reason == "key_destroyed" for fault in faults)
    note(f"{found.secrets} secrets, {found.unreadable} do not open{f', {shredded} were shredded' if shredded else ''}.")
    if found.unreadable:
        raise typer.Exit(1)


async def _status() -> KeysStatus:
    async with opened() as services:
        return await services.keys.status()


async def _rotate() -> Rotation:
    async with opened() as services:
        return await services.keys.rotate(actor=actor())


async def _retire(fingerprint: str, reason: str) -> None:
    async with opened() as services:
        await services.keys.retire(fingerprint, reason=reason.strip() or None, actor=actor())


async def _shred(tenant_id: str) -> int:
    async with opened() as services:
        return await services.keys.shred(tenant_id, actor=actor())


async def _cancel() -> None:
    async with opened() as services:
        await services.rekeys.cancel(actor=actor())


async def _rekey(tenant_id: str | None) -> Rekeying:
    async with opened() as services:
        try:
            job = await services.rekeys.start(tenant_id, actor=actor())
        except HookvaultError as error:
            if error.code != "rekey_running":
                raise
            found = await services.rekeys.progress()
            if found is None or found.tenant_id != tenant_id:
                raise
            job = found  # goes on with it
        return await _finished(services, job)


async def _finished(services: App, job: Rekeying) -> Rekeying:
    with progress("Sealing anew", job.total) as bar:
        while True:
            step = await services.rekeys.step()
            if step in ("busy", "waiting"):
                await asyncio.sleep(_POLL_S)
            found = await services.rekeys.progress()
            if found is None:
                return job
            bar(found.done)
            if found.state != "running":
                return found


async def _scan() -> tuple[Scan, list[Any]]:
    async with opened() as services:
        done: asyncio.Queue[int] = asyncio.Queue()
        with progress("Opening", await services.scans.count_rows()) as bar:
            scanning = asyncio.create_task(services.scans.scan(actor=actor(), done=done))
            rows = 0
            while not scanning.done():
                await asyncio.wait((scanning,), timeout=0.1)
                while not done.empty():
                    rows += done.get_nowait()
                bar(rows)
        return await scanning, await services.scans.faults()


def _said_of_rekey(job: Rekeying | None) -> str:
    if job is None:
        return "never"
    scope = "all tenants" if job.tenant_id is None else job.tenant_id
    left = f", {job.unreadable} rows do not open" if job.unreadable else ""
    return f"{job.state}, {job.done} of {job.total} rows of {scope}, since {iso(job.started_at)}{left}"


def _said_of_scan(scan: Scan | None) -> str:
    if scan is None or scan.finished_at is None:
        return "never; run: hookvault keys scan"
    return f"{scan.secrets} secrets, {scan.unreadable} do not open, {iso(scan.finished_at)}"
