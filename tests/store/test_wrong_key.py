"""Another ENCRYPTION_KEY on the same database: refused by name of both keys, and nothing is touched."""

import secrets

import asyncpg
import pytest

from canary import planted
from hookvault.errors import WrongKeyError
from hookvault.settings import Settings
from hookvault.vault.keys import MasterKey
from hookvault.wiring import build

KEY, OTHER = "4b1d" + "9e37a5c2" * 7 + "f06e", "c0de" * 15 + "1234"


def settings_for(url, tmp_path, **keys):
    return Settings(database_url=url, hookvault_data_dir=tmp_path, **keys)


@pytest.fixture
async def used(make_database, tmp_path):
    """A database with a tenant's secrets in it."""
    url = await make_database()
    app = await build(settings_for(url, tmp_path, encryption_key=KEY))
    await app.tenants.create_tenant("Acme", tenant_id="acme")
    await app.integrations.create_tenant_integration(
        "acme", n8n_base_url="https://n8n.example.com", n8n_api_key=planted("api-key")
    )
    await app.close()
    return url


async def content(url):
    """Every row of every table as text."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relname !~ '^(pg_|sql_)'"
        )
        return {
            table: sorted(row[0] for row in await connection.fetch(f"SELECT t::text FROM {table} t"))
            for (table,) in tables
        }
    finally:
        await connection.close()


async def test_another_key_is_refused_and_changes_nothing(used, tmp_path):
    before = await content(used)
    assert sum(map(len, before.values())) > 5
    for keys in ({"encryption_key": OTHER}, {"encryption_key": OTHER, "encryption_key_next": secrets.token_hex(32)}):
        with pytest.raises(WrongKeyError) as caught:
            await build(settings_for(used, tmp_path, **keys))
        assert MasterKey(KEY).fingerprint in caught.value.message
        assert MasterKey(OTHER).fingerprint in caught.value.message
        assert KEY not in caught.value.message
        assert OTHER not in caught.value.message
        assert "Nothing was changed" in caught.value.message
    assert await content(used) == before


async def test_a_refused_start_leaves_no_connection_behind(used, tmp_path):
    url = f"{used}&application_name=refused"
    with pytest.raises(WrongKeyError):
        await build(settings_for(url, tmp_path, encryption_key=OTHER))
    connection = await asyncpg.connect(used)
    try:
        left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'refused' AND backend_type = 'client backend'"
        assert await connection.fetchval(left) == 0
    finally:
        await connection.close()


@pytest.mark.parametrize("place", ["encryption_key", "encryption_key_next", "encryption_key_previous"])
async def test_the_right_key_is_found_wherever_it_is_held(used, tmp_path, place):
    keys = {"encryption_key": OTHER, place: KEY}
    app = await build(settings_for(used, tmp_path, **keys))
    try:
        assert (await app.integrations.open_config("acme", "n8n"))["apiKey"].open().startswith("kAnArIe")
        await app.tenants.create_tenant("New", tenant_id="new")
        statuses = {status.fingerprint: status for status in (await app.keys.status()).keys}
        assert statuses[MasterKey(KEY).fingerprint].data_keys == 2
        assert statuses[MasterKey(KEY).fingerprint].held
    finally:
        await app.close()


async def test_of_two_first_starts_one_key_wins(make_database, tmp_path):
    url = await make_database()
    first = await build(settings_for(url, tmp_path, encryption_key=OTHER))
    await first.close()
    with pytest.raises(WrongKeyError):
        await build(settings_for(url, tmp_path, encryption_key=KEY))


async def test_a_data_key_under_a_key_that_is_not_held_is_told(used, tmp_path):
    """As after a restore of one table: the database's key is right, a tenant's is another."""
    app = await build(settings_for(used, tmp_path, encryption_key=KEY))
    try:
        connection = await asyncpg.connect(used)
        await connection.execute("UPDATE data_keys SET key_fingerprint = 'mk_0000000000000000'")
        await connection.close()
        with pytest.raises(WrongKeyError, match="mk_0000000000000000") as caught:
            await app.integrations.open_config("acme", "n8n")
        assert caught.value.members["needed"] == "mk_0000000000000000"
    finally:
        await app.close()
