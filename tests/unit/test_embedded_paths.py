"""The embedded Postgres where no server is needed: where things are looked for and put, what is refused."""

import os
import socket
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hookvault.db import account, binaries, embedded, placement, postmaster
from hookvault.db.account import Account
from hookvault.db.embedded import EmbeddedPostgresError
from hookvault.errors import SetupError

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="only root has to become another user")
SELF = Account(os.geteuid(), os.getegid(), switch=False)


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory with a short path that every user can enter."""
    with tempfile.TemporaryDirectory(prefix="hv-") as name:
        Path(name).chmod(0o755)
        yield Path(name).resolve()


@pytest.fixture
def nothing_installed(base, monkeypatch):
    monkeypatch.setattr(binaries, "PACKAGE", "no_such_package")
    monkeypatch.setattr(binaries, "SYSTEM_INSTALLS", base / "lib")


def _installed(base: Path, *majors: str) -> None:
    for major in majors:
        for name in ("postgres", "initdb"):
            path = base / "lib" / major / "bin" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def _cluster(data_dir: Path, version: str) -> Path:
    """The outline of a cluster, owned by the user that would run it."""
    root = data_dir / "postgres"
    (root / "data").mkdir(parents=True)
    (root / "data" / "PG_VERSION").write_text(version)
    if ROOT:
        owner = account.server_account()
        for path in (root, root / "data", root / "data" / "PG_VERSION"):
            os.chown(path, owner.uid, owner.gid)
    return root


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_another_system_is_refused_in_one_line(base, monkeypatch, platform):
    monkeypatch.setattr(sys, "platform", platform)
    for call in (
        embedded.ensure_running,
        embedded.stop,
        embedded.status,
        embedded.running_url,
        embedded.destroy,
    ):
        with pytest.raises(SetupError, match=r"Linux only; set DATABASE_URL") as caught:
            call(base / "data")
        assert caught.value.code == "postgres_unsupported_system"
        assert "\n" not in caught.value.message


def test_the_wheel_is_found_without_being_imported():
    found = binaries.available()
    assert found[0].package is None or found[0].major == 18
    assert binaries.PACKAGE not in sys.modules


def test_the_newest_system_install_that_is_new_enough_and_complete(base, nothing_installed):
    _installed(base, "14", "15", "16", "9.6", "common")
    (base / "lib" / "17" / "bin").mkdir(parents=True)
    assert [found.major for found in binaries.available()] == [16, 15]
    assert binaries.locate(None).directory == base / "lib" / "16" / "bin"
    assert binaries.locate(15).directory == base / "lib" / "15" / "bin"  # an upgrade keeps the old cluster running


def test_missing_binaries_are_said_and_leave_nothing_behind(base, nothing_installed):
    with pytest.raises(EmbeddedPostgresError, match="DATABASE_URL") as caught:
        embedded.ensure_running(base / "data")
    assert caught.value.code == "postgres_binaries_missing"
    assert {path.name for path in (base / "data").iterdir()} == {"postgres.lock"}


def test_binaries_that_do_not_run_are_said(base, nothing_installed):
    _installed(base, "16")
    with pytest.raises(EmbeddedPostgresError, match=r"don't run here: Permission denied") as caught:
        embedded.ensure_running(base / "data")
    assert caught.value.code == "postgres_binaries_missing"


def test_a_cluster_of_another_version_is_left_alone(base, nothing_installed):
    _installed(base, "15", "16")
    root = _cluster(base, "14\n")
    with pytest.raises(EmbeddedPostgresError, match=r"by PostgreSQL 14.* version 16, 15; .*restore a backup") as caught:
        embedded.ensure_running(base)
    assert caught.value.code == "postgres_version_mismatch"
    assert {path.name for path in (root / "data").iterdir()} == {"PG_VERSION"}
    assert embedded.status(base).version == "14"


@pytest.mark.parametrize("version", ["", "eighteen\n"])
def test_a_damaged_version_file_is_said(base, version):
    _cluster(base, version)
    with pytest.raises(EmbeddedPostgresError, match="PG_VERSION is not a number") as caught:
        embedded.ensure_running(base)
    assert caught.value.code == "data_dir_unusable"


def test_a_directory_that_is_no_cluster_is_left_alone(base):
    root = _cluster(base, "18")
    (root / "data" / "PG_VERSION").unlink()
    with pytest.raises(EmbeddedPostgresError, match="not a database cluster") as caught:
        embedded.ensure_running(base)
    assert caught.value.code == "data_dir_unusable"


def test_a_data_directory_that_is_a_file_is_said(base):
    (base / "data").touch()
    for folder in (base / "data", base / "data" / "below"):
        with pytest.raises(EmbeddedPostgresError, match=str(base / "data")) as caught:
            embedded.ensure_running(folder)
        assert caught.value.code == "data_dir_unusable"


def test_a_new_data_directory_is_closed_to_others(base):
    placement.prepare(base / "deep" / "data")
    assert stat.S_IMODE((base / "deep" / "data").stat().st_mode) == (0o711 if ROOT else 0o700)
    (base / "mine").mkdir(mode=0o750)
    placement.prepare(base / "mine")
    assert stat.S_IMODE((base / "mine").stat().st_mode) == 0o750


@as_root
def test_a_cluster_that_belongs_to_root_is_said(base):
    os.chown(_cluster(base, "18"), 0, 0)
    with pytest.raises(EmbeddedPostgresError, match="chown -R"):
        embedded.ensure_running(base)


@as_root
def test_a_home_closed_since_is_said_and_stays_closed(base):
    _cluster(base, "18")
    base.chmod(0o700)
    with pytest.raises(EmbeddedPostgresError, match="can't enter") as caught:
        embedded.ensure_running(base)
    assert caught.value.code == "data_dir_unusable"
    assert stat.S_IMODE(base.stat().st_mode) == 0o700


@as_root
def test_without_an_unprivileged_user_root_is_told_what_to_do(base, monkeypatch):
    monkeypatch.setattr(account, "CANDIDATES", ("no-such-user", "root"))
    with pytest.raises(EmbeddedPostgresError, match="useradd") as caught:
        embedded.ensure_running(base / "data")
    assert caught.value.code == "postgres_no_unprivileged_user"


def test_a_user_without_an_entry_is_told_what_to_do(base, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 3_999_999)
    with pytest.raises(EmbeddedPostgresError, match=r"3999999.*/etc/passwd") as caught:
        embedded.ensure_running(base)
    assert caught.value.code == "postgres_no_unprivileged_user"


@pytest.mark.parametrize("name", ["d" * 90, "a,b", 'a"b'])
def test_the_short_socket_directory_is_stable_and_must_be_ours(base, monkeypatch, name):
    monkeypatch.setattr(placement, "SHORT_DIR", base)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    root = base / name
    (root / "run-1").mkdir(parents=True)
    short = placement.socket_directory(root, SELF)
    assert short.parent == base
    assert len(os.fsencode(short / placement.SOCKET)) <= placement.LONGEST_SOCKET
    assert stat.S_IMODE(short.stat().st_mode) == 0o700
    assert placement.socket_directory(root, SELF) == short
    short.chmod(0o755)
    with pytest.raises(EmbeddedPostgresError, match="not ours alone"):
        placement.socket_directory(root, SELF)
    short.rmdir()
    short.symlink_to(root)  # somebody else was quicker
    with pytest.raises(EmbeddedPostgresError, match="not ours alone") as caught:
        placement.socket_directory(root, SELF)
    assert caught.value.code == "data_dir_unusable"


@pytest.mark.parametrize(("mode", "taken"), [(0o700, True), (0o777, False)])
def test_a_runtime_directory_is_preferred_when_it_is_private(base, monkeypatch, mode, taken):
    runtime = base / "runtime"
    runtime.mkdir()
    runtime.chmod(mode)
    monkeypatch.setattr(placement, "SHORT_DIR", base)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    root = base / ("d" * 90)
    (root / "run-1").mkdir(parents=True)
    assert placement.socket_directory(root, SELF).parent == (runtime if taken else base)
    placement.forget_sockets(root)
    assert list(runtime.iterdir()) == []


def test_the_longest_path_that_fits_is_used_as_it_is(base):
    spare = placement.LONGEST_SOCKET - len(os.fsencode(base / "run-1" / placement.SOCKET)) - 1
    for length, fits in ((spare, True), (spare + 1, False)):
        root = base / ("d" * length)
        (root / "run-1").mkdir(parents=True)
        assert (placement.socket_directory(root, SELF) == root / "run-1") is fits
        placement.forget_sockets(root)


@given(content=some.binary(max_size=200))
def test_no_pid_file_is_too_damaged_to_be_read(content):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "postgres" / "data").mkdir(parents=True)
        (Path(folder) / "postgres" / "data" / "postmaster.pid").write_bytes(content)
        assert embedded.running_url(Path(folder)) is None
        assert embedded.stop(Path(folder)) is False


REPLIES = {
    b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0": "ready",
    b"E\0\0\0\x1cSFATAL\0C57P03\0Mstarting\0\0": "starting",
    b"E\0\0\0\x1cSFATAL\0C53300\0Mtoo many\0\0": "ready",
    b"": "down",
}


@pytest.mark.parametrize("reply", REPLIES)
def test_the_probe_tells_the_states_apart(base, reply):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(base / placement.SOCKET))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        assert postmaster.probe(base) == REPLIES[reply]
        thread.join(5)
    assert postmaster.probe(base) == "down"


def test_only_one_at_a_time(base):
    with (
        placement.exclusive(base, 1),
        pytest.raises(EmbeddedPostgresError, match=r"postgres\.lock"),
        placement.exclusive(base, 0.05),
    ):
        pytest.fail("two held the lock")
    with placement.exclusive(base, 0.05):
        pass
