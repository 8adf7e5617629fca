"""Making a cluster: initdb under a temporary name, our database in it, one rename: never half a one."""

import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from hookvault.db.account import Account
from hookvault.db.binaries import locate, reachable
from hookvault.db.fault import failed
from hookvault.db.placement import Home, point, sync, write_private

ROLE = DATABASE = "hookvault"
_LOCALES = ("C.UTF-8", "C")  # the second where the C library knows only that one
_DEFAULTS = """
# Chosen by Hookvault when the cluster was made; change them here. What must hold is set on the command line.
max_connections = 200
shared_buffers = 128MB
jit = off
"""


def build(home: Home, account: Account, lock: int) -> None:
    """Makes the cluster of `home`, owned by `account`.

    The programs inherit `lock`: when we are killed half-way, nobody clears up before they have ended too.

    Raises:
        EmbeddedPostgresError: `postgres_binaries_missing`, `disk_full`, `postgres_start_failed`.
        OSError: when our own writes fail.
    """
    staging = home.staging
    with suppress(FileNotFoundError):
        shutil.rmtree(staging)  # left by somebody who was killed half-way
    try:
        _directory(staging, account)
        for name in (f"run-{secrets.token_hex(4)}", "log"):
            _directory(staging / name, account)
        write_private(staging / "password", f"{secrets.token_hex(24)}\n")
        account.own(staging / "password")
        programs = reachable(locate(None), account, staging)
        _initdb(programs, staging, account, lock)
        _create_database(programs, staging, account, lock)
        sync(staging)
        staging.rename(home.root)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)  # on a full disk it would keep the disk full
        raise
    sync(home.root.parent)
    point(home)


def _directory(path: Path, account: Account) -> None:
    path.mkdir()
    path.chmod(0o700)
    account.own(path)


def _initdb(programs: Path, root: Path, account: Account, lock: int) -> None:
    data, password = root / "data", root / "password"
    command: list[str | Path] = [
        programs / "initdb",
        "-D",
        data,
        "-U",
        ROLE,
        "--pwfile",
        password,
        "--auth=scram-sha-256",
    ]
    for locale in _LOCALES:
        done = account.run([*command, "--data-checksums", "-E", "UTF8", f"--locale={locale}"], keep=[lock])
        if done.returncode == 0:
            break
        if "invalid locale" not in done.stderr or locale == _LOCALES[-1]:
            raise failed("Making a new cluster (initdb)", root.parent, done.stderr)
        shutil.rmtree(data, ignore_errors=True)
    with (data / "postgresql.conf").open("a") as file:
        file.write(_DEFAULTS)


def _create_database(programs: Path, root: Path, account: Account, lock: int) -> None:
    """In single-user mode, so that a cluster never exists without its database."""
    command: list[str | Path] = [programs / "postgres", "--single", "-D", root / "data", "postgres"]
    done = account.run(command, text=f"CREATE DATABASE {DATABASE}\n", keep=[lock])
    if done.returncode != 0 or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
        raise failed(f"Creating the database {DATABASE}", root.parent, done.stderr)
