"""The embedded Postgres, with real servers. Cold starts are dear, so most tests begin with a copy of one stopped cluster."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from hookvault.db import account, binaries, placement, postmaster
from hookvault.db.embedded import EmbeddedPostgresError, destroy, ensure_running, running_url, status, stop

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="only root can become another user, or mount a file system")
START = "import sys, pathlib; from hookvault.db.embedded import ensure_running as go; "
START += "print(go(pathlib.Path(sys.argv[1])), flush=True); "


def _folder() -> Path:
    """A directory that root's server user can enter too, which pytest's own temporary ones are not."""
    folder = Path(tempfile.mkdtemp(prefix="hookvault-test-")).resolve()
    folder.chmod(0o755)
    return folder


@pytest.fixture
def base() -> Iterator[Path]:
    folder = _folder()
    yield folder
    for pointer_or_root in [*folder.rglob("postgres.lock")]:
        destroy(pointer_or_root.parent)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    folder = _folder()
    try:
        ensure_running(folder / "data")
        stop(folder / "data")
        yield folder / "data"
    finally:
        destroy(folder / "data")
        shutil.rmtree(folder)


def _copy(template: Path, target: Path) -> Path:
    subprocess.run(["/bin/cp", "-a", template, target], check=True)  # noqa: S603 - our own paths
    return target


@pytest.fixture
def stopped(base: Path, template: Path) -> Path:
    return _copy(template, base / "data")


def _python(code: str, *args: Path, user: str | None = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603 - this interpreter, code from this file
        [sys.executable, "-c", code, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        user=user,
        group=None if user is None else pwd.getpwnam(user).pw_gid,
        extra_groups=None if user is None else [],
    )


async def _ask(url: str, sql: str, **options: str) -> object:
    connection = await asyncpg.connect(url, timeout=10, **options)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def _until(condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def _modes(root: Path) -> dict[str, int]:
    return {
        path.name.partition("-")[0]: stat.S_IMODE(path.lstat().st_mode) for path in [root, *root.iterdir()]
    }


async def test_a_new_cluster_is_private_durable_and_ours(base, monkeypatch):
    monkeypatch.setenv("PGPORT", "1")  # somebody's environment is not for our server, nor for our URL
    monkeypatch.setenv("PGDATA", "/nonexistent")
    assert status(base / "data").version is None
    began = time.monotonic()
    url = await asyncio.to_thread(ensure_running, base / "data")
    assert time.monotonic() - began < 15  # 1 s on a quiet machine
    found = status(base / "data")
    assert (found.running, found.location) == (True, base / "data" / "postgres")
    assert await _ask(url, "SELECT current_user || ' ' || current_database()") == "hookvault hookvault"
    assert await _ask(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    assert await _ask(url, "SELECT datcollate FROM pg_database WHERE datname = 'hookvault'") in {
        "C.UTF-8",
        "C",
    }
    for name, value in {
        "listen_addresses": "", "unix_socket_permissions": "0700", "fsync": "on", "synchronous_commit": "on",
        "data_checksums": "on", "server_encoding": "UTF8", "max_connections": "100", "jit": "off",
        "log_statement": "none", "wal_compression": "pglz", "password_encryption": "scram-sha-256",
    }.items():  # fmt: skip
        assert await _ask(url, f"SHOW {name}") == value, name  # noqa: S608 - names from above
    modes = _modes(base / "data" / "postgres")
    assert (modes["postgres"], modes["data"], modes["run"], modes["log"]) == (0o700,) * 4
    assert (modes["password"], modes["server.lock"]) == (0o600, 0o600)
    assert (base / "data" / "postgres" / "log" / "postgres.log").stat().st_mode & 0o077 == 0


async def test_it_runs_in_a_session_of_its_own_without_any_tcp_port(stopped):
    await asyncio.to_thread(ensure_running, stopped)
    pid = status(stopped).pid
    assert pid is not None
    assert os.getsid(pid) == os.getpgid(pid) == pid
    assert Path(f"/proc/{pid}").stat().st_uid != 0
    sockets = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            assert f"socket:[{line.split()[9]}]" not in sockets


async def test_a_wrong_password_is_refused(stopped):
    url = await asyncio.to_thread(ensure_running, stopped)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await _ask(url, "SELECT 1", password="wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await _ask(url, "SELECT 1", user="somebody")


async def test_whoever_comes_next_attaches_and_the_death_of_the_starter_matters_to_nobody(stopped):
    starter = _python(START + "import time; time.sleep(60)", stopped)
    url = await asyncio.to_thread(starter.stdout.readline)
    starter.kill()
    _, errors = starter.communicate(timeout=10)
    assert errors == ""
    began = time.monotonic()
    assert ensure_running(stopped) == url.strip() == running_url(stopped)
    assert time.monotonic() - began < 0.5  # 3 ms on a quiet machine
    assert await _ask(url.strip(), "SELECT 1") == 1


async def test_two_starters_at_once_get_the_same_server(base):
    starters = [_python(START, base / "data") for _ in range(2)]
    answers = [await asyncio.to_thread(starter.communicate, timeout=60) for starter in starters]
    assert [errors for _, errors in answers] == ["", ""]
    urls = {url.strip() for url, _ in answers}
    assert urls == {running_url(base / "data")}
    assert await _ask(urls.pop(), "SELECT 1") == 1


async def test_a_killed_postmaster_is_followed_by_another_with_all_that_was_committed(stopped):
    url = await asyncio.to_thread(ensure_running, stopped)
    await _ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    former = status(stopped).pid
    os.kill(former, signal.SIGKILL)
    assert await asyncio.to_thread(ensure_running, stopped) == url
    assert status(stopped).pid != former
    assert await _ask(url, "SELECT answer FROM kept") == 42


async def test_a_zombie_is_no_server(stopped):
    parent = _python(START + "import time; time.sleep(60)", stopped)  # its dead child stays a zombie
    url = (await asyncio.to_thread(parent.stdout.readline)).strip()
    pid = status(stopped).pid
    os.kill(pid, signal.SIGKILL)
    _until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    assert status(stopped).running is False
    assert await asyncio.to_thread(ensure_running, stopped) == url
    assert await _ask(url, "SELECT 1") == 1
    parent.kill()
    parent.communicate(timeout=10)


async def test_backends_that_outlive_their_postmaster_are_waited_for(stopped):
    url = await asyncio.to_thread(ensure_running, stopped)
    connection = await asyncpg.connect(url)
    backend = connection.get_server_pid()
    os.kill(backend, signal.SIGSTOP)
    try:
        os.kill(status(stopped).pid, signal.SIGKILL)
        again = asyncio.create_task(asyncio.to_thread(ensure_running, stopped))
        await asyncio.sleep(0.5)
        assert not again.done()  # two servers on one directory would destroy it
    finally:
        os.kill(backend, signal.SIGCONT)
    assert await asyncio.wait_for(again, 15) == url
    connection.terminate()


async def test_a_pid_file_that_names_another_process_is_stale(stopped):
    other = _python("import time; time.sleep(60)")
    root = stopped / "postgres"
    run = next(root.glob("run-*"))
    (root / "data" / "postmaster.pid").write_text(
        f"{other.pid}\n{root / 'data'}\n1\n5432\n{run}\n\n1 1\nready   \n"
    )
    (run / ".s.PGSQL.5432").touch()
    (run / ".s.PGSQL.5432.lock").write_text(f"{other.pid}\n")
    assert running_url(stopped) is None
    assert stop(stopped) is False
    assert other.poll() is None
    url = await asyncio.to_thread(ensure_running, stopped)
    assert await _ask(url, "SELECT 1") == 1
    other.kill()
    other.communicate(timeout=10)


async def test_a_server_whose_socket_is_gone_is_replaced(stopped, monkeypatch):
    url = await asyncio.to_thread(ensure_running, stopped)
    former = status(stopped).pid
    next((stopped / "postgres").glob("run-*/.s.PGSQL.5432")).unlink()
    monkeypatch.setattr(postmaster, "PATIENCE_S", 0.2)
    assert await asyncio.to_thread(ensure_running, stopped) == url
    assert status(stopped).pid != former


async def test_a_data_directory_removed_under_its_server_gives_a_new_database(stopped, template):
    former_url = await asyncio.to_thread(ensure_running, stopped)
    former = status(stopped).pid
    shutil.rmtree(stopped)
    url = await asyncio.to_thread(ensure_running, stopped)
    assert url != former_url
    os.kill(former, signal.SIGINT)  # as it would do by itself within a minute, removing its socket by path
    _until(lambda: postmaster._children[former].poll() is not None)
    assert running_url(stopped) == url
    assert await _ask(url, "SELECT 1") == 1


async def test_what_a_killed_initdb_left_is_made_anew(base):
    starter = _python(START, base / "data")
    _until(lambda: (base / "data" / "postgres.new" / "data" / "PG_VERSION").exists(), 30)
    starter.kill()
    starter.communicate(timeout=10)
    assert not (base / "data" / "postgres").exists()
    url = await asyncio.to_thread(ensure_running, base / "data")
    assert not (base / "data" / "postgres.new").exists()
    assert await _ask(url, "SELECT 1") == 1


async def test_a_dropped_database_is_made_again(stopped):
    url = await asyncio.to_thread(ensure_running, stopped)
    await _ask(url, "DROP DATABASE hookvault", database="postgres")
    assert stop(stopped) is True
    url = await asyncio.to_thread(ensure_running, stopped)
    assert await _ask(url, "SELECT current_database()") == "hookvault"


async def test_stop_and_destroy(stopped):
    assert stop(stopped / "nowhere") is False
    assert not (stopped / "nowhere").exists()
    assert stop(stopped) is False
    url = await asyncio.to_thread(ensure_running, stopped)
    connection = await asyncpg.connect(url)  # an open session does not hold up a fast shutdown
    assert stop(stopped) is True
    assert (status(stopped).running, status(stopped).pid) == (False, None)
    assert int(status(stopped).version) >= 15
    connection.terminate()
    await asyncio.to_thread(ensure_running, stopped)
    (stopped / "encryption.key").touch()
    destroy(stopped)
    assert running_url(stopped) is None
    assert {path.name for path in stopped.iterdir()} == {"encryption.key", "postgres.lock"}


async def test_no_statement_and_no_value_reaches_the_log(stopped):
    url = await asyncio.to_thread(ensure_running, stopped)
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE once (word text PRIMARY KEY, number int CHECK (number > 0))")
    await connection.execute("INSERT INTO once VALUES ('canary', 1)")
    for statement in (
        "INSERT INTO once VALUES ('canary', 1)",
        "INSERT INTO once VALUES ('canary two', -1)",
        "SELECT 'canary'::int",
        "SELEKT 'canary'",
        "DO $$ BEGIN RAISE WARNING 'canary'; END $$",
    ):
        try:
            await connection.execute(statement)
        except asyncpg.PostgresError:
            continue
    with pytest.raises(asyncpg.DataError):
        await connection.execute("SELECT $1::text::int", "canary")
    os.kill(connection.get_server_pid(), signal.SIGKILL)  # the server tells what a crashed backend was doing
    _until(lambda: "signal 9" in (stopped / "postgres/log/postgres.log").read_text())
    connection.terminate()
    assert "canary" not in (stopped / "postgres/log/postgres.log").read_text()


async def test_a_long_log_is_put_aside_at_the_start(stopped):
    log = stopped / "postgres" / "log" / "postgres.log"
    os.truncate(log, postmaster.LONGEST_LOG_BYTES + 1)
    await asyncio.to_thread(ensure_running, stopped)
    assert log.stat().st_size < 10_000
    assert log.with_name("postgres.log.1").exists()


async def test_a_failed_start_shows_what_the_server_said(stopped):
    with (stopped / "postgres/data/postgresql.conf").open("a") as file:
        file.write("shared_buffers = nonsense\n")
    with pytest.raises(EmbeddedPostgresError, match="shared_buffers.*nonsense") as caught:
        await asyncio.to_thread(ensure_running, stopped)
    assert caught.value.code == "postgres_start_failed"
    assert "DATABASE_URL" in caught.value.message


async def test_a_cluster_of_another_version_is_left_alone(stopped):
    (stopped / "postgres/data/PG_VERSION").write_text("14\n")
    with pytest.raises(EmbeddedPostgresError, match=r"PostgreSQL 14.*version 18") as caught:
        await asyncio.to_thread(ensure_running, stopped)
    assert caught.value.code == "postgres_version_mismatch"


async def test_a_lost_or_changed_password_is_said(stopped):
    password = stopped / "postgres" / "password"
    original = password.read_text()
    password.write_text("other\n")
    with pytest.raises(EmbeddedPostgresError, match="refuses this password"):
        await asyncio.to_thread(ensure_running, stopped)
    password.unlink()
    with pytest.raises(EmbeddedPostgresError, match="password is gone") as caught:
        await asyncio.to_thread(ensure_running, stopped)
    assert caught.value.code == "data_dir_unusable"
    assert original.strip() not in caught.value.message


@pytest.mark.parametrize("name", ["d" * 110, "a,b"])
async def test_a_path_unfit_for_a_socket_has_it_in_a_short_private_directory(
    base, template, name, monkeypatch
):
    monkeypatch.setattr(placement, "SHORT_DIR", base)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    folder = _copy(template, base / name)
    url = await asyncio.to_thread(ensure_running, folder)
    assert await _ask(url, "SELECT 1") == 1
    short = placement.find(folder)
    directory = postmaster.socket_of(short)
    assert directory.parent == base
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    stop(folder)
    directory.rmdir()
    directory.symlink_to(base)  # somebody else was quicker
    with pytest.raises(EmbeddedPostgresError, match="not ours alone"):
        await asyncio.to_thread(ensure_running, folder)
    directory.unlink()
    assert await asyncio.to_thread(ensure_running, folder) == url
    destroy(folder)
    assert not directory.exists()


def _linked_package(site: Path) -> None:
    """The wheel's programs as they would be in somebody's closed home; hard links, since nobody writes to them."""
    package = binaries.available()[0].package
    if package is None:
        pytest.skip("the wheel with the Postgres programs is not installed")
    install = binaries.PACKAGE_INSTALL
    site.mkdir(parents=True)
    try:
        shutil.copytree(package / install, site / package.name / install, copy_function=os.link)
        shutil.copytree(f"{package}.libs", site / f"{package.name}.libs", copy_function=os.link)
    except OSError:
        pytest.skip("temporary files are on another file system than the wheel")
    (site / package.name / "__init__.py").touch()


@as_root
async def test_root_with_everything_in_a_closed_home(base, monkeypatch):
    home, system = base / "home", base / "system"
    home.mkdir(mode=0o700)
    _linked_package(home / "site")
    monkeypatch.syspath_prepend(str(home / "site"))
    monkeypatch.setattr(placement, "SYSTEM_DIR", system)
    url = await asyncio.to_thread(ensure_running, home / "data")
    assert await _ask(url, "SELECT 1") == 1
    found = status(home / "data")
    assert found.location.parent == system
    assert (home / "data" / "postgres.location").read_text().strip() == str(found.location)
    programs = [path for path in found.location.rglob("bin/postgres") if path.is_file()]
    assert len(programs) == 1
    assert next(programs[0].parents[2].parent.glob("*.libs")).is_dir()
    assert (stat.S_IMODE(home.stat().st_mode), stat.S_IMODE(base.stat().st_mode)) == (0o700, 0o755)
    assert stat.S_IMODE(found.location.stat().st_mode) == 0o700
    assert stop(home / "data")
    assert await asyncio.to_thread(ensure_running, home / "data") == url
    shutil.copytree(home / "data", home / "moved")
    assert running_url(home / "moved") == url
    destroy(home / "data")
    assert list(system.iterdir()) == []
    with pytest.raises(EmbeddedPostgresError, match="it is gone") as caught:
        await asyncio.to_thread(ensure_running, home / "moved")
    assert caught.value.code == "data_dir_unusable"


@as_root
async def test_an_ordinary_user_and_root_on_the_same_cluster(base):
    os.chown(base, pwd.getpwnam("nobody").pw_uid, -1)
    probe = _python("import hookvault.db.embedded", user="nobody")
    if probe.wait(20) != 0:
        pytest.skip("an ordinary user can't read this checkout")
    user = _python(START, base / "data", user="nobody")
    url, errors = await asyncio.to_thread(user.communicate, timeout=60)
    assert errors == ""
    assert await _ask(url.strip(), "SELECT 1") == 1
    assert stat.S_IMODE((base / "data").stat().st_mode) == 0o700
    stop(base / "data")
    assert await asyncio.to_thread(ensure_running, base / "data") == url.strip()  # root runs it as its owner
    assert Path(f"/proc/{status(base / 'data').pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    other = _python(START, base / "data", user="daemon")
    _, errors = await asyncio.to_thread(other.communicate, timeout=60)
    assert "data_dir_unusable" in errors or "can't use" in errors


@as_root
async def test_a_full_disk_is_said(base, template):
    small = base / "small"
    small.mkdir()
    mount = ["/bin/mount", "-t", "tmpfs", "-o", "size=100m,mode=755", "tmpfs", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:  # noqa: S603 - our own paths
        pytest.skip("this root may not mount")
    try:
        filler = small / "filler"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 85 << 20)
        with pytest.raises(EmbeddedPostgresError, match=str(small)) as caught:
            await asyncio.to_thread(ensure_running, small / "new")
        assert caught.value.code == "disk_full"
        assert not (small / "new" / "postgres.new").exists()
        filler.unlink()
        _copy(template, small / "old")
        with filler.open("wb") as file:
            while True:
                try:
                    file.write(b"0" * 4096)
                    file.flush()
                except OSError:
                    break
        with pytest.raises(EmbeddedPostgresError, match=str(small)) as caught:
            await asyncio.to_thread(ensure_running, small / "old")
        assert caught.value.code == "disk_full"
        filler.unlink()
        url = await asyncio.to_thread(ensure_running, small / "old")
        assert await _ask(url, "SELECT 1") == 1
    finally:
        destroy(small / "old")
        subprocess.run(["/bin/umount", small], check=True)  # noqa: S603 - our own paths


async def test_without_an_unprivileged_user_root_is_told_what_to_do(base, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(account, "CANDIDATES", ("no-such-user",))
    with pytest.raises(EmbeddedPostgresError, match="useradd") as caught:
        await asyncio.to_thread(ensure_running, base / "data")
    assert caught.value.code == "postgres_no_unprivileged_user"
