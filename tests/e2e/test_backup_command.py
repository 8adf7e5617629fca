"""`hookvault backup`, as a person runs it."""

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import asyncpg
import pytest
from test_cli import KEY, Forks, Place

from hookvault.db.migrate import migrate
from hookvault.vault.keys import MasterKey

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
OTHER = "c0de" * 15 + "1234"


@pytest.fixture(scope="module")
def forks():
    started = Forks()
    yield started
    started.close()


@pytest.fixture
async def place(forks, tmp_path, make_database):
    """A database with a tenant, and a backup of it."""
    folder = tmp_path / "here"
    folder.mkdir()
    url = await make_database()
    await migrate(url)
    made = Place(forks, folder, DATABASE_URL=url, ENCRYPTION_KEY=KEY)
    made.out("tenant", "create", "Acme", "--id", "acme")
    return made


async def tenants(url):
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch("SELECT id FROM tenants ORDER BY 1")]
    finally:
        await connection.close()


def test_from_one_installation_to_another(place, forks, tmp_path):
    made = json.loads(place.out("backup", "create", "all.hvb", "--json"))
    assert made["file"] == "all.hvb"
    assert made["needs"] == [MasterKey(KEY).fingerprint]
    assert (place.folder / "all.hvb").stat().st_size == made["bytes"]
    assert "(file_exists)" in place.fails("backup", "create", "all.hvb")

    place.out("tenant", "create", "Later", "--id", "later")
    asked = place.run("backup", "restore", "all.hvb", stdin="n\n")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "This replaces all" in asked.stderr
    assert "Nothing was changed." in asked.stderr
    dry = json.loads(place.out("backup", "restore", "all.hvb", "--dry-run", "--json"))
    assert dry["rows"] == made["rows"]
    assert [item["id"] for item in json.loads(place.out("tenant", "list", "--json"))] == ["acme", "later"]
    place.out("backup", "restore", "all.hvb", stdin="y\n")
    assert [item["id"] for item in json.loads(place.out("tenant", "list", "--json"))] == ["acme"]
    assert "all sound" in place.out("audit", "verify")


def test_verify_needs_no_database_and_makes_no_key(place, forks, tmp_path):
    place.out("backup", "create", "all.hvb")
    file = str(place.folder / "all.hvb")
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    shown = json.loads(place.out("backup", "verify", file, "--json", **nowhere))
    assert (shown["seal"], shown["keysNeeded"]) == ("authentic", [MasterKey(KEY).fingerprint])
    elsewhere = Place(forks, tmp_path / "elsewhere")
    elsewhere.folder.mkdir()
    found = elsewhere.run("backup", "verify", file)
    assert found.returncode == 0
    assert f"not checked: needs key {MasterKey(KEY).fingerprint}" in found.stdout
    assert list(elsewhere.folder.iterdir()) == []
    other = place.run("backup", "verify", file, ENCRYPTION_KEY=OTHER)
    assert other.returncode == 1
    assert "(wrong_key)" in other.stderr
    assert MasterKey(OTHER).fingerprint in other.stderr
    assert OTHER not in other.stderr + other.stdout


async def test_what_is_no_whole_backup_is_refused_in_one_line_and_changes_nothing(place):
    place.out("backup", "create", "all.hvb")
    data = (place.folder / "all.hvb").read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    bad = {
        "cut": (data[:-1], "backup_truncated"),
        "flipped": (bytes(flipped), "backup_damaged"),
        "text": (b"hello", "not_a_backup"),
    }
    for name, (content, code) in bad.items():
        (place.folder / name).write_bytes(content)
        for words in (["verify", name], ["restore", name, "--yes"]):
            message = place.fails("backup", *words)
            assert f"({code})" in message
            assert message.count("\n") == 1
    assert "(file_not_found)" in place.fails("backup", "restore", "nothing", "--yes")
    assert "(wrong_key)" in place.fails("backup", "restore", "all.hvb", "--yes", ENCRYPTION_KEY=OTHER)
    assert await tenants(place.environment["DATABASE_URL"]) == ["acme"]


async def test_into_a_fresh_installation_with_a_newer_key(place, make_database, tmp_path, forks):
    """Nothing but the file and both keys; the schema is made on the way."""
    place.out("backup", "create", "all.hvb")
    url = await make_database()
    fresh = Place(forks, tmp_path / "fresh", DATABASE_URL=url, ENCRYPTION_KEY=OTHER)
    fresh.folder.mkdir()
    file = str(place.folder / "all.hvb")
    assert "(wrong_key)" in fresh.fails("backup", "restore", file, "--yes")
    done = json.loads(fresh.out("backup", "restore", file, "--yes", "--json", ENCRYPTION_KEY_PREVIOUS=KEY))
    assert (done["key"], done["rewrapped"]) == (MasterKey(OTHER).fingerprint, 1)
    assert [item["id"] for item in json.loads(fresh.out("tenant", "list", "--json"))] == ["acme"]
    assert "all sound" in fresh.out("audit", "verify")


def test_while_it_serves_and_after_a_restore_it_goes_on(place):
    """A server that runs meanwhile answers before and after, with the new data."""

    def listed(url, key):
        request = Request(f"{url}/api/platform/tenants", headers={"authorization": f"Bearer {key}"})
        with urlopen(request, timeout=10) as answer:
            return [item["id"] for item in json.load(answer)["items"]]

    with place.serving() as (process, url):
        key = place.out("api-key", "create", "--platform").split()[-1]
        place.out("backup", "create", "all.hvb")
        later = place.out("api-key", "create", "--platform").split()[-1]
        place.out("tenant", "create", "Later", "--id", "later")
        assert listed(url, later) == ["acme", "later"]
        place.out("backup", "restore", "all.hvb", "--yes")
        assert listed(url, key) == ["acme"]
        with pytest.raises(HTTPError) as caught:  # made after the backup, known until the restore
            listed(url, later)
        assert caught.value.code == 401
        assert process.poll() is None
    assert [item["id"] for item in json.loads(place.out("tenant", "list", "--json"))] == ["acme"]
