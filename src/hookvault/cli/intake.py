"""`hookvault import`: takes over the database of an existing Node.js system."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hookvault.cli.output import note, show_list
from hookvault.cli.session import actor, finish, opened, settings_of_command
from hookvault.custody.intake.model import LOST, Report
from hookvault.custody.intake.service import Intake
from hookvault.custody.intake.store import VARIABLE, opened_source
from hookvault.custody.intake.unseal import Opener
from hookvault.errors import SetupError
from hookvault.log import register_secret
from hookvault.outbound.guard import AddressPolicy
from hookvault.settings import Settings
from hookvault.vault.secret import Secret
from hookvault.wiring import App

_COLUMNS = {"tenant_id": "Tenant", "what": "What", "result": "Result", "reason": "Reason", "message": "Which means"}


def intake(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do every check, opening every secret, and write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """Take over tenants, integrations and webhooks of a Node.js system, from its database.

    IMPORT_DATABASE_URL names its PostgreSQL database, which is only read. IMPORT_ENCRYPTION_KEY is its key; ENCRYPTION_KEY when
    absent. What exists here stays as it is, so the command can be run again. Ends with 1 when anything was not taken over.
    """
    report = finish(_import(settings_of_command(), dry_run=dry_run))
    _show(report, as_json=as_json)
    if not report.complete:
        raise typer.Exit(1)


async def _import(settings: Settings, *, dry_run: bool) -> Report:
    url = settings.import_database_url
    if url is None:
        raise SetupError(
            f"{VARIABLE}: not set; it is the URL of the database to import, as DATABASE_URL is of this one."
        )
    async with opened_source(url.get_secret_value()) as source, opened() as services:
        with _progress(await source.count()) as advance:
            policy = AddressPolicy(allow_http=settings.allow_http, allowed_networks=settings.allowed_networks)
            work = Intake(
                services.tenants,
                services.integrations,
                services.webhooks,
                policy=policy,
                opener=Opener(_key(settings, services)),
                actor=actor(),
                dry_run=dry_run,
                advance=advance,
            )
            return await work.run(source)


def _key(settings: Settings, services: App) -> Secret:
    given = settings.import_encryption_key
    if given is None:
        return services.vault.ring.current.raw_hex
    register_secret(given.get_secret_value())
    return Secret(given.get_secret_value())


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("Importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("rows", total=total)
        yield lambda: bar.advance(task)


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        entries = [
            {
                "tenantId": entry.tenant_id,
                "what": entry.what,
                "result": entry.result,
                "reason": entry.reason,
                "message": entry.message,
            }
            for entry in report.entries
        ]
        whole = {"dryRun": report.dry_run, "complete": report.complete, "totals": report.totals, "entries": entries}
        typer.echo(json.dumps(whole, indent=2, ensure_ascii=False))
    else:
        show_list(report.entries, _COLUMNS, as_json=False)
    _conclude(report)


def _conclude(report: Report) -> None:
    totals = ", ".join(f"{count} {result.replace('_', ' ')}" for result, count in sorted(report.totals.items()))
    note(f"{totals or 'Nothing to import'}." + (" Nothing was written." if report.dry_run else ""))
    if report.key_in_doubt:
        note("No secret opened at all. Is IMPORT_ENCRYPTION_KEY the former system's key?")
    elif any(entry.result in LOST for entry in report.entries):
        note("What was left out or skipped is not here. Mend it there or set it here; then run the command again.")
