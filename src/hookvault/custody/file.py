"""A file that appears under its name when all of it is on the disk, and not before."""

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from hookvault.errors import ConflictError, HookvaultError, NotFoundError, SetupError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Draft:
    """FILE.part, mode 0600, until `publish`; leaving the block without it removes what was written.

    Args:
        path: The name it will have.

    Raises:
        ConflictError: code `file_exists`; nothing that exists is written over.
        SetupError: code `disk_full` or `file_unusable`, also of every method.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._part = path, path.with_name(f"{path.name}.part")
        self._published = False
        if path.exists():
            raise _exists(path, "choose another name, or move it away")
        try:
            self._descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise _exists(self._part, "another backup is being written there, or was killed; then remove it") from None
        except OSError as error:
            raise _fault(path, error) from None
        self._file = os.fdopen(self._descriptor, "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a full disk says so again; whoever wrote was told
            self._file.close()
        if not self._published:
            self._part.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Appends."""
        try:
            self._file.write(data)
        except OSError as error:
            raise _fault(self._path, error) from None

    def publish(self) -> int:
        """Makes sure that all of it is on the disk, and gives the file its name; its size in bytes."""
        try:
            self._file.flush()
            os.fsync(self._descriptor)
            size = os.fstat(self._descriptor).st_size
            self._name()
            self._published = True
            if sys.platform != "win32":  # which has no way to open a directory
                _sync(self._path.parent)
        except OSError as error:
            raise _fault(self._path, error) from None
        return size

    def _name(self) -> None:
        try:
            os.link(self._part, self._path)  # unlike a rename it replaces nothing
        except FileExistsError:
            raise _exists(self._path, "choose another name, or move it away") from None
        except OSError:  # some file systems have no links
            self._part.rename(self._path)
        else:
            self._part.unlink()


def opening(path: Path) -> BinaryIO:
    """The file, open to be read.

    Raises:
        NotFoundError: code `file_not_found`.
        SetupError: code `file_unusable`.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, a device has no end
            raise SetupError(f"{path} is not a regular file.", code="file_unusable")
        return path.open("rb")
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {path}.", code="file_not_found") from None
    except OSError as error:
        raise _fault(path, error) from None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exists(path: Path, advice: str) -> ConflictError:
    return ConflictError(f"{path} exists already: {advice}. Nothing was changed.", code="file_exists")


def _fault(path: Path, error: OSError) -> HookvaultError:
    if error.errno in _FULL:
        return SetupError(
            f"There is no room for {path}: {error.strerror}. What was written of it is removed; choose a larger disk.",
            code="disk_full",
        )
    return SetupError(f"{path} can't be used: {error.strerror or error}.", code="file_unusable")
