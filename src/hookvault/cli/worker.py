"""`hookvault worker`: delivers, without the web. As many as there are cores, on as many machines as there are."""

import asyncio
import signal

import typer

from hookvault import __version__, log, wiring
from hookvault.cli.session import finish, settle_in
from hookvault.settings import Settings, load_settings

_log = log.get_logger(__name__)


def worker() -> None:
    """Deliver in a process of its own, beside `serve` and other workers, until SIGTERM or Ctrl-C."""
    settings = load_settings()
    log.setup(settings)
    finish(_work(settings))


async def _work(settings: Settings) -> None:
    app = await wiring.build(settings)
    stop = asyncio.Event()
    try:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await app.start(kind="worker")
        settle_in()
        _announce(settings)
        await stop.wait()
        _log.info("worker_stopping", in_flight=app.worker.in_flight)
    finally:
        await app.close()
    _log.info("worker_stopped", **app.worker.totals)


def _announce(settings: Settings) -> None:
    if settings.production:
        _log.info("worker_started", version=__version__, places=settings.webhook_concurrency)
        return
    typer.echo(f"Hookvault {__version__} delivers, up to {settings.webhook_concurrency} at once. Ctrl-C stops.")
