"""The `hookvault` command: its parts, and how every failure ends in one clear line."""

import os
import sys
import traceback
from typing import Annotated

import typer

from hookvault import __version__
from hookvault.cli import admin, analytics, apikey, audit, backup, credential, database, keys, tenant
from hookvault.cli.demo import demo
from hookvault.cli.doctor import doctor
from hookvault.cli.intake import intake
from hookvault.cli.output import note
from hookvault.cli.serve import serve
from hookvault.cli.worker import worker
from hookvault.errors import HookvaultError
from hookvault.log import redact

INTERRUPTED = 130  # as a shell reports a program that was ended by Ctrl-C

app = typer.Typer(
    name="hookvault",
    help="Credentials, webhooks and their records for every tenant of a SaaS platform.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(serve)
app.command()(worker)
app.command()(demo)
app.command()(doctor)
app.command("import")(intake)
app.add_typer(database.app, name="db")
app.add_typer(apikey.app, name="api-key")
app.add_typer(admin.app, name="admin")
app.add_typer(tenant.app, name="tenant")
app.add_typer(keys.app, name="keys")
app.add_typer(credential.app, name="credential")
app.add_typer(backup.app, name="backup")
app.add_typer(audit.app, name="audit")
app.add_typer(analytics.app, name="analytics")


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - the signature of an option's callback
    if wanted:
        typer.echo(f"hookvault {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Credentials, webhooks and their records for every tenant of a SaaS platform."""


def run() -> None:
    """The entry point. Exits with 0 done, 1 failed (one line says why), 2 wrong usage, 130 interrupted."""
    try:
        app()
    except HookvaultError as error:
        note(f"error: {redact(error.message)} ({error.code})")
        _more()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last place where anything can be caught
        note(f"error: unexpected {type(error).__name__}: {redact(str(error))}".rstrip(": "))
        if not _more():
            note("Set HOOKVAULT_DEBUG=1 to see where it happened.")
        sys.exit(1)


def _more() -> bool:
    """Prints the traceback, redacted, where HOOKVAULT_DEBUG asks for it."""
    asked = os.environ.get("HOOKVAULT_DEBUG", "") not in ("", "0")
    if asked:
        note(redact(traceback.format_exc()))
    return asked
