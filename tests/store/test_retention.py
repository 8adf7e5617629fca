"""How long things are kept: whole days while everybody goes on, a tenant's own time, what of the deleted goes, and sizes."""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from hookvault.analytics.retention import service as retention
from hookvault.analytics.retention.model import CALLS, DELIVERIES
from hookvault.analytics.retention.service import RetentionService
from hookvault.analytics.rolling.roller import Roller
from hookvault.db.pool import Database
from hookvault.errors import InvalidError
from hookvault.ids import id_time, new_id
from hookvault.webhooks.model import CallRecord
from hookvault.webhooks.record import write_calls
from hookvault.webhooks.store import make_day

KEY = "7e20" * 15 + "9c1f"
NOON = {"hour": 12, "minute": 0, "second": 0, "microsecond": 0}


def days_ago(days):
    return datetime.now(UTC).replace(**NOON) - timedelta(days=days)


def id_at(moment):
    milliseconds = round(moment.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | new_id().int & ((1 << 80) - 1))


def call_at(tenant_id, webhook_id, moment, **fields):
    identifier = id_at(moment)
    return CallRecord(
        tenant_id, identifier, webhook_id, id_time(identifier), b"{}", b"{}", 200, b"{}", 10, success=True, **fields
    )


@pytest.fixture
async def apart(make_migrated):
    """A database of this test's own, and its URL."""
    url = await make_migrated()
    opened = await Database.connect(url)
    yield opened, url
    await opened.close()


async def partitions(url, parent=CALLS):
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relname LIKE $1 || '\\_p%' AND relkind = 'r'", parent
        )
    finally:
        await connection.close()
    return {row[0].removeprefix(f"{parent}_p") for row in rows}


async def filled(database, ages, each=3):
    """Calls of one webhook, so many days old."""
    webhook_id = new_id()
    await write_calls(database, [call_at("acme", webhook_id, days_ago(age)) for age in ages for _ in range(each)])
    return webhook_id


@pytest.mark.parametrize("parent", [CALLS, DELIVERIES])
async def test_a_long_reader_holds_up_a_drop_and_nobody_else(apart, parent, monkeypatch):
    database, url = apart
    webhook_id = await filled(database, [10, 11])
    service = RetentionService(database, pauses=[0.05] * 60)
    reader = await asyncpg.connect(url)
    drop = service.drop_calls if parent == CALLS else service.drop_deliveries
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch(f"SELECT count(*) FROM {parent}")
    dropping = asyncio.create_task(drop(5))
    slowest = 0.0
    until = time.monotonic() + 3
    while time.monotonic() < until:
        began = time.monotonic()
        await write_calls(database, [call_at("acme", webhook_id, days_ago(0))])
        slowest = max(slowest, time.monotonic() - began)
        await asyncio.sleep(0.01)
    assert not dropping.done()
    assert slowest < 0.95  # a recorder gives up after one second
    if parent == CALLS:
        assert slowest > 0.2  # or nothing was tried meanwhile, and this proves nothing
    await transaction.rollback()
    await reader.close()
    assert await asyncio.wait_for(dropping, 20) == (6 if parent == CALLS else 2)
    assert await partitions(url, parent) >= {f"{days_ago(0):%Y%m%d}"}
    assert not await partitions(url, parent) & {f"{days_ago(age):%Y%m%d}" for age in (10, 11)}


async def test_a_drop_gives_up_and_the_log_says_who_is_in_the_way(apart, caplog):
    database, url = apart
    await filled(database, [10, 11])
    reader = await asyncpg.connect(url, server_settings={"application_name": "a-report"})
    async with reader.transaction():
        await reader.fetch("SELECT count(*) FROM webhook_analytics")
        told = []
        assert await RetentionService(database, pauses=[0.01]).drop_calls(5, told=told.append) == 0
    await reader.close()
    assert [(dropped.day, dropped.done) for dropped in told] == [
        (days_ago(11).date(), False)
    ]  # the oldest, and no further
    assert "a-report" in caplog.text
    assert "day_not_dropped" in caplog.text
    assert await RetentionService(database).drop_calls(5) == 6


async def test_days_go_one_by_one_the_oldest_first(apart):
    database, _ = apart
    await filled(database, [30, 20, 25])
    told = []
    assert await RetentionService(database).drop_calls(5, told=told.append) == 9
    assert [(dropped.day, dropped.rows) for dropped in told] == [(days_ago(age).date(), 3) for age in (30, 25, 20)]


async def test_two_processes_drop_each_day_once(apart):
    database, _ = apart
    await filled(database, range(10, 25), each=2)
    counts = await asyncio.gather(*[RetentionService(database).drop_calls(5) for _ in range(3)])
    assert sum(counts) == 30


async def test_killed_in_the_middle_only_whole_days_are_gone(apart):
    """kill -9 between a drop and its commit; the command goes on with it the next time, and tells of each day."""
    database, url = apart
    await filled(database, [10, 11, 12])
    env = {**os.environ, "DATABASE_URL": url, "ENCRYPTION_KEY": KEY}
    command = [sys.executable, "-m", "hookvault", "analytics", "prune", "--days", "5"]

    async def run(*more, **also):
        process = await asyncio.create_subprocess_exec(
            *command, *more, env={**env, **also}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        _, said = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode, said.decode()

    code, said = await run("--dry-run")
    assert (code, said.count("calls would go"), said.count("deliveries would go")) == (0, 3, 3)
    code, _ = await run(HOOKVAULT_FAULT="retention.before_commit:2")
    assert code == -9
    left = {f"{days_ago(age):%Y%m%d}" for age in (10, 11)}
    assert {day for day in await partitions(url) if day <= max(left)} == left
    async with database.system() as tx:
        assert await tx.fetchval("SELECT count(*) FROM webhook_analytics") == 6
    code, said = await run()
    assert code == 0
    assert f"{days_ago(11):%Y-%m-%d}: 3 calls dropped" in said
    assert "Dropped 6 calls and 3 days of deliveries" in said
    assert not left & await partitions(url)


@pytest.mark.parametrize("days", [0, -1, 36501])
async def test_at_least_a_day_is_kept(apart, days):
    service = RetentionService(apart[0])
    for ask in (service.drop_calls, service.drop_deliveries, service.list_old, service.prune, service.prune_gone):
        with pytest.raises(InvalidError):
            await ask(days)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 4)
    monkeypatch.setattr(retention, "_BREATH_S", 0)


async def old_deliveries(owner, tenant_id, webhook_id, ages, status):
    for age in ages:
        identifier = id_at(days_ago(age))
        await owner(
            "WITH asked AS (SELECT set_config('app.tenant_id', $1, false)) "
            "INSERT INTO webhook_deliveries (tenant_id, id, accepted_at, webhook_id, payload, status, finished_at) "
            "SELECT $1, $2, $3, $4, '1', $5, CASE WHEN $5 <> 'pending' THEN now() END FROM asked",
            *(tenant_id, identifier, id_time(identifier), webhook_id, status),
        )


async def test_a_tenant_keeps_less_than_the_platform(app, tenant, owner, small_batches):
    """Whole days in UTC, its own rows only, never what still waits; figures stay."""
    other = await app.tenants.create_tenant("Other", tenant_id=f"{tenant.id}-2")
    webhooks = {
        one.id: await app.webhooks.create_n8n_webhook(one.id, "order", webhook_url="https://n8n.example.com/webhook/o")
        for one in (tenant, other)
    }
    ages = [0, 2, 3, 4, 9] * 5
    for one, webhook in webhooks.items():
        await write_calls(app.database, [call_at(one, webhook.id, days_ago(age)) for age in ages])
        await old_deliveries(owner, one, webhook.id, [0, 3, 4, 9, 9, 9], "failed")
        await old_deliveries(owner, one, webhook.id, [4, 9], "pending")
    try:
        await app.tenants.update_tenant(tenant.id, {"retention_days": 3})
        await app.tenants.update_tenant(other.id, {"retention_days": 400})  # the platform's holds
        pruned = await app.retention.prune_tenants(90)
        assert (pruned.tenant_calls, pruned.tenant_deliveries) == (10, 4)
        assert (await app.retention.prune_tenants(90)).tenant_calls == 0
        for one, kept in ((tenant, [0, 2, 3]), (other, [0, 2, 3, 4, 9])):
            rows = await owner(
                'SELECT DISTINCT "timestamp"::date AS day FROM webhook_analytics WHERE tenant_id = $1', one.id
            )
            assert {row["day"] for row in rows} == {days_ago(age).date() for age in kept}
        rows = await owner("SELECT status, count(*) FROM webhook_deliveries WHERE tenant_id = $1 GROUP BY 1", tenant.id)
        assert dict(map(tuple, rows)) == {"failed": 2, "pending": 2}
        (totals,) = await owner(
            "SELECT sum(total_calls)::int FROM webhook_call_rollups WHERE tenant_id = $1", tenant.id
        )
        assert totals[0] == 25
        assert (await app.webhooks.get_n8n_webhook(tenant.id, webhooks[tenant.id].id)).total_calls == 25
    finally:
        await owner("DELETE FROM webhook_deliveries WHERE tenant_id IN ($1, $2)", tenant.id, other.id)


async def test_many_rows_are_deleted_in_batches_and_none_is_passed_over(app, tenant, owner, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 7)
    monkeypatch.setattr(retention, "_BREATH_S", 0)
    webhook = await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url="https://n8n.example.com/webhook/o")
    for count in (6, 7, 8, 14, 50):
        moment = days_ago(5)
        await write_calls(app.database, [call_at(tenant.id, webhook.id, moment) for _ in range(count)])
        await app.tenants.update_tenant(tenant.id, {"retention_days": 2})
        assert (await app.retention.prune_tenants(90)).tenant_calls == count


async def test_figures_of_deleted_tenants_go_with_the_platform_s_time(app, tenant, owner, small_batches):
    webhook = await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url="https://n8n.example.com/webhook/o")
    kept = await app.tenants.create_tenant("Kept", tenant_id=f"{tenant.id}-2")
    other = await app.webhooks.create_n8n_webhook(kept.id, "order", webhook_url="https://n8n.example.com/webhook/o")
    for one, hook in ((tenant.id, webhook.id), (kept.id, other.id)):
        minutes = [days_ago(100) + timedelta(minutes=n) for n in range(9)]
        await write_calls(app.database, [call_at(one, hook, moment) for moment in minutes])
        await owner(
            "WITH asked AS (SELECT set_config('app.tenant_id', $1, false)) INSERT INTO webhook_call_spans (tenant_id, webhook_id, "
            "span, start, total_calls, successful_calls, failed_calls, response_time_sum, response_time_max) "
            "SELECT $1, $2, 60, $3, 1, 1, 0, 1, 1 FROM asked",
            *(one, hook, days_ago(100)),
        )
    await app.retention.prune_gone(90)
    tables = ("webhook_call_rollups", "webhook_call_spans", "n8n_webhook_counters")

    async def counted(tenant_id):
        return [(await owner(f"SELECT count(*) FROM {name} WHERE tenant_id = $1", tenant_id))[0][0] for name in tables]

    minutes, spans, counters = before = await counted(tenant.id)
    assert (minutes, spans >= 1, counters) == (9, True, 1)
    await app.tenants.delete_tenant(tenant.id)
    assert await app.retention.prune_gone(101) == 0
    assert [have >= had for have, had in zip(await counted(tenant.id), before, strict=True)] == [
        True
    ] * 3  # not of that age
    assert await app.retention.prune_gone(90) >= 11
    # Another test's roller may have come between, which builds spans of these minutes: they go the next time.
    await app.retention.prune_gone(90)
    assert await counted(tenant.id) == [0, 0, 0]
    minutes, spans, counters = await counted(kept.id)
    assert (minutes, spans >= 1, counters) == (9, True, 1)


async def test_sizes_of_ninety_days_are_told_quickly(apart):
    database, _ = apart
    async with database.system() as tx:
        for age in range(90):
            await make_day(tx, days_ago(age))
    await filled(database, [1], each=50)
    service = RetentionService(database, days=90)
    found = await service.storage()
    assert await service.storage() is found  # kept for a minute
    times = []
    for _ in range(5):
        began = time.monotonic()
        found = await service.storage(fresh=True)
        times.append(time.monotonic() - began)
    assert min(times) < 0.3  # some 40 ms where nothing else runs
    kinds = {kind.kind: kind for kind in found.kinds}
    assert kinds.keys() == {"calls", "deliveries", "minuteRollups", "spans", "audit", "rest"}
    assert sum(kind.bytes for kind in found.kinds) == found.database_bytes
    assert (found.oldest_day, found.retention_days, found.disk_free) == (days_ago(89).date(), 90, None)
    assert [day.day for day in found.days] == sorted((day.day for day in found.days), reverse=True)
    assert len(found.days) == 90 + 7
    yesterday = next(day for day in found.days if day.day == days_ago(1).date())
    assert yesterday.calls.bytes > yesterday.deliveries.bytes > 0
    assert sum(day.calls.bytes for day in found.days) == kinds["calls"].bytes


async def test_an_embedded_database_s_disk_is_told(app, tmp_path):
    found = await RetentionService(app.database, folder=tmp_path).storage()
    assert found.disk_free > 0


async def test_calls_are_kept_a_little_longer_until_their_rollups_are_built(app, tenant, owner, database_url):
    """Two days, so that a disk does not fill up either."""
    webhook = await app.webhooks.create_n8n_webhook(tenant.id, "rolled", webhook_url="https://n8n.example.com/w")
    roller = Roller(app.database)

    async def kept():
        rows = await owner("SELECT timestamp FROM webhook_analytics WHERE tenant_id = $1 ORDER BY 1", tenant.id)
        return [row["timestamp"] for row in rows]

    await roller.advance()
    connection = await asyncpg.connect(database_url)
    async with connection.transaction():  # nobody builds meanwhile
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('hookvault_rolling'))")
        await write_calls(app.database, [call_at(tenant.id, webhook.id, days_ago(age)) for age in (38, 40, 42)])
        await app.analytics.retain(39)
        assert await kept() == [days_ago(40), days_ago(38)]
    await connection.close()
    await roller.build()
    await app.analytics.retain(39)
    assert await kept() == [days_ago(38)]
