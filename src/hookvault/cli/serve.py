"""`hookvault serve`: the web server with everything behind it, until SIGTERM or Ctrl-C."""

import asyncio
import errno
import shlex
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
import uvicorn

from hookvault import __version__, log, wiring
from hookvault.accounts.model import NewPassword
from hookvault.admin.site import create_site
from hookvault.api.protocol import BoundedProtocol
from hookvault.cli.session import command, finish, settle_in
from hookvault.errors import SetupError
from hookvault.settings import Settings, load_settings
from hookvault.vault.secret import Secret

DEFAULT_ADMIN = "admin@localhost"
_BACKLOG = 2048
_GRACE_S = 30  # for requests under way when the server is told to stop

_log = log.get_logger(__name__)


def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on; HOST when absent.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="The port to listen on; PORT when absent.")] = None,
    *,
    deliver: Annotated[
        bool, typer.Option("--deliver/--no-worker", help="Deliver too, or leave that to `hookvault worker`.")
    ] = True,
) -> None:
    """Run the service; in development it also migrates and makes the first admin."""
    settings = chosen(load_settings(), host, port)
    log.setup(settings)
    # Bound before anything is made: a one-time password must not be lost to a busy port.
    with listen(settings.host, settings.port) as listener:
        finish(run_server(settings, listener, deliver=deliver))


async def run_server(
    settings: Settings,
    listener: socket.socket,
    *,
    deliver: bool,
    ready: Callable[[wiring.App], Awaitable[None]] | None = None,
    more: Sequence[str] = (),
) -> None:
    """Serves until it is told to stop.

    Args:
        settings: Of this process.
        listener: The listening socket.
        deliver: Whether it delivers too.
        ready: What is done once the services run, before anybody is answered.
        more: Lines to announce besides.

    Raises:
        HookvaultError: as `wiring.build` and `ready`.
    """
    app = await wiring.build(settings)
    try:
        made = await _first_admin(app)
        server = _Server(_config(create_site(app)), lambda: _announce(settings, made, more), app.tail.end)
        await app.start(deliver=deliver)
        if ready is not None:
            await ready(app)
        settle_in()
        await server.serve(sockets=[listener])
    finally:
        await app.close()
    _log.info("stopped")


class _Server(uvicorn.Server):
    """uvicorn's server, that says when it listens and when it stops, and for which being told to stop is a success."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None], stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = started
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()  # what would never end by itself
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stops on SIGTERM and SIGINT without raising the signal again afterwards, as uvicorn would."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        # Left in place when the block ends: what closes after it must not be cut short by a second signal.
        yield


def _config(asgi: Any) -> uvicorn.Config:
    return uvicorn.Config(
        asgi,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whom to believe is TRUSTED_PROXIES' matter, not a header's
        backlog=_BACKLOG,
        timeout_graceful_shutdown=_GRACE_S,
    )


def chosen(settings: Settings, host: str | None, port: int | None) -> Settings:
    """The settings with the options in; APP_URL follows them unless it was set."""
    chosen: dict[str, Any] = {"host": host or settings.host, "port": port or settings.port}
    if "app_url" not in settings.model_fields_set:
        shown = "127.0.0.1" if chosen["host"] in ("0.0.0.0", "::") else chosen["host"]  # noqa: S104 - compared only
        chosen["app_url"] = f"http://{f'[{shown}]' if ':' in shown else shown}:{chosen['port']}"
    return settings.model_copy(update=chosen)


def listen(host: str, port: int) -> socket.socket:
    """The listening socket.

    Raises:
        SetupError: `port_in_use`, `port_forbidden`, `host_unknown`.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise _refused(error, host, port) from None
    listener.setblocking(False)
    return listener


def _refused(error: OSError, host: str, port: int) -> SetupError:
    if error.errno == errno.EADDRINUSE:
        return SetupError(
            f"Port {port} on {host} is in use by another program. Stop it, or choose another with --port.",
            code="port_in_use",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return SetupError(f"This user may not listen on port {port}. Choose one from 1024 on.", code="port_forbidden")
    return SetupError(
        f"Can't listen on {host}: {error.strerror}. Name an address of this machine with --host or HOST.",
        code="host_unknown",
    )


async def _first_admin(app: wiring.App) -> NewPassword | None:
    """The first admin, if this start made one. Production makes one only of a given address and password."""
    settings = app.settings
    given = settings.admin_password
    if settings.production and (settings.admin_email is None or given is None):
        return None
    made = await app.admins.ensure_first_admin(
        settings.admin_email or DEFAULT_ADMIN, Secret(given.get_secret_value()) if given else None
    )
    if made is not None:
        log.register_secret(made.password.open())
    return made


def _announce(settings: Settings, made: NewPassword | None, more: Sequence[str]) -> None:
    if settings.production:
        _log.info("started", version=__version__, host=settings.host, port=settings.port)
        return
    lines = [
        f"Hookvault {__version__} is running.",
        "",
        f"  URL        {settings.app_url}",
        f"  Admin UI   {settings.app_url}/   (sign in as the admin)",
        f"  API docs   {settings.app_url}/api/docs",
    ]
    if made is not None:
        given = settings.admin_password is not None
        password = "as in ADMIN_PASSWORD" if given else f"{made.password.open()}   (shown only now)"
        lines += [f"  Admin      {made.user.email}", f"  Password   {password}"]
    lines += more
    called = _pasted(settings)
    lines += ["", "Next, in another terminal here, make an API key:", f"  {called} api-key create --platform"]
    if settings.database_url is None:
        lines += ["", "Ctrl-C stops the server. The database stays until:", f"  {called} db stop"]
    typer.echo("\n".join(lines))


def _pasted(settings: Settings) -> str:
    """How another terminal in this directory calls the command so that it finds the same database."""
    if "hookvault_data_dir" not in settings.model_fields_set:
        return command()
    return f"HOOKVAULT_DATA_DIR={shlex.quote(str(settings.hookvault_data_dir))} {command()}"
