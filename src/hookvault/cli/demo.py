"""`hookvault demo`: the service with demo tenants, a receiver that answers as n8n does, and live traffic."""

from pathlib import Path
from typing import Annotated

import typer

from hookvault import log, wiring
from hookvault.cli.output import note
from hookvault.cli.serve import chosen, listen, run_server
from hookvault.cli.session import actor, finish
from hookvault.errors import SetupError
from hookvault.settings import Settings, load_settings

FOLDER = Path(".hookvault-demo")


def demo(
    host: Annotated[str | None, typer.Option(help="The address to listen on; HOST when absent.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="The port to listen on; PORT when absent.")] = None,
    *,
    deliver: Annotated[
        bool, typer.Option("--deliver/--no-worker", help="Deliver too, or leave that to `hookvault worker`.")
    ] = True,
) -> None:
    """Run the service with demo data and live traffic, to look around; its data is kept apart from yours."""
    settings = _settings(host, port)
    log.setup(settings)
    with listen(settings.host, settings.port) as listener:
        finish(run_server(settings, listener, deliver=deliver, ready=_fill, more=_told(settings)))


def _settings(host: str | None, port: int | None) -> Settings:
    """The settings, with a data directory of the demo's own unless one or a database was named.

    Raises:
        SetupError: code `demo_not_here`, in production.
    """
    settings = load_settings()
    if settings.production:
        message = "APP_ENV is production, where no demo runs: it would put invented tenants beside real ones."
        raise SetupError(message, code="demo_not_here")
    if not {"hookvault_data_dir", "database_url"} & settings.model_fields_set:
        settings = settings.model_copy(update={"hookvault_data_dir": FOLDER})
    return chosen(settings, host, port)


async def _fill(app: wiring.App) -> None:
    if not await app.demo.exists():
        note("Loading three tenants and a month of calls ...")
        loaded = await app.demo.load(actor=actor())
        await app.rekeys.start(loaded.tenants[0], actor=actor())
        await app.scans.scan(actor=actor())
    await app.demo.add_people()
    await app.demo.play()


def _told(settings: Settings) -> list[str]:
    place = "the database of DATABASE_URL" if settings.database_url is not None else f"{settings.hookvault_data_dir}/"
    return [
        "",
        "This is the demo: three invented tenants, a receiver that answers as n8n does, and live traffic.",
        f"Its data is in {place}, apart from `make run`'s." if _apart(settings) else f"Its data is in {place}.",
    ]


def _apart(settings: Settings) -> bool:
    return settings.database_url is None and settings.hookvault_data_dir == FOLDER
