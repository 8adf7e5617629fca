"""Reading calls: figures, half-open ranges, pages while rows arrive, days dropped whole."""

import math
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.analytics.model import CallFilter
from hookvault.analytics.service import OutsideCall, checked_range
from hookvault.clock import now
from hookvault.errors import InvalidError, NotFoundError
from hookvault.ids import id_time, new_id
from hookvault.paging import encode_cursor
from hookvault.webhooks.model import CallRecord
from hookvault.webhooks.store import make_day

URL = "https://n8n.example.com/webhook/order"
MS = timedelta(milliseconds=1)
SOME_ID = "7b2c9f14-5d3e-4a86-9c01-3f6de1a8b452"


@pytest.fixture
async def webhook(app, tenant, owner):
    """A webhook of a tenant that has been there for years."""
    await owner("UPDATE tenants SET created_at = '2000-01-01' WHERE id = $1", tenant.id)
    return await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=URL)


def id_at(moment):
    """A UUIDv7 of that millisecond."""
    milliseconds = round(moment.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | new_id().int & ((1 << 80) - 1))


def call_at(webhook, moment, *, response_time=10, status=200, **fields):
    identifier = id_at(moment)
    return CallRecord(
        tenant_id=webhook.tenant_id,
        id=identifier,
        webhook_id=webhook.id,
        timestamp=id_time(identifier),
        request_payload=b"{}",
        request_headers=b"{}",
        status_code=status,
        response_body=None,
        response_time=response_time,
        success=status == 200,
        **fields,
    )


async def keep(app, calls):
    futures = [app.recorder.put(call) for call in calls]
    for future in futures:
        await future
    return calls


def percentile(values, share):
    """percentile_cont by hand: linear between the two ranks around share * (n - 1)."""
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
    return low + (high - low) * (at - math.floor(at))


@pytest.mark.parametrize("count", [1, 2, 3, 20, 101, 500])
async def test_a_summary_counts_exactly_and_has_percentiles_within_5_percent(app, tenant, webhook, count):
    chance = random.Random(count)
    times = [chance.choice([5, 17, 1000, chance.randrange(30_000)]) for _ in range(count)]
    statuses = [chance.choice([200, 200, 500, None]) for _ in times]
    moment = now()
    await keep(
        app,
        [
            call_at(webhook, moment - n * MS, response_time=t, status=s)
            for n, (t, s) in enumerate(zip(times, statuses, strict=True))
        ],
    )
    figures = (await app.analytics.get_webhook_analytics_summary(tenant.id)).figures
    assert (figures.total_calls, figures.successful_calls) == (count, statuses.count(200))
    assert figures.failed_calls == count - statuses.count(200)
    assert figures.success_rate == pytest.approx(statuses.count(200) / count)
    assert figures.average_response_time == pytest.approx(sum(times) / count)
    for found, share in ((figures.p50, 0.5), (figures.p95, 0.95), (figures.p99, 0.99)):
        assert found == pytest.approx(percentile(times, share), rel=0.05)


async def test_no_calls_have_no_figures(app, tenant):
    summary = await app.analytics.get_webhook_analytics_summary(tenant.id)
    assert (summary.figures.total_calls, summary.figures.p99, summary.figures.average_response_time) == (0, None, None)
    assert summary.figures.success_rate is None
    assert summary.previous == summary.figures


async def test_a_range_holds_its_start_and_not_its_end(app, tenant, webhook):
    start = now().replace(microsecond=0) - timedelta(hours=5)
    end = start + timedelta(hours=1)
    await keep(app, [call_at(webhook, moment) for moment in (start - MS, start, end - MS, end)])
    inside = await app.analytics.get_webhook_analytics_by_tenant(tenant.id, start, end)
    assert [call.timestamp for call in inside] == [end - MS, start]
    summary = await app.analytics.get_webhook_analytics_summary(tenant.id, start, end)
    assert (summary.start, summary.end) == (start, end)
    assert (summary.figures.total_calls, summary.previous.total_calls) == (2, 1)
    joined = [
        await app.analytics.get_webhook_analytics_by_tenant(tenant.id, *part)
        for part in ((start, end), (end, end + timedelta(hours=1)))
    ]
    assert [len(part) for part in joined] == [2, 1]  # neighbouring ranges share no call


async def test_the_period_before_is_of_the_same_length(app, tenant, webhook):
    start = now().replace(microsecond=0) - timedelta(hours=9)
    end = start + timedelta(hours=2)
    before = start - (end - start)
    moments = {"before it": before - MS, "first": before, "last": start - MS, "in": start, "after": end}
    await keep(app, [call_at(webhook, moment, response_time=100 + n) for n, moment in enumerate(moments.values())])
    summary = await app.analytics.get_webhook_analytics_summary(tenant.id, start, end)
    assert (summary.figures.total_calls, summary.figures.p50) == (1, 103)
    assert (summary.previous.total_calls, summary.previous.average_response_time) == (2, 101.5)


async def test_30_days_are_the_default_and_this_very_moment_is_in(app, tenant, webhook):
    newest = now()
    await keep(
        app,
        [
            call_at(webhook, newest - timedelta(days=age, minutes=minutes))
            for age, minutes in ((0, 0), (29, 1439), (30, 1), (31, 0))
        ],
    )
    assert len(await app.analytics.get_webhook_analytics_by_tenant(tenant.id)) == 2
    summary = await app.analytics.get_webhook_analytics_summary(tenant.id)
    assert summary.end - summary.start == timedelta(days=30)
    assert summary.figures.total_calls == 2
    assert summary.previous.total_calls == 2
    assert len(await app.analytics.get_webhook_analytics(tenant.id, webhook.id)) == 4  # the last ones, however old


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
        (datetime(1990, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
        (None, datetime.min.replace(tzinfo=UTC)),
        (datetime.max.replace(tzinfo=UTC), None),
        (datetime.min, datetime.max),  # noqa: DTZ901 - extremes
    ],
    ids=["backwards", "empty", "too long", "before time", "after time", "all of it"],
)
async def test_a_range_that_makes_no_sense_is_refused(app, tenant, start, end):
    for ask in (app.analytics.get_webhook_analytics_summary, app.analytics.get_webhook_analytics_by_tenant):
        with pytest.raises(InvalidError) as caught:
            await ask(tenant.id, start, end)
        assert caught.value.code == "invalid_range"


@given(st.none() | st.datetimes(), st.none() | st.datetimes())
def test_any_range_is_half_open_or_refused(start, end):
    try:
        first, last = checked_range(start, end)
    except InvalidError as error:
        assert error.code == "invalid_range"
    else:
        assert first < last
        assert last - first <= timedelta(days=3660)
        assert first.utcoffset() == last.utcoffset() == timedelta(0)


async def test_naive_times_are_utc(app, tenant, webhook):
    moment = now().replace(microsecond=0) - timedelta(hours=1)
    await keep(app, [call_at(webhook, moment)])
    naive = moment.replace(tzinfo=None)
    assert len(await app.analytics.get_webhook_analytics_by_tenant(tenant.id, naive, naive + timedelta(seconds=1))) == 1


async def test_a_summary_of_one_webhook(app, tenant, webhook):
    other = await app.webhooks.create_n8n_webhook(tenant.id, "other", webhook_url=URL)
    moment = now()
    await keep(app, [call_at(webhook, moment), call_at(webhook, moment), call_at(other, moment, status=500)])
    for wanted, total, successful in ((None, 3, 2), (webhook.id, 2, 2), (other.id, 1, 0), (uuid4(), 0, 0)):
        figures = (await app.analytics.get_webhook_analytics_summary(tenant.id, webhook_id=wanted)).figures
        assert (figures.total_calls, figures.successful_calls) == (total, successful)


async def test_the_last_100_calls_newest_first(app, tenant, webhook):
    moment = now()
    calls = await keep(app, [call_at(webhook, moment - n * MS) for n in range(130)])
    found = await app.analytics.get_webhook_analytics(tenant.id, webhook.id)
    assert [call.id for call in found] == [call.id for call in calls[:100]]
    assert found[0].workflow_name == "order"
    assert [call.id for call in await app.analytics.get_webhook_analytics(tenant.id, webhook.id, limit=3)] == [
        call.id for call in calls[:3]
    ]


async def test_pages_stay_right_while_calls_arrive(app, tenant, webhook):
    """Many in one millisecond, and new ones between any two pages."""
    moment = now() - timedelta(seconds=5)
    calls = await keep(app, [call_at(webhook, moment - (n // 7) * MS) for n in range(40)])
    wanted = [call.id for call in sorted(calls, key=lambda call: (call.timestamp, call.id), reverse=True)]
    for limit in (1, 4, 9, 40, 41):
        for listing in (
            lambda **page: app.analytics.list_webhook_calls(tenant.id, webhook.id, **page),
            lambda **page: app.analytics.list_tenant_calls(tenant.id, CallFilter(end=moment + MS), **page),
        ):
            found, cursor = [], None
            while True:
                page = await listing(limit=limit, cursor=cursor)
                found += [call.id for call in page.items]
                cursor = page.next_cursor
                if cursor is None:
                    break
                if limit == 9:
                    await keep(app, [call_at(webhook, now())])
            assert [identifier for identifier in found if identifier in set(wanted)] == wanted


async def test_filters(app, tenant, webhook):
    other = await app.webhooks.create_n8n_webhook(tenant.id, "other", webhook_url=URL)
    moment = now()
    statuses = [200, 404, 429, 500, 503, None]
    calls = [call_at(webhook, moment, status=status, triggered_by="shop") for status in statuses] + [
        call_at(other, moment)
    ]
    await keep(app, calls)

    async def found(**which):
        page = await app.analytics.list_tenant_calls(tenant.id, CallFilter(**which))
        return sorted((call.status_code or 0) for call in page.items)

    assert await found() == [0, 200, 200, 404, 429, 500, 503]
    assert await found(status="success") == [200, 200]
    assert await found(status="failed") == [0, 404, 429, 500, 503]
    assert await found(status="4xx") == [404, 429]
    assert await found(status="503") == [503]
    assert await found(status="2xx", webhook_id=webhook.id) == [200]
    assert await found(triggered_by="shop", status="5xx") == [500, 503]
    assert await found(triggered_by="nobody") == []
    for status in ("6xx", "99", "ok", "4xx ", "", "2xx' OR 'a'='a"):
        with pytest.raises(InvalidError):
            await found(status=status)


async def test_calls_made_elsewhere_are_kept_with_the_others(app, tenant, webhook):
    call = OutsideCall(
        webhook.id,
        success=False,
        response_time=42,
        status_code=502,
        request_payload={"n": [1, None, "ü"]},
        response_body="Bad gateway",
        error_code="http_502",
        error_message="It answered 502.",
        triggered_by="legacy",
        metadata={"a": 1},
    )
    kept = await app.analytics.create_webhook_analytics(tenant.id, call)
    assert kept == await app.analytics.get_call(tenant.id, kept.id)
    assert [found.id for found in await app.analytics.get_webhook_analytics(tenant.id, webhook.id)] == [kept.id]
    for name in OutsideCall.__slots__:
        assert getattr(kept, name) == getattr(call, name)
    with pytest.raises(NotFoundError):
        await app.analytics.create_webhook_analytics(tenant.id, OutsideCall(uuid4(), success=True, response_time=1))
    for payload in ("\x00", {"a": "\ud800"}, float("nan"), object()):
        try:
            await app.analytics.create_webhook_analytics(
                tenant.id, OutsideCall(webhook.id, success=True, response_time=1, request_payload=payload)
            )
        except InvalidError:
            pass  # refused, not broken


@pytest.mark.parametrize(
    "identifier",
    [UUID(SOME_ID), UUID(int=0), UUID(int=2**128 - 1), UUID("e8000000-0000-4000-8000-000000000000")],
    ids=str,
)
async def test_a_call_that_is_not_there(app, tenant, identifier):
    with pytest.raises(NotFoundError) as caught:
        await app.analytics.get_call(tenant.id, identifier)
    assert caught.value.code == "call_not_found"


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        encode_cursor("audit", "2026-01-01T00:00:00.000Z", SOME_ID),
        encode_cursor("calls", "0001-01-01T00:00:00+23:59", SOME_ID),
        encode_cursor("calls", "9999-12-31T23:59:59-23:59", SOME_ID),
        encode_cursor("calls", "2026-01-01T00:00:00.000Z", "\x00"),
    ],
)
async def test_a_foreign_cursor_is_refused(app, tenant, webhook, cursor):
    with pytest.raises(InvalidError):
        await app.analytics.list_webhook_calls(tenant.id, webhook.id, cursor=cursor)


async def test_a_tenant_that_never_was_has_no_calls(app):
    for ask in (app.analytics.get_webhook_analytics_by_tenant, app.analytics.get_webhook_analytics_summary):
        with pytest.raises(NotFoundError) as caught:
            await ask("never-was")
        assert caught.value.code == "tenant_not_found"


async def test_whoever_is_given_a_deleted_tenant_s_id_sees_nothing_of_it(app, tenant, webhook):
    (call,) = await keep(app, [call_at(webhook, now())])
    await app.tenants.delete_tenant(tenant.id)
    assert len(await app.analytics.get_webhook_analytics_by_tenant(tenant.id)) == 1
    await app.tenants.create_tenant("Another", tenant_id=tenant.id)
    assert await app.analytics.get_webhook_analytics_by_tenant(tenant.id) == []
    assert (await app.analytics.get_webhook_analytics_summary(tenant.id)).figures.total_calls == 0
    with pytest.raises(NotFoundError):
        await app.analytics.get_call(tenant.id, call.id)
    try:
        assert await app.analytics.get_webhook_analytics(tenant.id, webhook.id) == []
    except NotFoundError as error:
        assert error.code == "webhook_not_found"


async def test_old_days_are_dropped_whole_and_counted(app, owner, tenant, webhook):
    today = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    ages = [0, 89, 90, 91, 92, 500]
    async with app.database.system() as tx:
        await make_day(tx, today - timedelta(days=300))  # an empty one
    await app.analytics.delete_old_webhook_analytics(1)
    await keep(app, [call_at(webhook, today - timedelta(days=age)) for age in ages for _ in range(3)])
    assert await app.analytics.delete_old_webhook_analytics(90) == 9
    assert await app.analytics.delete_old_webhook_analytics() == 0
    rows = await owner("SELECT DISTINCT timestamp::date AS day FROM webhook_analytics WHERE tenant_id = $1", tenant.id)
    assert {row["day"] for row in rows} == {(today - timedelta(days=age)).date() for age in (0, 89, 90)}
    partitions = await owner("SELECT relname FROM pg_class WHERE relname LIKE 'webhook_analytics_p%' AND relkind = 'r'")
    assert min(row[0] for row in partitions) == f"webhook_analytics_p{today - timedelta(days=90):%Y%m%d}"
    totals = await owner("SELECT sum(total_calls)::int FROM webhook_call_rollups WHERE tenant_id = $1", tenant.id)
    assert totals[0][0] == 18  # rollups and counters stay
    assert (await app.webhooks.get_n8n_webhook(tenant.id, webhook.id)).total_calls == 18
    await keep(app, [call_at(webhook, today - timedelta(days=91))])  # a late one makes its day again
    assert await app.analytics.delete_old_webhook_analytics(90) == 1


@pytest.mark.parametrize("days", [0, -1, 36501])
async def test_at_least_a_day_is_kept(app, days):
    with pytest.raises(InvalidError):
        await app.analytics.delete_old_webhook_analytics(days)


async def test_days_are_made_ahead_once(app, owner):
    await app.analytics.make_days(9)
    await app.analytics.make_days(9)
    last = datetime.now(UTC) + timedelta(days=9)
    assert (await owner("SELECT to_regclass($1) IS NOT NULL", f"webhook_analytics_p{last:%Y%m%d}"))[0][0]
