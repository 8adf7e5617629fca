"""The embedded Postgres in awkward places: long paths, closed homes, other users' clusters, full disks."""

import asyncio
import contextlib
import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import START, ask, copy, done, owner, place, python, stopped_cluster

from hookvault.db import binaries, placement, postmaster
from hookvault.db.embedded import EmbeddedPostgresError, destroy, ensure_running, running_url, status, stop

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user, or mount a file system")


@pytest.fixture
def base() -> Iterator[Path]:
    with place() as folder:
        yield folder


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    with stopped_cluster() as folder:
        yield folder


@pytest.mark.parametrize("name", ["d" * 110, "a,b"])
async def test_a_path_unfit_for_a_socket_has_it_in_a_short_private_directory(base, template, name, monkeypatch):
    monkeypatch.setattr(placement, "SHORT_DIR", base)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    folder = copy(template, base / name)
    url = await asyncio.to_thread(ensure_running, folder)
    assert await ask(url, "SELECT 1") == 1
    short = placement.find(folder)
    directory = postmaster.socket_of(short)
    assert directory.parent == base
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    stop(folder)
    directory.rmdir()
    assert await asyncio.to_thread(ensure_running, folder) == url
    destroy(folder)
    assert not directory.exists()


def _closed_package(site: Path) -> None:
    """The wheel's programs as they would be in somebody's closed home."""
    package = binaries.available()[0].package
    if package is None:
        pytest.skip("the wheel with the Postgres programs is not installed")
    install = binaries.PACKAGE_INSTALL
    shutil.copytree(package / install, site / package.name / install)
    shutil.copytree(f"{package}.libs", site / f"{package.name}.libs")
    (site / package.name / "__init__.py").touch()


@as_root
async def test_root_with_everything_in_a_closed_home(base, monkeypatch):
    home, system = base / "home", base / "system"
    home.mkdir(mode=0o700)
    _closed_package(home / "site")
    monkeypatch.syspath_prepend(str(home / "site"))
    monkeypatch.setattr(placement, "SYSTEM_DIR", system)
    url = await asyncio.to_thread(ensure_running, home / "data")
    assert await ask(url, "SELECT 1") == 1
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
    user = python(START, base / "data", user="nobody")
    url, errors = await asyncio.to_thread(user.communicate, timeout=60)
    assert errors == ""
    assert await ask(url.strip(), "SELECT 1") == 1
    assert stat.S_IMODE((base / "data").stat().st_mode) == 0o700
    stop(base / "data")
    assert await asyncio.to_thread(ensure_running, base / "data") == url.strip()  # root runs it as its owner
    assert owner(status(base / "data").pid) == pwd.getpwnam("nobody").pw_uid
    other = python(START, base / "data", user="daemon")
    _, errors = await asyncio.to_thread(other.communicate, timeout=60)
    assert "data_dir_unusable" in errors or "can't use" in errors


@as_root
async def test_a_full_disk_is_said(base, template):
    small = base / "small"
    small.mkdir()
    if not done("mount", "-t", "tmpfs", "-o", "size=100m,mode=755", "tmpfs", small):
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
        copy(template, small / "old")
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"0" * 4096)
        with pytest.raises(EmbeddedPostgresError, match=str(small)) as caught:
            await asyncio.to_thread(ensure_running, small / "old")
        assert caught.value.code == "disk_full"
        filler.unlink()
        url = await asyncio.to_thread(ensure_running, small / "old")
        assert await ask(url, "SELECT 1") == 1
    finally:
        destroy(small / "old")
        assert done("umount", small)
