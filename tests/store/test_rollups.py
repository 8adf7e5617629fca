"""Rollups: equal to the calls themselves at every moment, whatever is recorded late, and whoever is killed in between."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from counts import call_at, is_equal
from hookvault.analytics.rolling import store as building
from hookvault.analytics.rolling.roller import Roller
from hookvault.analytics.rollups.model import Over, Scope, Want
from hookvault.analytics.rollups.read import read
from hookvault.analytics.rollups.store import plan_for_reading
from hookvault.clock import now
from hookvault.db.pool import SystemTx
from hookvault.db.snapshot import snapshot
from hookvault.settings import Settings
from hookvault.webhooks.record import write_calls
from hookvault.webhooks.store import make_day, record
from hookvault.wiring import build

MS = timedelta(milliseconds=1)
DAY = timedelta(days=1)
ZERO = timedelta(0)


@pytest.fixture(scope="module")
async def database_url(make_migrated):
    """A database of these tests' own: elsewhere others delete calls by hand, and the platform's figures keep them."""
    return await make_migrated()


@pytest.fixture(scope="module")
async def app(database_url, tmp_path_factory):
    key = "5c0e" * 15 + "77aa"
    built = await build(
        Settings(database_url=database_url, encryption_key=key, hookvault_data_dir=tmp_path_factory.mktemp("rolled"))
    )
    yield built
    await built.close()


@pytest.fixture
def roller(app):
    return Roller(app.database)


@pytest.fixture
async def webhooks(app, tenant):
    made = [
        await app.webhooks.create_n8n_webhook(tenant.id, f"flow-{n}", webhook_url="https://n8n.example.com/webhook/w")
        for n in range(3)
    ]
    return [webhook.id for webhook in made]


def some_bounds(chance, present):
    """Ranges end to end, at any millisecond, of minutes to days."""
    last = present + MS - timedelta(milliseconds=chance.choice([0, 0, chance.randrange(10 * 86_400_000)]))
    lengths = [
        chance.choice([90, 3_600, 90_000, 500_000, 86_400_000, 250_000_000]) for _ in range(chance.randrange(1, 4))
    ]
    bounds = [last]
    for length in lengths:
        bounds.insert(0, bounds[0] - timedelta(milliseconds=chance.randrange(1, length * 2)))
    return bounds


@pytest.mark.parametrize("seed", range(12))
async def test_equal_to_the_calls_after_every_step(app, tenant, webhooks, roller, seed):
    """Calls of now and late ones, closing and building, in any order; asked after each step, of anybody."""
    chance = random.Random(seed)
    scopes = [
        Scope(Over.WEBHOOK, tenant.id, chance.sample(webhooks, chance.randrange(1, 3))),
        Scope(Over.TENANT, tenant.id),
        Scope(Over.WEBHOOKS, tenant.id, webhooks),
        Scope(Over.PLATFORM),
        Scope(Over.TENANTS),
    ]
    counted = 0
    for _ in range(14):
        present = now()
        step = chance.random()
        if step < 0.5:
            spread = chance.choice([60_000, 3_600_000, 86_400_000, 9 * 86_400_000])
            calls = [
                call_at(tenant.id, chance.choice(webhooks), present - chance.randrange(spread) * MS, chance)
                for _ in range(chance.randrange(1, 120))
            ]
            await write_calls(app.database, calls)
        elif step < 0.75:
            await roller.advance(chance.choice([ZERO, timedelta(minutes=chance.randrange(3000))]))
        else:
            await roller.build(for_s=chance.choice([0.01, 0.05, None]))
        for scope in chance.sample(scopes, 2):
            counted += await is_equal(app.database, scope, some_bounds(chance, now()))
    await roller.advance(ZERO)
    await roller.build()
    for scope in scopes:
        counted += await is_equal(app.database, scope, [now() - 10 * DAY, now() - 3 * DAY - 17 * MS, now() + MS])
    assert counted > 0


async def test_what_is_built_is_read_from_rollups(app, tenant, webhooks, roller, owner):
    """Proof that the answers above come from rollups: a rollup made wrong makes the answer wrong."""
    chance = random.Random(1)
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - 3 * DAY
    calls = [call_at(tenant.id, webhooks[0], day + n * timedelta(minutes=7), chance) for n in range(300)]
    await write_calls(app.database, calls)
    await roller.advance(ZERO)
    await roller.build()
    scope = Scope(Over.TENANT, tenant.id)
    assert await is_equal(app.database, scope, [day, day + DAY]) == 206
    for span, first, last in ((1440, day, day + DAY), (60, day + timedelta(hours=1), day + timedelta(hours=3))):
        change = "UPDATE webhook_call_spans SET total_calls = total_calls + $3 WHERE tenant_id = $1 AND span = $2"
        await owner(change, tenant.id, span, 1)
        with pytest.raises(AssertionError):
            await is_equal(app.database, scope, [first, last])
        await owner(change, tenant.id, span, -1)
    async with app.database.system() as tx:
        assert await building.count_due(tx) == 0


_CROWD = """
INSERT INTO webhook_call_spans (tenant_id, webhook_id, span, start, total_calls, successful_calls, failed_calls,
    response_time_sum, response_time_max, buckets, bucket_calls, error_causes, error_codes, error_statuses, error_calls,
    error_last_at)
SELECT 'crowd-' || n % 500, webhook, 5, '2026-03-01T00:00Z'::timestamptz + n / 500 * interval '5 minutes', 1, 1, 0, 20, 20,
    '{9}', '{1}', '{}', '{}', '{}', '{}', '{}'
FROM generate_series(0, 39999) AS n,
    (VALUES ('00000000-0000-0000-0000-000000000000'::uuid), ('00000000-0000-0000-0000-000000000001')) AS w (webhook)
"""
_COUNTERS = """
INSERT INTO n8n_webhook_counters (tenant_id, webhook_id, total_calls, successful_calls, failed_calls, last_called_at)
SELECT 'crowd-' || t, ('00000000-0000-0000-0000-' || lpad(w::text, 12, '0'))::uuid, 80, 80, 0, now()
FROM generate_series(0, 499) AS t, generate_series(1, 24) AS w
"""


async def test_hours_of_many_tenants_are_added_up_by_whole_keys(database_url):
    """Planned as a join, the rows of all tenants were read for each tenant that was due: no batch ended in half a minute."""
    connection = await asyncpg.connect(database_url)
    try:
        kept = connection.transaction()
        await kept.start()
        await connection.execute(_CROWD)
        await connection.execute(_COUNTERS)
        await connection.execute("ANALYZE webhook_call_spans, n8n_webhook_counters")
        await plan_for_reading(SystemTx(connection))
        due = [f"crowd-{n}" for n in range(500)], [datetime(2026, 3, 1, tzinfo=UTC)] * 500
        plan = await connection.fetch(f"EXPLAIN {building._FROM_FINER}", *due, 60, 5)
        lookup = next(row[0] for row in plan if "Index Cond" in row[0] and "span" in row[0])
        for column in ("tenant_id", "webhook_id", "start"):
            assert column in lookup, lookup
        assert not [row[0] for row in plan if "Join Filter" in row[0]]
        await kept.rollback()
    finally:
        await connection.close()


async def test_who_began_to_record_before_a_time_was_closed_is_waited_for(app, tenant, webhooks, roller, owner):
    """Its snapshot is older than the closing, so it notes nothing as late; what it records must be rolled up all the same."""
    chance = random.Random(2)
    moment = now()
    async with app.database.system() as tx:
        await make_day(tx, moment - DAY)
    await owner("UPDATE webhook_rollup_progress SET closed_until = $1, built_until = $1", moment - 3 * DAY)
    async with app.database.system() as tx:
        await record(tx, [call_at(tenant.id, webhooks[0], moment - DAY, chance)])
        closing = asyncio.create_task(roller.advance(ZERO))
        await asyncio.sleep(0.4)
        assert not closing.done()
    await closing
    await roller.build()
    scope = Scope(Over.TENANT, tenant.id)
    assert await is_equal(app.database, scope, [moment - 2 * DAY, moment]) == 1


async def test_calls_that_retention_dropped_keep_counting(app, tenant, webhooks, roller):
    """Also when one is recorded late for their time: what was built while they were there is not lost."""
    chance = random.Random(4)
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - 200 * DAY
    calls = [call_at(tenant.id, webhooks[0], day + n * timedelta(seconds=100), chance) for n in range(500)]
    await write_calls(app.database, calls)
    await roller.advance(ZERO)
    await roller.build()
    bounds = [day, day + DAY]
    scope = Scope(Over.TENANT, tenant.id)
    before = await told(app, scope, bounds)
    assert before.total == 500
    assert await app.analytics.delete_old_webhook_analytics(150) >= 500
    assert await told(app, scope, bounds) == before
    await write_calls(app.database, [call_at(tenant.id, webhooks[1], day + timedelta(seconds=7), chance)])
    await roller.build()
    after = await told(app, scope, bounds)
    assert (after.total, sum(after.histogram.values())) == (501, 500)
    await roller.rebuild(day, day + DAY, lambda *_: None)
    assert (await told(app, scope, bounds)).total == 501
    await app.analytics.delete_old_webhook_analytics(150)


async def told(app, scope, bounds):
    async with app.database.tenant_snapshot(scope.tenant_id) as tx:
        (answer,) = await read(tx, scope, bounds, Want(histogram=True, errors=True))
    return answer[None]


async def test_rebuilding_mends_what_is_wrong(app, tenant, webhooks, roller, owner):
    """Rollups and minutes that hold too little, as after somebody wrote rows by hand."""
    chance = random.Random(5)
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - 5 * DAY
    await write_calls(
        app.database, [call_at(tenant.id, webhooks[n % 3], day + n * timedelta(minutes=1), chance) for n in range(900)]
    )
    await roller.advance(ZERO)
    await roller.build()
    wrong = "UPDATE webhook_call_spans SET total_calls = 7, buckets = '{}', bucket_calls = '{}' WHERE tenant_id = $1"
    await owner(wrong, tenant.id)
    await owner("DELETE FROM webhook_call_rollups WHERE tenant_id = $1 AND webhook_id = $2", tenant.id, webhooks[0])
    scope = Scope(Over.WEBHOOKS, tenant.id, webhooks)
    with pytest.raises(AssertionError):
        await is_equal(app.database, scope, [day, day + DAY])
    seen = []
    await roller.rebuild(day, day + DAY, lambda done, total: seen.append((done, total)))
    assert await is_equal(app.database, scope, [day, day + DAY]) == 900
    assert seen[-1][1] >= 180
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


async def test_two_rollers_at_once(app, tenant, webhooks, roller):
    chance = random.Random(6)
    await write_calls(
        app.database,
        [call_at(tenant.id, webhooks[n % 3], now() - n * timedelta(minutes=3), chance) for n in range(300)],
    )
    other = Roller(app.database)
    await asyncio.gather(*[each.advance(ZERO) for each in (roller, other)])
    await asyncio.gather(*[each.build() for each in (roller, other)])
    await roller.build()
    assert await is_equal(app.database, Scope(Over.WEBHOOKS, tenant.id, webhooks), [now() - 2 * DAY, now()]) == 300


async def test_a_backup_is_not_waited_for(app, tenant, webhooks, roller, database_url, owner):
    await owner("UPDATE webhook_rollup_progress SET closed_until = $1, built_until = $1", now() - 3 * DAY)
    async with snapshot(database_url):
        async with asyncio.timeout(20):
            await roller.advance(ZERO)
    rows = await owner("SELECT closed_until = built_until AS done FROM webhook_rollup_progress")
    assert rows[0]["done"]
