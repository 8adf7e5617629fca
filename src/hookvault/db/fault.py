"""What can go wrong with the embedded Postgres, in words that say where and what to do next."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from hookvault.errors import SetupError

ALTERNATIVE = "or set DATABASE_URL to a PostgreSQL of your own"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FULL_TEXTS = ("No space left on device", "Disk quota exceeded")
_LEAST_FREE_BYTES = 1 << 20


class EmbeddedPostgresError(SetupError):
    """The embedded Postgres can't be made, started or stopped.

    Codes: `postgres_binaries_missing`, `postgres_version_mismatch`, `disk_full`, `postgres_start_failed`,
    `postgres_stop_failed`, `postgres_no_unprivileged_user`, `data_dir_unusable`,
    `postgres_unsupported_system`.
    """

    default_code: ClassVar[str] = "postgres_start_failed"


def disk_full(path: Path) -> EmbeddedPostgresError:
    """The error of a file system without room for the database at `path`."""
    return EmbeddedPostgresError(
        f"The disk is full: the embedded Postgres can't write below {path}. "
        f"Free some space there, point HOOKVAULT_DATA_DIR at a larger disk, {ALTERNATIVE}.",
        code="disk_full",
    )


def unusable(path: Path | str, reason: str) -> EmbeddedPostgresError:
    """The error of a file or directory that can't serve; `reason` says why and what to do."""
    return EmbeddedPostgresError(f"The embedded Postgres can't use {path}: {reason}", code="data_dir_unusable")


def failed(what: str, path: Path, output: str) -> EmbeddedPostgresError:
    """The error of a Postgres program that failed; the last lines of its `output` are shown.

    `disk_full` when the output says so, or the file system of `path`: a server that can't log is mute.
    """
    if any(text in output for text in _FULL_TEXTS) or _is_full(path):
        return disk_full(path)
    lines = [line for line in output.splitlines() if line.strip()][-12:]
    shown = "".join(f"\n  {line}" for line in lines) or " It said nothing."
    return EmbeddedPostgresError(f"{what} in {path} failed. Mend what it says, {ALTERNATIVE}.{shown}")


@contextmanager
def file_faults(path: Path) -> Iterator[None]:
    """Turns an OSError into `disk_full` or `data_dir_unusable`, naming the file it came from, else `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full(path) from error
        place = error.filename if isinstance(error.filename, str) else path
        reason = error.strerror or str(error)
        advice = "Make it usable by this user, choose another HOOKVAULT_DATA_DIR"
        raise unusable(place, f"{reason}. {advice}, {ALTERNATIVE}.") from error


def _is_full(path: Path) -> bool:
    try:
        room = os.statvfs(path)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < _LEAST_FREE_BYTES
