"""Rollups: equal to the calls themselves at every moment, whatever is recorded late, and whoever is killed in between."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from hookvault.analytics.rolling import store as building
from hookvault.analytics.rolling.roller import Roller
from hookvault.analytics.rollups.model import Over, Scope, Want
from hookvault.analytics.rollups.read import read
from hookvault.clock import now
from hookvault.ids import id_time, new_id
from hookvault.webhooks.model import CallRecord
from hookvault.webhooks.record import write_calls

MS = timedelta(milliseconds=1)
DAY = timedelta(days=1)
ZERO = timedelta(0)
FAILURES = [
    (404, "http_404", "The workflow is not active in n8n, or the URL's path is wrong (HTTP 404)."),
    (404, "http_404", "The webhook answered HTTP 404."),
    (500, "http_500", "The n8n workflow ran and failed (HTTP 500)."),
    (401, "http_401", "The webhook refused the call (HTTP 401)."),
    (None, "timeout", "No answer within 30 s."),
    (None, "dns_error", "The host name does not resolve."),
]

RAW = """
SELECT {key} AS key, count(*) AS total, count(*) FILTER (WHERE success) AS successful, sum(response_time)::bigint AS time_sum,
    max(response_time) AS time_max FROM webhook_analytics
WHERE "timestamp" >= $1 AND "timestamp" < $2 AND {which} GROUP BY 1
"""


def call_at(tenant_id, webhook_id, moment, chance):
    identifier = UUID(int=round(moment.timestamp() * 1000) << 80 | new_id().int & ((1 << 80) - 1))
    status, code, message = (200, None, None) if chance.random() < 0.8 else chance.choice(FAILURES)
    return CallRecord(
        tenant_id=tenant_id,
        id=identifier,
        webhook_id=webhook_id,
        timestamp=id_time(identifier),
        request_payload=None,
        request_headers=None,
        status_code=status,
        response_body=None,
        response_time=round(chance.lognormvariate(4.5, 1.2)),
        success=code is None,
        error_code=code,
        error_message=message,
    )


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


async def is_equal(app, scope, bounds):
    """The answers from rollups and those from the calls, at one moment of the database; the number of calls."""
    which, key = {
        Over.WEBHOOK: ("tenant_id = $3 AND webhook_id = ANY($4)", "NULL"),
        Over.TENANT: ("tenant_id = $3 AND $4::uuid[] IS NOT NULL", "NULL"),
        Over.WEBHOOKS: ("tenant_id = $3 AND webhook_id = ANY($4)", "webhook_id"),
        Over.PLATFORM: ("$3::text = '' AND $4::uuid[] IS NOT NULL", "NULL"),
        Over.TENANTS: ("$3::text = '' AND $4::uuid[] IS NOT NULL", "tenant_id"),
    }[scope.over]
    place = app.database.tenant_snapshot(scope.tenant_id) if scope.tenant_id else app.database.system_snapshot()
    counted = 0
    async with place as tx:
        answers = await read(tx, scope, bounds, Want(histogram=True, errors=True))
        for first, last, answer in zip(bounds, bounds[1:], answers, strict=False):
            rows = await tx.fetch(RAW.format(which=which, key=key), first, last, scope.tenant_id, scope.webhooks)
            wanted = {r["key"]: (r["total"], r["successful"], r["time_sum"], r["time_max"]) for r in rows}
            found = {k: (t.total, t.successful, t.time_sum, t.time_max) for k, t in answer.items() if t.total}
            assert found == wanted, (scope, first, last)
            for tally in answer.values():
                assert tally.failed == tally.total - tally.successful
                assert sum(tally.histogram.values()) == tally.total
                assert sum(calls for calls, _ in tally.errors.values()) == tally.failed
                counted += tally.total
    return counted


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
            counted += await is_equal(app, scope, some_bounds(chance, now()))
    await roller.advance(ZERO)
    await roller.build()
    for scope in scopes:
        counted += await is_equal(app, scope, [now() - 10 * DAY, now() - 3 * DAY - 17 * MS, now() + MS])
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
    assert await is_equal(app, scope, [day, day + DAY]) == 206
    for span, first, last in ((1440, day, day + DAY), (60, day + timedelta(hours=1), day + timedelta(hours=3))):
        change = "UPDATE webhook_call_spans SET total_calls = total_calls + $3 WHERE tenant_id = $1 AND span = $2"
        await owner(change, tenant.id, span, 1)
        with pytest.raises(AssertionError):
            await is_equal(app, scope, [first, last])
        await owner(change, tenant.id, span, -1)
    async with app.database.system() as tx:
        assert await building.count_due(tx) == 0
