"""What the tests of the embedded Postgres share: a place, a cluster to copy, another process, a question."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg

from hookvault.db.embedded import destroy, ensure_running, stop

START = "import sys, pathlib; from hookvault.db.embedded import ensure_running as go; "
START += "print(go(pathlib.Path(sys.argv[1])), flush=True); "
LOADED = "import os, encodings.idna, asyncpg.prepared_stmt, asyncio.unix_events, traceback"
SWITCH = "os.setgroups([]); os.setgid({gid}); os.setuid({uid})"


def _folder() -> Path:
    """A directory that root's server user can enter too, which pytest's own temporary ones are not."""
    memory = Path("/dev/shm")  # noqa: S108 - in a directory of our own there
    room = os.statvfs(memory) if memory.is_dir() else None
    roomy = room is not None and os.access(memory, os.W_OK) and room.f_bavail * room.f_frsize > 1 << 30
    folder = Path(tempfile.mkdtemp(prefix="hookvault-test-", dir=memory if roomy else None)).resolve()
    folder.chmod(0o755)
    return folder


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """A folder whose clusters are gone afterwards, whatever happens."""
    path = _folder()
    try:
        yield path
    finally:
        for lock in [*path.rglob("postgres.lock")]:
            destroy(lock.parent)
        shutil.rmtree(path)


@contextlib.contextmanager
def stopped_cluster() -> Iterator[Path]:
    """A data directory with a new cluster that does not run."""
    with place() as path:
        ensure_running(path / "data")
        stop(path / "data")
        yield path / "data"


def copy(template: Path, target: Path) -> Path:
    assert done("cp", "-a", template, target)
    return target


def python(code: str, *args: Path, user: str | None = None) -> "subprocess.Popen[str]":
    """Another process; as another user only after its imports, as that one may not reach the interpreter."""
    if user is not None:
        ids = pwd.getpwnam(user)
        code = code.replace("; print", f"; {LOADED}; {SWITCH.format(gid=ids.pw_gid, uid=ids.pw_uid)}; print", 1)
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
    )


async def ask(url: str, sql: str, **options: str) -> object:
    connection = await asyncpg.connect(url, timeout=10, **options)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def owner(pid: int | None) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def done(*command: str | Path) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
