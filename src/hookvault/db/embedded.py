"""The embedded Postgres: a real server with nothing to install, used when DATABASE_URL is not set.

It listens on a Unix socket only, in a directory of mode 0700, and asks for a generated password. It belongs
to no process of ours: it stays until `stop`, and whoever comes next attaches. `placement` lists its files.
"""

import asyncio
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg

from hookvault.db.fault import EmbeddedPostgresError, file_faults, unusable

if sys.platform != "win32":  # these need fork, flock and Unix sockets; `_home` refuses before anything uses them
    from hookvault.db import binaries, cluster, placement, postmaster

__all__ = [
    "EmbeddedPostgresError",
    "EmbeddedStatus",
    "destroy",
    "ensure_running",
    "revive",
    "running_url",
    "status",
    "stop",
]

LOCK_TIMEOUT_S = 330.0  # longer than the longest start, so that the second of two starters only ever attaches


@dataclass(frozen=True, slots=True)
class EmbeddedStatus:
    """How the cluster of a data directory is.

    Attributes:
        running: Whether the server takes connections.
        pid: Of its postmaster, None when it does not run or runs in another container.
        version: The PostgreSQL major version that made the cluster, None while there is none.
        location: Where the cluster lives, or would live.
    """

    running: bool
    pid: int | None
    version: str | None
    location: Path


def ensure_running(data_dir: Path) -> str:
    """Makes the cluster if there is none, starts it unless it runs, and gives the owner's URL for asyncpg.

    About a second for a new cluster, 0.1 s for a stopped one, some milliseconds for a running one. Blocks: an
    event loop calls it through a thread.

    Raises:
        EmbeddedPostgresError: see its codes.
    """
    folder = _folder(data_dir)
    with file_faults(folder):
        url = _running_url(folder)
        if url is not None:
            return url
        placement.prepare(folder)
        with placement.exclusive(folder, LOCK_TIMEOUT_S) as lock:
            return _running_url(folder) or _start(folder, lock)


def running_url(data_dir: Path) -> str | None:
    """The owner's URL if the server takes connections, else None. Starts and changes nothing.

    Raises:
        EmbeddedPostgresError: `data_dir_unusable`, as when the directory belongs to another user.
    """
    folder = _folder(data_dir)
    with file_faults(folder):
        return _running_url(folder)


def status(data_dir: Path) -> EmbeddedStatus:
    """How the cluster is; changes nothing.

    Raises:
        EmbeddedPostgresError: `data_dir_unusable`.
    """
    folder = _folder(data_dir)
    with file_faults(folder):
        home = placement.find(folder)
        major = home.major
        return EmbeddedStatus(
            running=postmaster.socket_of(home) is not None,
            pid=postmaster.live_pid(home),
            version=None if major is None else str(major),
            location=home.root,
        )


def revive(data_dir: Path) -> bool:
    """Starts a server again that was killed; one that was stopped stays so. Whether it had to. Some ms when it runs.

    Raises:
        EmbeddedPostgresError: as `ensure_running`.
    """
    folder = _folder(data_dir)
    with file_faults(folder):
        if not _was_killed(folder):
            return False
        with placement.exclusive(folder, LOCK_TIMEOUT_S) as lock:
            if not _was_killed(folder):  # it was being stopped, or another process was faster
                return False
            _start(folder, lock)
            return True


def stop(data_dir: Path) -> bool:
    """Stops the server, ending its sessions; all that was committed stays. False when it did not run.

    Raises:
        EmbeddedPostgresError: `postgres_stop_failed`, `data_dir_unusable`.
    """
    folder = _folder(data_dir)
    with file_faults(folder):
        if not placement.find(folder).root.is_dir():
            return False
        with placement.exclusive(folder, LOCK_TIMEOUT_S):
            return postmaster.stop(placement.find(folder))


def destroy(data_dir: Path) -> None:
    """Stops the server and removes the cluster with all its data, and nothing else of the data directory.

    Raises:
        EmbeddedPostgresError: `postgres_stop_failed`, `data_dir_unusable`.
    """
    folder = _folder(data_dir)
    with file_faults(folder):
        if not folder.is_dir():
            return
        with placement.exclusive(folder, LOCK_TIMEOUT_S):
            home = placement.find(folder)
            if home.root.is_dir():
                postmaster.stop(home)
                placement.forget_sockets(home.root)
            for tree in (home.root, home.staging):
                with suppress(FileNotFoundError):
                    shutil.rmtree(tree)
            (folder / placement.POINTER).unlink(missing_ok=True)


def _folder(data_dir: Path) -> Path:
    if sys.platform != "linux":
        raise EmbeddedPostgresError(
            "The embedded Postgres runs on Linux only; set DATABASE_URL to a PostgreSQL 15 or newer.",
            code="postgres_unsupported_system",
        )
    with file_faults(data_dir):
        return data_dir.resolve()


def _was_killed(folder: Path) -> bool:
    """Whether a server is gone without having removed its pid file. One that starts or stops is not gone."""
    home = placement.find(folder)
    return postmaster.read_pid_file(home) is not None and postmaster.live_pid(home) is None


def _running_url(folder: Path) -> str | None:
    home = placement.find(folder)
    directory = postmaster.socket_of(home)
    return None if directory is None else _url(home, directory)


def _start(folder: Path, lock: int) -> str:
    home, account = placement.settle(folder)
    if not home.root.is_dir():
        cluster.build(home, account, lock)
    major = home.major
    if major is None:
        raise unusable(home.root, "it is not a database cluster. Move it away, and a new one is made.")
    programs = binaries.reachable(binaries.locate(major), account, home.root)
    postmaster.start(home, account, programs)
    url = _running_url(folder)
    if url is None:
        raise EmbeddedPostgresError(f"The embedded Postgres stopped just after it had started; see {home.log}.")
    _ensure_database(home, url)
    return url


def _url(home: "placement.Home", directory: Path) -> str:
    try:
        password = home.password.read_text().strip()
    except FileNotFoundError:
        reason = "the database's password is gone. Restore the file from a backup of the data directory."
        raise unusable(home.password, reason) from None
    # The port is named, lest PGPORT in somebody's environment choose another socket.
    owner = f"{cluster.ROLE}:{quote(password, safe='')}"
    return f"postgresql://{owner}@/{cluster.DATABASE}?host={quote(os.fsencode(directory))}&port=5432"


def _ensure_database(home: "placement.Home", url: str) -> None:
    """Checks that the password opens the database, and makes the database if somebody has dropped it."""
    with ThreadPoolExecutor(1) as pool:  # a loop of its own, whatever thread we are called on
        try:
            pool.submit(asyncio.run, _check_database(url)).result()
        except asyncpg.InvalidPasswordError:
            reason = "the database refuses this password. Restore the file from a backup of the data directory."
            raise unusable(home.password, reason) from None


async def _check_database(url: str) -> None:
    try:
        connection = await asyncpg.connect(url, timeout=30)
    except asyncpg.InvalidCatalogNameError:
        connection = await asyncpg.connect(url, database="postgres", timeout=30)
        await connection.execute(f"CREATE DATABASE {cluster.DATABASE}")
    await connection.close()
