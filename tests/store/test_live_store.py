"""The live tail's questions to the database: its filter is the call log's, and its statements read by an index."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hookvault.analytics import store as log
from hookvault.analytics.cause import CAUSES
from hookvault.analytics.model import CallFilter
from hookvault.analytics.tail import store
from hookvault.analytics.tail.model import LiveCall, live_call, matches
from hookvault.ids import id_time, new_id
from hookvault.webhooks.model import CallRecord

WEBHOOKS = [new_id() for _ in range(3)]
MESSAGES = [
    None,
    "The workflow is not active in n8n",
    "the workflow ran and failed",
    "n8n is starting",
    "no",
    "test URL",
]
CODES = [None, "timeout", "dns_error", "connection_closed", "http_404", "invalid_url"]
STATUSES = [None, 200, 204, 301, 400, 401, 403, 404, 404, 410, 429, 500, 500, 503]
SEED = random.Random(7)


def at(moment):
    return UUID(int=round(moment.timestamp() * 1000) << 80 | new_id().int & ((1 << 80) - 1))


def made(tenant_id, moment):
    """Any call, also of kinds that are never recorded."""
    identifier = at(moment)
    return CallRecord(
        tenant_id,
        identifier,
        SEED.choice(WEBHOOKS),
        id_time(identifier),
        b"{}",
        b"{}",
        SEED.choice(STATUSES),
        None,
        SEED.randint(0, 40),
        SEED.random() < 0.4,
        SEED.choice(CODES),
        SEED.choice(MESSAGES),
        SEED.choice([None, "form", "job", ""]),
        delivery_id=SEED.choice([None, new_id()]),
    )


@pytest.fixture
async def recorded(app, tenant, owner):
    """Two hundred calls of the last minutes."""
    await owner("UPDATE tenants SET created_at = '2000-01-01' WHERE id = $1", tenant.id)
    moment = datetime.now(UTC) - timedelta(minutes=3)
    calls = [made(tenant.id, moment + timedelta(seconds=n / 2)) for n in range(200)]
    for future in [app.recorder.put(call) for call in calls]:
        await future
    return calls


FILTERS = st.builds(
    CallFilter,
    status=st.sampled_from([None, "success", "failed", "2xx", "4xx", "5xx", "404", "500", "599"]),
    webhook_id=st.sampled_from([None, None, *WEBHOOKS, new_id()]),
    triggered_by=st.sampled_from([None, None, "form", "job", "", "nobody"]),
    cause=st.sampled_from([None, None, None, *CAUSES]),
    min_time=st.sampled_from([None, None, 0, 10, 39]),
    max_time=st.sampled_from([None, None, 40, 20, 0]),
)


async def test_a_filter_takes_what_the_call_log_s_takes(app, tenant, recorded):
    @given(st.lists(FILTERS, min_size=1, max_size=30))
    @settings(max_examples=1, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def draw(found):
        filters.extend(found)

    filters = [CallFilter(status=status) for status in ("success", "failed", "2xx", "4xx", "404", "5xx")]
    for _ in range(5):
        draw()
    found = 0
    for which in filters:
        async with app.database.tenant(tenant.id) as tx:
            listed = await log.list_calls(tx, which, None, 1000)
        mine = {call.id for call in recorded if matches(which, call)}
        assert {call.id for call in listed} == mine, which
        found += len(mine)
    assert found > 500


async def test_calls_are_fetched_as_they_were_recorded_and_in_the_order_asked_for(app, tenant, recorded):
    wanted = SEED.sample(recorded, 50)
    async with app.database.system() as tx:
        calls = await store.get_calls(tx, [*[(call.tenant_id, call.id) for call in wanted], (tenant.id, new_id())])
    assert [shown(call) for call in calls] == [shown(live_call(call)) for call in wanted]


def shown(call: LiveCall):
    return [getattr(call, name) for name in LiveCall.__slots__]


async def test_what_ended_since_a_moment(app, tenant, recorded):
    since = recorded[100].timestamp
    expected = [call for call in map(live_call, recorded) if call.ended >= since]
    assert len(expected) < 110
    expected.sort(key=lambda call: (call.ended, call.id))
    async with app.database.tenant(tenant.id) as tx:
        calls = await store.list_ended(tx, since, 1000)
        assert [call.id for call in calls] == [call.id for call in expected]
        assert await store.find_end(tx, recorded[5].id) == live_call(recorded[5]).ended
        assert await store.find_end(tx, unknown := new_id()) == id_time(unknown)
        newest = await store.list_ended(tx, since, 10)
    assert {call.id for call in newest} == {call.id for call in recorded[-10:]}
    async with app.database.system() as tx:
        everything = await store.list_ended(tx, since, 100_000)  # other tests' calls too
        assert [call.id for call in everything if call.tenant_id == tenant.id] == [call.id for call in expected]


async def plan_of(tx, statement, *values):
    rows = await tx.fetch(f"EXPLAIN {statement}", *values)
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("which", ["_GET", "_LIST_ALL", "_TIME", "_NAMES"])
async def test_a_statement_reads_by_an_index(app, tenant, recorded, which):
    now = datetime.now(UTC)
    values = {
        "_GET": ([tenant.id], [now], [new_id()]),
        "_LIST_ALL": (now, 100),
        "_TIME": (now, new_id()),
        "_NAMES": ([tenant.id], [new_id()]),
    }[which]
    async with app.database.system() as tx:
        plan = await plan_of(tx, getattr(store, which), *values)
    assert "Seq Scan" not in plan, plan
    assert " Sort" not in plan, plan


async def test_a_tenant_s_statement_reads_by_an_index(app, tenant, recorded):
    async with app.database.tenant(tenant.id) as tx:
        await tx.execute("SET LOCAL enable_seqscan = off")
        plan = await plan_of(tx, store._LIST, datetime.now(UTC), 100, tenant.id)
    # Which index is the planner's choice by what the day holds: one that begins with the tenant, or, where its last two
    # minutes hold little of others, the one by time.
    assert "Seq Scan" not in plan, plan
    found = [line for line in plan.splitlines() if "Index Cond: " in line]
    assert plan.count("Index Scan") == len(found) > 0, plan
    assert all("tenant_id = " in line or '"timestamp" > ' in line for line in found), plan
