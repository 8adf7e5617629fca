"""Migrations: once, together, never backwards, and errors that name no password."""

import asyncio
import sys
import traceback
from asyncio.subprocess import PIPE

import asyncpg
import pytest
from alembic.command import upgrade

from hookvault.db import embedded
from hookvault.db.migrate import SchemaState, migrate, require_current, schema_state
from hookvault.db.pool import Database
from hookvault.errors import SetupError, UnavailableError
from hookvault.settings import Settings
from hookvault.wiring import build

PASSWORD = "hunter2-must-not-be-seen"
KEY = "4b1d" + "9e37a5c2" * 7 + "f06e"


async def run(url, statement):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


async def shape(url):
    """All that a migration made, by name."""
    return await run(
        url,
        "SELECT c.relname, c.relkind::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull FROM pg_class c "
        "LEFT JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, a.attnum",
    )


async def test_a_migration_is_done_once(make_database):
    url = await make_database()
    assert await schema_state(url) is SchemaState.EMPTY
    assert await migrate(url) is True
    assert await schema_state(url) is SchemaState.CURRENT
    before = await shape(url)
    assert await migrate(url) is False
    assert await shape(url) == before
    await require_current(url)


async def test_many_may_migrate_at_once(make_database):
    url = await make_database()
    await asyncio.wait_for(asyncio.gather(*[migrate(url) for _ in range(4)]), 60)
    assert await schema_state(url) is SchemaState.CURRENT
    assert [row[0] for row in await run(url, "SELECT version_num FROM alembic_version")] == ["0007"]


async def test_two_processes_may_migrate_two_databases_of_a_new_cluster_at_once(tmp_path):
    """Both want to make the roles, which belong to the whole cluster."""
    folder = tmp_path / "cluster"
    url = await asyncio.to_thread(embedded.ensure_running, folder)
    try:
        urls = [url.replace("/hookvault?", f"/{name}?") for name in ("one", "two")]
        for name in ("one", "two"):
            await run(url, f"CREATE DATABASE {name}")
        script = (
            "import asyncio, sys; from hookvault.db.migrate import migrate; print(asyncio.run(migrate(sys.argv[1])))"
        )
        started = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", script, each, stdout=PIPE) for each in urls
        ]
        said = await asyncio.wait_for(asyncio.gather(*[process.communicate() for process in started]), 60)
        assert [out for out, _ in said] == [b"True\n", b"True\n"]
        for each in urls:
            assert (await run(each, "SELECT value FROM hookvault_meta WHERE name = 'access'"))[0][0] == "roles"
    finally:
        await asyncio.to_thread(embedded.destroy, folder)


async def test_a_migration_that_fails_leaves_nothing(make_database):
    url = await make_database()
    await run(url, "CREATE TABLE audit_events (mine text)")
    before = await shape(url)
    with pytest.raises(Exception, match="audit_events"):
        await migrate(url)
    assert await shape(url) == before
    await run(url, "DROP TABLE audit_events")
    assert await migrate(url)


async def test_partitions_stand_ready_for_a_week(make_database):
    url = await make_database()
    await migrate(url)
    for parent in ("webhook_analytics", "webhook_deliveries"):
        ahead = await run(
            url,
            f"SELECT to_regclass('{parent}_p' || to_char((now() AT TIME ZONE 'UTC')::date + n, 'YYYYMMDD')) IS NOT NULL "
            "FROM generate_series(0, 7) AS n",
        )
        assert [row[0] for row in ahead] == [True] * 8


OFF = """
INSERT INTO tenants (id, slug, name, status, created_at, updated_at)
SELECT id, id, id, CASE id WHEN 'quiet' THEN 'suspended' ELSE 'active' END, now(), now() FROM unnest('{acme,quiet}'::text[]) id;
INSERT INTO n8n_webhooks (tenant_id, id, workflow_name, webhook_url, is_active, key_version, created_at, created_by, updated_at,
    updated_by, deleted_at)
SELECT 'acme', gen_random_uuid(), name, 'https://x', name = 'on', 1, now(), '', now(), '', CASE name WHEN 'gone' THEN now() END
FROM unnest('{on,off,gone}'::text[]) name
"""


async def test_what_was_switched_off_before_deliveries_came_holds_them(make_database, monkeypatch):
    url = await make_database()
    with monkeypatch.context() as patched:  # as the version before this one left it
        patched.setattr("alembic.command.upgrade", lambda config, _head: upgrade(config, "0001"))
        assert await migrate(url)
    assert await schema_state(url) is SchemaState.BEHIND
    with pytest.raises(SetupError, match="hookvault db migrate"):
        await require_current(url)
    for statement in OFF.split(";"):
        await run(url, statement)
    assert await migrate(url)
    held = await run(
        url,
        "SELECT h.tenant_id, h.reason, w.workflow_name FROM delivery_holds h LEFT JOIN n8n_webhooks w ON w.id = h.webhook_id "
        "WHERE until IS NULL ORDER BY 1",
    )
    assert [tuple(row) for row in held] == [("acme", "webhook_inactive", "off"), ("quiet", "tenant_suspended", None)]


async def test_a_newer_schema_is_refused_and_left_alone(make_database, tmp_path):
    url = await make_database()
    await migrate(url)
    await run(url, "UPDATE alembic_version SET version_num = 'ffff'")
    before = await shape(url)
    assert await schema_state(url) is SchemaState.NEWER
    settings = Settings(database_url=url, encryption_key=KEY, hookvault_data_dir=tmp_path)
    for attempt in (lambda: migrate(url), lambda: require_current(url), lambda: build(settings)):
        with pytest.raises(SetupError) as caught:
            await attempt()
        assert caught.value.code == "schema_newer"
    assert await shape(url) == before
    assert (await run(url, "SELECT version_num FROM alembic_version"))[0][0] == "ffff"


async def test_an_empty_database_is_refused_with_what_to_do(make_database, tmp_path):
    url = await make_database()
    settings = Settings(database_url=url, encryption_key=KEY, hookvault_data_dir=tmp_path)
    for attempt in (
        lambda: require_current(url),
        lambda: Database.connect(url),
        lambda: build(settings, migrate=False),
    ):
        with pytest.raises(SetupError) as caught:
            await attempt()
        assert caught.value.code == "not_migrated"
        assert "hookvault db migrate" in caught.value.message
    assert await shape(url) == []


UNREACHABLE = {
    "nobody listens": f"postgresql://hook:{PASSWORD}@127.0.0.1:1/hookvault",
    "no such host": f"postgresql://hook:{PASSWORD}@no-such-host.invalid/hookvault",
    "no such socket": f"postgresql://hook:{PASSWORD}@/hookvault?host=/no/such/directory",
    "a port that is none": f"postgresql://hook:{PASSWORD}@127.0.0.1:five/hookvault",
    "a password with a slash": f"postgresql://hook:a/{PASSWORD}@127.0.0.1:1/hookvault",
}


@pytest.mark.parametrize("url", UNREACHABLE.values(), ids=UNREACHABLE)
async def test_an_unreachable_database_is_told_without_its_password(url, tmp_path):
    settings = Settings(database_url=url, encryption_key=KEY, hookvault_data_dir=tmp_path)
    for attempt in (
        lambda: migrate(url),
        lambda: require_current(url),
        lambda: schema_state(url),
        lambda: Database.connect(url),
        lambda: build(settings),
    ):
        with pytest.raises(UnavailableError) as caught:
            await asyncio.wait_for(attempt(), 30)
        assert caught.value.code == "database_unavailable"
        assert "DATABASE_URL" in caught.value.message
        assert PASSWORD not in "".join(traceback.format_exception(caught.value))


async def test_a_wrong_password_and_a_missing_database_are_told_alike(cluster_url):
    for url in (cluster_url.replace("/hookvault?", "/nowhere?"), cluster_url.replace("hookvault:", "hookvault:x")):
        with pytest.raises(UnavailableError) as caught:
            await migrate(url)
        assert caught.value.code == "database_unavailable"


async def test_a_database_that_goes_away_and_comes_back(make_database):
    url = await make_database()
    await migrate(url)
    database = await Database.connect(f"{url}&application_name=goes-away", tenant_connections=1, system_connections=1)
    try:
        await database.ping()
        with pytest.raises(UnavailableError):
            async with database.system() as tx:
                await run(
                    url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'goes-away'"
                )
                await tx.fetchval("SELECT 1")
        await asyncio.wait_for(database.ping(), 10)
        async with database.tenant("acme") as tx:
            assert await tx.fetch("SELECT * FROM tenants") == []
            assert await tx.fetchval("SELECT current_user") == "hookvault_tenant"
    finally:
        await database.close()
