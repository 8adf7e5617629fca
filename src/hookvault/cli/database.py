"""`hookvault db`: the schema, the embedded Postgres, a clean slate."""

from typing import Annotated

import typer

from hookvault import foundation
from hookvault.audit import store as audit
from hookvault.cli.output import ask, note
from hookvault.cli.session import actor, finish, opened, settings_of_command
from hookvault.db import embedded
from hookvault.db.clean import clean as clean_database
from hookvault.db.migrate import SchemaState, schema_state
from hookvault.errors import SetupError

app = typer.Typer(help="The database.", no_args_is_help=True)


@app.command()
def migrate() -> None:
    """Bring the schema up to this version. Safe to run again, and from several places at once."""
    done = finish(_migrate())
    typer.echo("The schema is up to date now." if done else "The schema was up to date already.")


@app.command()
def url() -> None:
    """Print the owner's URL, password included, alone on stdout; starts the embedded Postgres if need be."""
    typer.echo(finish(foundation.database_url(settings_of_command())))


@app.command()
def stop() -> None:
    """Stop the embedded Postgres. All that was committed stays."""
    settings = settings_of_command()
    if settings.database_url is not None:
        raise SetupError(
            "DATABASE_URL is set, so there is no embedded Postgres to stop; that server is yours to stop.",
            code="not_embedded",
        )
    stopped = embedded.stop(settings.hookvault_data_dir)
    typer.echo("The embedded Postgres is stopped." if stopped else "The embedded Postgres did not run.")


@app.command()
def clean(
    *,
    preserve_admin: Annotated[
        bool, typer.Option("--preserve-admin", help="Keep platform admins and platform API keys.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove every tenant, secret, webhook and record, and print what was removed."""
    kept = " Platform admins and platform API keys stay." if preserve_admin else ""
    if not yes:
        ask(f"This removes every tenant and everything recorded, for ever.{kept} Go on?")
    removed = finish(_clean(preserve_admin=preserve_admin))
    for table, rows in removed.items():
        typer.echo(f"{rows:>10}  {table}")
    note(f"{sum(removed.values())} rows removed.{kept}")


async def _migrate() -> bool:
    state = await schema_state(await foundation.database_url(settings_of_command()))
    async with opened(migrate=True):
        return state is not SchemaState.CURRENT


async def _clean(*, preserve_admin: bool) -> dict[str, int]:
    async with opened() as services:
        removed = await clean_database(await foundation.database_url(services.settings), preserve_admin=preserve_admin)
        async with services.database.system() as tx:
            detail = {"removed": removed, "preserveAdmin": preserve_admin}
            await audit.record(tx, actor(), "database.cleaned", ("database", "hookvault"), detail=detail)
    return removed
