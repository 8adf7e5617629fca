"""The running server: is it up, start it, stop it.

Every process of a cluster's server inherits a lock on `<root>/server.lock`. So the lock tells what a pid file
can't: whether anything of that server lives, even a backend that outlived its postmaster, or one in another
container.
"""

import os
import shlex
import signal
import socket
import struct
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hookvault.db.account import ENVIRONMENT, Account
from hookvault.db.cluster import DATABASE, ROLE
from hookvault.db.fault import EmbeddedPostgresError, failed
from hookvault.db.placement import SOCKET, Home, is_private, lock_file, socket_directory, try_lock

READY_TIMEOUT_S = 300.0  # crash recovery replays all since the last checkpoint
PATIENCE_S = 10.0  # for what should pass by itself: orphaned backends, a socket about to appear
STOP_TIMEOUT_S = 60.0
LONGEST_LOG_BYTES = 10 << 20
_CANNOT_CONNECT_NOW = b"57P03"
# On the command line, so that no file or ALTER SYSTEM takes them back. The log must hold no statement and no
# value: errors are told to the client anyway, and `terse` drops the details ("Failing row contains ...").
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "password_encryption": "scram-sha-256",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_checkpoints": "off",
}
_children: dict[int, "subprocess.Popen[bytes]"] = {}
State = Literal["ready", "starting", "down"]


@dataclass(frozen=True, slots=True)
class PidFile:
    """What the server says of itself in postmaster.pid."""

    pid: int
    socket_dir: Path
    ready: bool


def read_pid_file(home: Home) -> PidFile | None:
    """The pid file's contents; None when there is none, or not yet all of it."""
    try:
        lines = os.fsdecode((home.data / "postmaster.pid").read_bytes()).split("\n")
        return PidFile(int(lines[0]), Path(lines[4]), ready=lines[7].strip() == "ready")
    except (FileNotFoundError, NotADirectoryError, ValueError, IndexError):
        return None


def live_pid(home: Home) -> int | None:
    """The pid of the cluster's postmaster, as far as it is a living process of this system and no zombie."""
    found = read_pid_file(home)
    if found is None:
        return None
    child = _children.get(found.pid)
    if child is not None and child.poll() is not None:  # reaps it: where we are its parent, nobody else would
        del _children[found.pid]
        return None
    return found.pid if _serves(found.pid, home) else None


def _serves(pid: int, home: Home) -> bool:
    process = Path("/proc") / str(pid)
    try:
        name, _, rest = (process / "stat").read_text().partition("(")[2].rpartition(")")
        if name != "postgres" or rest.split()[0] in "ZX":
            return False
        return (process / "cwd").samefile(home.data)
    except PermissionError:  # a root without CAP_SYS_PTRACE, as in containers
        return os.fsencode(home.data) in (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def socket_of(home: Home) -> Path | None:
    """The directory of the socket at which the server takes connections; None when it doesn't.

    Only a socket in a directory that is closed to everybody else counts: nobody can pose as the server.
    """
    found = read_pid_file(home)
    if found is None or not is_private(found.socket_dir, home.root.stat().st_uid):
        return None
    return found.socket_dir if probe(found.socket_dir) == "ready" else None


def probe(directory: Path) -> State:
    """What answers at the socket: asks for a session and leaves when the server asks for the password."""
    names = f"user\0{ROLE}\0database\0{DATABASE}\0\0".encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        try:
            connection.connect(os.fsencode(directory / SOCKET))
            connection.sendall(struct.pack("!ii", len(names) + 8, 3 << 16) + names)
            kind, reply = _message(connection)
        except (BlockingIOError, TimeoutError):
            return "starting"  # it lives, and has no time for us just now
        except OSError:
            return "down"
    if not kind:
        return "down"
    return "starting" if kind == b"E" and b"C" + _CANNOT_CONNECT_NOW + b"\0" in reply else "ready"


def _recovering(home: Home) -> bool:
    """Whether the server is there and says that it takes no connections yet, or no longer."""
    found = read_pid_file(home)
    return found is not None and probe(found.socket_dir) == "starting"


def _message(connection: socket.socket) -> tuple[bytes, bytes]:
    """The first message, read whole: leaving with bytes unread would put a line into the server's log."""
    received = b""
    while len(received) < 5 or len(received) < 1 + int.from_bytes(received[1:5], "big"):
        part = connection.recv(8192)
        if not part:
            break
        received += part
    return received[:1], received[5:]


def start(home: Home, account: Account, programs: Path) -> None:
    """Starts the server and waits until it takes connections; returns at once if it does already.

    Raises:
        EmbeddedPostgresError: `postgres_start_failed`, `disk_full`, `data_dir_unusable`.
    """
    with lock_file(home.root / "server.lock") as lock:
        if not _freed(home, lock):
            return
        directory = socket_directory(home.root, account)
        _clear(home, directory)
        patience = time.monotonic() + PATIENCE_S
        pause = 0.05
        while True:
            written = _log_size(home)
            process = _launch(home, account, [programs / "postgres", *_arguments(home, directory)], lock)
            output = _await(process, home, directory, written)
            if output is None:
                return
            transient = "already exists" in output or "still in use" in output
            if not transient or time.monotonic() > patience:
                raise failed("Starting the embedded Postgres", home.root, output)
            time.sleep(pause)
            pause = min(pause * 2, 1.0)


def _freed(home: Home, lock: int) -> bool:
    """Takes the server's lock as soon as nothing of a former server lives; False when that one is up."""
    began = stuck = time.monotonic()
    while not try_lock(lock):
        if socket_of(home) is not None:
            return False
        now, pid = time.monotonic(), live_pid(home)
        if _recovering(home):
            stuck = now  # from a crash, or shutting down: it gets there
        if now - began > READY_TIMEOUT_S:
            raise _not_ready(home, pid)
        if now - stuck > PATIENCE_S and pid is not None:
            _terminate(pid, home)  # alive with its socket gone, so of no use to anybody
            stuck = time.monotonic()
        elif now - stuck > PATIENCE_S:
            raise EmbeddedPostgresError(
                f"Processes of a former server still hold {home.root / 'server.lock'}, here or in another "
                "container on the same directory. Wait until they have ended, or end them, then try again."
            )
        time.sleep(0.05)
    return True


def _clear(home: Home, directory: Path) -> None:
    """Removes what a killed server left: a zombie's pid, or a reused one, would make Postgres refuse."""
    if live_pid(home) is not None:  # only where locks don't work: then Postgres must see its files and judge
        return
    directories, found = {directory}, read_pid_file(home)
    if found is not None and is_private(found.socket_dir, home.root.stat().st_uid):
        directories.add(found.socket_dir)
    sockets = [each / name for each in directories for name in (SOCKET, f"{SOCKET}.lock")]
    for path in (*sockets, home.data / "postmaster.pid"):
        path.unlink(missing_ok=True)


def _not_ready(home: Home, pid: int | None) -> EmbeddedPostgresError:
    return EmbeddedPostgresError(
        f"The embedded Postgres in {home.root} (pid {pid}) is not ready after {READY_TIMEOUT_S:.0f} s, "
        f"and goes on starting. See {home.log}, and try again later."
    )


def _arguments(home: Home, directory: Path) -> list[str | Path]:
    settings = {**_SETTINGS, "unix_socket_directories": f'"{directory}"'}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return ["-D", home.data, "-p", "5432", *options]


def _launch(home: Home, account: Account, command: list[str | Path], lock: int) -> "subprocess.Popen[bytes]":
    """Its own session, so that a Ctrl-C for us is not for the database; its user opens the log, not we."""
    process = subprocess.Popen(  # noqa: S603 - programs that we found, arguments that we made
        ["/bin/sh", "-c", 'exec "$@" </dev/null >>"$0" 2>&1', home.log, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,  # only the shell's, when it can't open the log; the server has no part in it
        cwd="/",
        env=ENVIRONMENT,
        pass_fds=(lock,),
        umask=0o077,
        start_new_session=True,
        **account.options(),
    )
    _children[process.pid] = process
    return process


def _await(process: "subprocess.Popen[bytes]", home: Home, directory: Path, written: int) -> str | None:
    """None as soon as the server takes connections, else what it said before it ended."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while process.poll() is None:
        found = read_pid_file(home)
        if found is not None and found.pid == process.pid and found.ready and probe(directory) == "ready":
            if process.stderr is not None:
                process.stderr.close()
            return None
        if time.monotonic() > deadline:
            raise _not_ready(home, process.pid)
        time.sleep(0.01)
    _children.pop(process.pid, None)
    complaint = process.stderr.read().decode(errors="replace") if process.stderr is not None else ""
    return complaint + _log_since(home, written)


def _log_size(home: Home) -> int:
    """The log's size in bytes; a log that has grown too long is put aside first."""
    try:
        size = home.log.lstat().st_size
    except FileNotFoundError:
        return 0
    if size <= LONGEST_LOG_BYTES:
        return size
    home.log.replace(home.log.with_name("postgres.log.1"))
    return 0


def _log_since(home: Home, written: int) -> str:
    with suppress(OSError), home.log.open("rb") as file:
        file.seek(max(written, file.seek(0, os.SEEK_END) - 65536))
        return file.read().decode(errors="replace")
    return ""


def stop(home: Home) -> bool:
    """Stops the server, ending its sessions (a fast shutdown). False when it did not run.

    Raises:
        EmbeddedPostgresError: `postgres_stop_failed`.
    """
    pid = live_pid(home)
    if pid is None:
        if socket_of(home) is None:
            return False
        raise EmbeddedPostgresError(
            f"The embedded Postgres in {home.root} runs in another container; stop it there.",
            code="postgres_stop_failed",
        )
    _terminate(pid, home)
    return True


def _terminate(pid: int, home: Home) -> None:
    """Fast, and after a minute immediate: that loses nothing either, but the next start has to recover.

    A server that recovers from a crash is let finish: a fast shutdown in that moment hangs (seen with 18.4).
    """
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while _recovering(home) and live_pid(home) == pid and time.monotonic() < deadline:
        time.sleep(0.1)
    for how, seconds in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, PATIENCE_S)):
        if live_pid(home) == pid:
            os.kill(pid, how)
        if _ended(home, seconds):
            return
    raise EmbeddedPostgresError(
        f"The embedded Postgres in {home.root} (pid {pid}) did not stop. See {home.log}; "
        f"end the process with: {shlex.join(['kill', '-9', str(pid)])}, then try again.",
        code="postgres_stop_failed",
    )


def _ended(home: Home, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    with lock_file(home.root / "server.lock") as lock:
        while live_pid(home) is not None or not try_lock(lock):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
    return True
