"""What every command needs: settings, one event loop, and the services opened and closed around it."""

import asyncio
import gc
import getpass
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from hookvault import log, wiring
from hookvault.audit.model import Actor
from hookvault.settings import Settings, load_settings

if sys.platform != "win32":  # uvloop has no Windows
    from uvloop import new_event_loop
else:
    from asyncio import new_event_loop

T = TypeVar("T")


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's asynchronous part to its end, on uvloop where it exists."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)


def calm_collector() -> None:
    """Spares a long-lived process most of its garbage collection.

    What lives as long as the process is not looked through again and again; and thousands of calls in flight are no garbage, so
    the young ones are looked through when there are many more of them than that.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def settings_of_command() -> Settings:
    """The settings, with the log set up for a person: warnings only, unless a level was asked for.

    Raises:
        SetupError: listing every wrong setting.
    """
    settings = load_settings()
    log.setup(settings, quiet="log_level" not in settings.model_fields_set)
    return settings


@asynccontextmanager
async def opened(*, migrate: bool | None = None) -> AsyncIterator[wiring.App]:
    """The services on the database, the embedded one started where it does not run; no background loops.

    Raises:
        HookvaultError: as `wiring.build`, a wrong key first of all.
    """
    app = await wiring.build(settings_of_command(), migrate=migrate)
    try:
        yield app
    finally:
        await app.close()


def actor() -> Actor:
    """Who the audit log names: the operating system's user."""
    try:
        return Actor("cli", getpass.getuser())
    except (KeyError, OSError):  # a container's user often has no name
        return Actor("cli", "unknown")


def command() -> str:
    """How this program was called, so that a printed command can be pasted."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{sys.executable} -m hookvault"
    return sys.argv[0] if "/" in sys.argv[0] else called.name
