"""The embedded Postgres, with real servers. A new cluster is dear, so most tests begin with a copy of one."""

import asyncio
import os
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from lab import START, ask, copy, owner, place, python, stopped_cluster, until

from hookvault.db import postmaster
from hookvault.db.embedded import EmbeddedPostgresError, destroy, ensure_running, revive, running_url, status, stop


@pytest.fixture
def base() -> Iterator[Path]:
    with place() as folder:
        yield folder


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    with stopped_cluster() as folder:
        yield folder


@pytest.fixture
def stopped(base: Path, template: Path) -> Path:
    return copy(template, base / "data")


def _modes(root: Path) -> dict[str, int]:
    return {path.name.partition("-")[0]: stat.S_IMODE(path.lstat().st_mode) for path in [root, *root.iterdir()]}


async def test_a_new_cluster_is_private_durable_and_ours(base, monkeypatch):
    monkeypatch.setenv("PGPORT", "1")  # somebody's environment is not for our server, nor for our URL
    monkeypatch.setenv("PGDATA", "/nonexistent")
    assert status(base / "data").version is None
    began = time.monotonic()
    url = await asyncio.to_thread(ensure_running, base / "data")
    assert time.monotonic() - began < 15  # 1 s on a quiet machine
    found = status(base / "data")
    assert (found.running, found.location) == (True, base / "data" / "postgres")
    assert await ask(url, "SELECT current_user || ' ' || current_database()") == "hookvault hookvault"
    assert await ask(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    assert await ask(url, "SELECT datcollate FROM pg_database WHERE datname = 'hookvault'") in {
        "C.UTF-8",
        "C",
    }
    for name, value in {
        "listen_addresses": "", "unix_socket_permissions": "0700", "fsync": "on", "synchronous_commit": "on",
        "data_checksums": "on", "server_encoding": "UTF8", "max_connections": "200", "jit": "off",
        "log_statement": "none", "wal_compression": "off", "password_encryption": "scram-sha-256",
    }.items():  # fmt: skip
        assert await ask(url, f"SHOW {name}") == value, name
    modes = _modes(base / "data" / "postgres")
    assert (modes["postgres"], modes["data"], modes["run"], modes["log"]) == (0o700,) * 4
    assert (modes["password"], modes["server.lock"]) == (0o600, 0o600)
    assert (base / "data" / "postgres" / "log" / "postgres.log").stat().st_mode & 0o077 == 0


def _internet_sockets(pid: int) -> set[str]:
    """The inodes of all TCP and UDP sockets that the process has open."""
    tables = [Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6", "udp", "udp6")]
    known = {f"socket:[{line.split()[9]}]" for table in tables for line in table}
    return known & {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}


async def test_it_runs_in_a_session_of_its_own_without_any_tcp_port(stopped):
    await asyncio.to_thread(ensure_running, stopped)
    pid = status(stopped).pid
    assert pid is not None
    assert os.getsid(pid) == os.getpgid(pid) == pid
    assert owner(pid) != 0
    assert _internet_sockets(pid) == set()


async def test_a_wrong_password_is_refused(stopped):
    url = await asyncio.to_thread(ensure_running, stopped)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(url, "SELECT 1", password="wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(url, "SELECT 1", user="somebody")


async def test_whoever_comes_next_attaches_and_the_death_of_the_starter_matters_to_nobody(stopped):
    starter = python(START + "import time; time.sleep(60)", stopped)
    url = await asyncio.to_thread(starter.stdout.readline)
    starter.kill()
    _, errors = starter.communicate(timeout=10)
    assert errors == ""
    server = status(stopped).pid
    assert ensure_running(stopped) == url.strip() == running_url(stopped)
    assert status(stopped).pid == server is not None
    assert await ask(url.strip(), "SELECT 1") == 1


async def test_two_starters_at_once_get_the_same_server(base):
    starters = [python(START, base / "data") for _ in range(2)]
    answers = [await asyncio.to_thread(starter.communicate, timeout=60) for starter in starters]
    assert [errors for _, errors in answers] == ["", ""]
    urls = {url.strip() for url, _ in answers}
    assert urls == {running_url(base / "data")}
    assert await ask(urls.pop(), "SELECT 1") == 1


async def test_a_killed_postmaster_is_followed_by_another_with_all_that_was_committed(stopped):
    url = await asyncio.to_thread(ensure_running, stopped)
    await ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    former = status(stopped).pid
    os.kill(former, signal.SIGKILL)
    assert await asyncio.to_thread(ensure_running, stopped) == url
    assert status(stopped).pid != former
    assert await ask(url, "SELECT answer FROM kept") == 42


async def test_a_zombie_is_no_server(stopped):
    parent = python(START + "import time; time.sleep(60)", stopped)  # its dead child stays a zombie
    url = (await asyncio.to_thread(parent.stdout.readline)).strip()
    pid = status(stopped).pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    assert status(stopped).running is False
    assert await asyncio.to_thread(ensure_running, stopped) == url
    assert await ask(url, "SELECT 1") == 1
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
    other = python("import time; time.sleep(60)")
    root = stopped / "postgres"
    run = next(root.glob("run-*"))
    (root / "data" / "postmaster.pid").write_text(f"{other.pid}\n{root / 'data'}\n1\n5432\n{run}\n\n1 1\nready   \n")
    (run / ".s.PGSQL.5432").touch()
    (run / ".s.PGSQL.5432.lock").write_text(f"{other.pid}\n")
    assert running_url(stopped) is None
    assert stop(stopped) is False
    assert other.poll() is None
    url = await asyncio.to_thread(ensure_running, stopped)
    assert await ask(url, "SELECT 1") == 1
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
    os.kill(former, signal.SIGQUIT)  # what it does to itself within a minute, removing its socket by path
    until(lambda: postmaster._children[former].poll() is not None)
    assert running_url(stopped) == url
    assert await ask(url, "SELECT 1") == 1


async def test_what_a_killed_initdb_left_is_made_anew(base):
    starter = python(START, base / "data")
    made = base / "data" / "postgres.new" / "data" / "PG_VERSION"
    until(made.exists, 30)
    starter.kill()
    starter.communicate(timeout=10)
    assert not (base / "data" / "postgres").exists()
    url = await asyncio.to_thread(ensure_running, base / "data")
    assert not (base / "data" / "postgres.new").exists()
    assert await ask(url, "SELECT 1") == 1


async def test_a_dropped_database_is_made_again(stopped):
    url = await asyncio.to_thread(ensure_running, stopped)
    await ask(url, "DROP DATABASE hookvault", database="postgres")
    assert stop(stopped) is True
    url = await asyncio.to_thread(ensure_running, stopped)
    assert await ask(url, "SELECT current_database()") == "hookvault"


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
    until(lambda: "signal 9" in (stopped / "postgres/log/postgres.log").read_text())
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
    with pytest.raises(EmbeddedPostgresError, match=r"shared_buffers.*nonsense") as caught:
        await asyncio.to_thread(ensure_running, stopped)
    assert caught.value.code == "postgres_start_failed"
    assert "DATABASE_URL" in caught.value.message


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


def test_a_killed_server_is_revived_where_it_was_and_a_stopped_one_is_not(stopped: Path) -> None:
    url = ensure_running(stopped)
    try:
        assert not revive(stopped)
        os.kill(status(stopped).pid, signal.SIGKILL)
        until(lambda: not status(stopped).running)
        assert revive(stopped)
        assert status(stopped).running
        assert running_url(stopped) == url  # whoever is connected finds it again
        assert stop(stopped)
        assert not revive(stopped)
        assert not status(stopped).running
    finally:
        destroy(stopped)
