"""`hookvault keys`: the master keys that the vault is sealed under."""

import secrets
from typing import Annotated

import typer

from hookvault.cli.output import secret, show_list
from hookvault.cli.session import finish, opened
from hookvault.vault.service import KeyStatus

_COLUMNS = {"fingerprint": "Key", "state": "State", "data_keys": "Data keys", "held": "Held here"}

app = typer.Typer(help="Encryption keys.", no_args_is_help=True)


@app.command()
def generate() -> None:
    """Print a new random ENCRYPTION_KEY: 64 hexadecimal characters and nothing else. Changes nothing."""
    secret(secrets.token_hex(32))


@app.command()
def status(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False) -> None:
    """Show which master keys this database has known, by fingerprint, and how many data keys each wraps."""
    show_list(finish(_status()), _COLUMNS, as_json=as_json)


async def _status() -> list[KeyStatus]:
    async with opened() as services:
        return await services.vault.status()
