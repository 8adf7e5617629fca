"""Where a cluster lives: in the data directory, or in /var/lib/hookvault where root's server user needs it.

    <data_dir>/postgres.lock         held while somebody makes, starts or stops the cluster
    <data_dir>/postgres.location     only when the cluster lives elsewhere: its path
    <data_dir>/postgres/  0700       data/  password  run-*/ (socket)  log/  server.lock  binaries/ (copied)

No directory above these is ever changed: what is closed stays closed.
"""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hookvault.db.account import Account, owner_account, server_account
from hookvault.db.fault import EmbeddedPostgresError, unusable

SYSTEM_DIR = Path("/var/lib/hookvault")
SHORT_DIR = Path("/tmp")  # noqa: S108 - a directory there is taken only when it is ours, 0700 and no symlink
POINTER = "postgres.location"
SOCKET = ".s.PGSQL.5432"
LONGEST_SOCKET = 107  # sun_path has 108 bytes, the last is NUL
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNSAFE = re.compile(
    r'[,"\\\x00-\x1f\x7f\ud800-\udfff]'
)  # would break a URL, a list of hosts, or a list of directories
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Home:
    """The files of one cluster, whose complete tree is `root` and whose half-made one is `staging`."""

    data_dir: Path
    root: Path
    staging: Path

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.root / "data"

    @property
    def password(self) -> Path:
        """The owner's password, one line."""
        return self.root / "password"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.root / "log" / "postgres.log"

    @property
    def major(self) -> int | None:
        """The major version that made the cluster; None while there is none."""
        try:
            return int((self.data / "PG_VERSION").read_text().strip())
        except FileNotFoundError:
            return None
        except ValueError:
            reason = "its PG_VERSION is not a number. Restore the cluster from a backup, or move it away."
            raise unusable(self.data, reason) from None


def find(data_dir: Path) -> Home:
    """The home that `data_dir` has now, or would have by default. Changes nothing."""
    try:
        root = Path((data_dir / POINTER).read_text().strip())
    except FileNotFoundError:
        return Home(data_dir, data_dir / "postgres", data_dir / "postgres.new")
    if not root.is_absolute():
        raise unusable(data_dir / POINTER, "it must hold the absolute path of the cluster.")
    return Home(data_dir, root, root.with_name(f"{root.name}.new"))


def settle(data_dir: Path) -> tuple[Home, Account]:
    """The home of the cluster, made or yet to be made, and the user that runs it.

    Raises:
        EmbeddedPostgresError: `data_dir_unusable`, `postgres_no_unprivileged_user`.
    """
    home = find(data_dir)
    if home.root.is_dir():
        return home, owner_account(home.root)
    if (data_dir / POINTER).exists():
        reason = f"{POINTER} in {data_dir} says that the cluster is there, and it is gone. "
        advice = f"Restore it; or, to begin with an empty database, remove {data_dir / POINTER}."
        raise unusable(home.root, reason + advice)
    account = server_account()
    if not account.switch or account.can_enter(data_dir):
        return home, account
    return _elsewhere(data_dir), account


def _elsewhere(data_dir: Path) -> Home:
    """A home never used before: somebody who removed a data directory does not want its database again."""
    if not SYSTEM_DIR.is_dir():
        SYSTEM_DIR.mkdir()
        SYSTEM_DIR.chmod(0o711)
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Home(data_dir, SYSTEM_DIR / f"{name}-{secrets.token_hex(4)}", SYSTEM_DIR / f"{name}.new")


def point(home: Home) -> None:
    """Leaves the pointer in the data directory, when the cluster lives elsewhere."""
    if home.root.parent == home.data_dir:
        return
    write_private(home.data_dir / f"{POINTER}.new", f"{home.root}\n")
    (home.data_dir / f"{POINTER}.new").replace(home.data_dir / POINTER)
    sync(home.data_dir)


def prepare(data_dir: Path) -> None:
    """Makes the data directory if absent: 0700, for root 0711, so that the server's user can pass."""
    if _CONTROL.search(str(data_dir)):  # postmaster.pid holds it as one line
        raise unusable(repr(str(data_dir)), "its name holds control characters. Choose another HOOKVAULT_DATA_DIR.")
    if not data_dir.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
    elif not data_dir.is_dir():
        raise unusable(data_dir, "it is not a directory. Choose another HOOKVAULT_DATA_DIR.")


def socket_directory(root: Path, account: Account) -> Path:
    """Where the socket goes: `run-*` in the cluster's root, or a short directory where that is too long.

    Its name is the cluster's own: a server whose data directory was removed under it removes its socket by
    path as it ends, up to a minute later, and must not take away a new cluster's in the same place.

    Raises:
        EmbeddedPostgresError: `data_dir_unusable` when somebody else sits on the short directory's name.
    """
    local = next(root.glob("run-*"), root / "run-")
    if not local.is_dir():  # a backup may leave out an empty directory
        local.mkdir(mode=0o700)
        account.own(local)
    if len(os.fsencode(local / SOCKET)) <= LONGEST_SOCKET and not _UNSAFE.search(str(local)):
        return local
    short = _short_parent(account) / _short_name(local, account.uid)
    try:
        short.mkdir(mode=0o700)
        account.own(short)
    except FileExistsError:
        pass
    if not is_private(short, account.uid):
        reason = f"a socket directory of that name is not ours alone. Remove it, or shorten {root}."
        raise unusable(short, reason)
    return short


def forget_sockets(root: Path) -> None:
    """Removes the short socket directories of the cluster at `root`, wherever a start may have put one."""
    uid, local = root.stat().st_uid, next(root.glob("run-*"), root / "run-")
    for parent in (SHORT_DIR, Path(os.environ.get("XDG_RUNTIME_DIR") or SHORT_DIR)):
        directory = parent / _short_name(local, uid)
        if is_private(directory, uid):
            shutil.rmtree(directory, ignore_errors=True)


def _short_name(local: Path, uid: int) -> str:
    return f"hookvault-{uid}-{hashlib.sha256(os.fsencode(local)).hexdigest()[:12]}"


def _short_parent(account: Account) -> Path:
    """The user's own runtime directory where there is a fit one, else the one for temporary files."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    own = not account.switch and runtime.startswith("/") and is_private(Path(runtime), account.uid)
    fits = len(os.fsencode(runtime)) <= 50 and not _UNSAFE.search(runtime)  # the rest needs at most 54 bytes
    return Path(runtime) if own and fits else SHORT_DIR


def is_private(directory: Path, uid: int) -> bool:
    """Whether it is a real directory of user `uid`, closed to everybody else."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and stat.S_IMODE(found.st_mode) & 0o077 == 0


def write_private(path: Path, text: str) -> None:
    """Writes a file of mode 0600, on disk when this returns; one that is already there is replaced."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync(directory: Path) -> None:
    """Puts a directory's entries on disk, so that a rename in it outlives a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def lock_file(path: Path) -> Iterator[int]:
    """A descriptor of the lock file at `path`, for `try_lock`. Children that inherit it share the lock."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Takes the lock unless another holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive(data_dir: Path, timeout_s: float) -> Iterator[int]:
    """Only one process at a time makes, starts or stops the cluster of `data_dir`.

    Raises:
        EmbeddedPostgresError: `postgres_start_failed` when another holds the lock for `timeout_s` seconds.
    """
    path = data_dir / "postgres.lock"
    with lock_file(path) as descriptor:
        deadline = time.monotonic() + timeout_s
        while not try_lock(descriptor):
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"Another process has held {path} for {timeout_s:.0f} s, to start or stop the embedded "
                    "Postgres. Wait for it or end it, then try again."
                )
            time.sleep(_POLL_S)
        yield descriptor
