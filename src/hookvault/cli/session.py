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

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

_OPEN_FILES = 65_536
T = TypeVar("T")


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's asynchronous part to its end, on uvloop where it exists."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)


def settle_in() -> None:
    """Makes a process ready to live long.

    What lives as long as the process is not looked through for garbage again and again; and thousands of calls in flight are
    none, so the young ones are looked through when there are many more of them than that. Each call is an open file, and the
    usual limit is meant for programs that have a few.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    if resource is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


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
