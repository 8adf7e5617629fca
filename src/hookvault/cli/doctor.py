"""`hookvault doctor`: looks the installation over, and says what to do where something is not as it should be."""

import sys
from typing import Annotated

import typer

from hookvault.cli.output import show_list
from hookvault.cli.session import finish, opened
from hookvault.custody.examine import Finding, examine

_COLUMNS = {"name": "", "state": "State", "found": "Found", "advice": "What to do"}


def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False) -> None:
    """Look the installation over: database, keys, secrets, deliveries, disk. Exits with 1 on an error."""
    found = finish(_examined())
    show_list(found, _COLUMNS, as_json=as_json)
    if any(finding.state == "error" for finding in found):
        sys.exit(1)


async def _examined() -> list[Finding]:
    async with opened() as services:
        settings = services.settings
        embedded = settings.database_url is None
        return await examine(services.database, services.keys, settings.hookvault_data_dir, embedded=embedded)
