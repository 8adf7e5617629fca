"""Recording calls: exact under concurrency, one bad row alone, and nothing lost or counted twice whatever breaks."""

import asyncio
import json
import random
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from hookvault.db.pool import Database
from hookvault.errors import UnavailableError
from hookvault.ids import id_time, new_id
from hookvault.webhooks.model import CallRecord
from hookvault.webhooks.record import Recorder

BREAKABLE = "may-be-broken"
URL = "https://n8n.example.com/webhook/order"


def call_of(webhook, *, success=True, response_time=10, **fields):
    identifier = fields.pop("id", None) or new_id()
    return CallRecord(
        tenant_id=webhook.tenant_id,
        id=identifier,
        webhook_id=webhook.id,
        timestamp=fields.pop("timestamp", None) or id_time(identifier),
        request_payload=fields.pop("request_payload", b'{"a":1}'),
        request_headers=b"{}",
        status_code=200 if success else 500,
        response_body=fields.pop("response_body", b'{"ok":true}'),
        response_time=response_time,
        success=success,
        **fields,
    )


@pytest.fixture
async def webhook(app, tenant):
    return await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=URL)


@pytest.fixture
async def database(database_url):
    """Connections of its own, which a test may break."""
    url = f"{database_url}&application_name={BREAKABLE}"
    opened = await Database.connect(url, tenant_connections=1, system_connections=2)
    yield opened
    with suppress(asyncpg.InterfaceError):
        await opened.close()


@pytest.fixture
async def recorder(database):
    made = Recorder(database)
    made.start()
    yield made
    await asyncio.wait_for(made.close(), 20)


async def recorded(futures, seconds=20):
    """How each call's recording ended: None or its error."""
    return await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), seconds)


async def totals(owner, tenant_id):
    """(total, successful) by webhook: in the counters, from the calls, and from the rollups."""
    found = []
    for statement in (
        "SELECT webhook_id, total_calls, successful_calls, failed_calls FROM n8n_webhook_counters WHERE tenant_id = $1",
        (
            "SELECT webhook_id, count(*), count(*) FILTER (WHERE success), count(*) FILTER (WHERE NOT success) "
            "FROM webhook_analytics WHERE tenant_id = $1 GROUP BY 1"
        ),
        (
            "SELECT webhook_id, sum(total_calls)::bigint, sum(successful_calls)::bigint, sum(failed_calls)::bigint "
            "FROM webhook_call_rollups WHERE tenant_id = $1 GROUP BY 1"
        ),
    ):
        rows = await owner(statement, tenant_id)
        found.append({row[0]: (row[1], row[2], row[3]) for row in rows if row[1]})
    return found


async def kept(owner, call):
    rows = await owner("SELECT * FROM webhook_analytics WHERE tenant_id = $1 AND id = $2", call.tenant_id, call.id)
    assert len(rows) == 1
    return rows[0]


async def test_a_call_is_kept_whole(app, owner, recorder, webhook):
    call = call_of(
        webhook,
        success=False,
        error_code="http_500",
        error_message="It failed.",
        triggered_by="orders",
        metadata=b'{"source":"test"}',
        delivery_id=new_id(),
        attempt=3,
        retry_of=new_id(),
    )
    await recorder.put(call)
    row = await kept(owner, call)
    for name in CallRecord._fields:
        expected = getattr(call, name)
        assert (
            row[name] == expected if not isinstance(expected, bytes) else json.loads(row[name]) == json.loads(expected)
        )
    shown = await app.webhooks.get_n8n_webhook(webhook.tenant_id, webhook.id)
    assert (shown.total_calls, shown.successful_calls, shown.failed_calls) == (1, 0, 1)
    assert shown.last_called_at == call.timestamp


async def test_2000_calls_of_five_webhooks_count_exactly(app, owner, tenant, database_url):
    """Several writers and the Python counter at once, all on the same rows."""
    hooks = [await app.webhooks.create_n8n_webhook(tenant.id, f"w{n}", webhook_url=URL) for n in range(5)]
    chance = random.Random(7)
    pools = [await Database.connect(database_url, tenant_connections=1, system_connections=2) for _ in range(3)]
    writers = [Recorder(pool) for pool in pools]
    expected, counted, jobs = Counter(), Counter(), []
    try:
        for writer in writers:
            writer.start()
        for n in range(2000):
            hook, success = chance.choice(hooks), chance.random() < 0.7
            expected[hook.id, success] += 1
            if n % 10 == 0:
                jobs.append(app.webhooks.increment_webhook_stats(tenant.id, hook.id, success=success))
            else:
                counted[hook.id, success] += 1
                jobs.append(chance.choice(writers).put(call_of(hook, success=success)))
            if n % 100 == 0:
                await asyncio.sleep(0.001)
        assert set(await recorded(jobs, 60)) == {None}
    finally:
        for writer, pool in zip(writers, pools, strict=True):
            await writer.close()
            await pool.close()

    def figures(counts):
        return {
            h.id: (counts[h.id, True] + counts[h.id, False], counts[h.id, True], counts[h.id, False]) for h in hooks
        }

    counters, calls, rollups = await totals(owner, tenant.id)
    assert counters == figures(expected)
    assert calls == rollups == figures(counted)
    assert sum(total for total, _, _ in counters.values()) == 2000


async def test_minutes_keep_sum_and_maximum_of_response_times(owner, recorder, webhook):
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    moments = [minute, minute + timedelta(seconds=59, milliseconds=999), minute - timedelta(milliseconds=1)]
    calls = [
        call_of(webhook, timestamp=moment, response_time=ms) for moment, ms in zip(moments, (5, 70, 9), strict=True)
    ]
    await recorded([recorder.put(call) for call in calls])
    await recorder.put(call_of(webhook, timestamp=minute, response_time=20, success=False))
    rows = await owner("SELECT * FROM webhook_call_rollups WHERE tenant_id = $1 ORDER BY minute", webhook.tenant_id)
    assert [tuple(row.values())[2:] for row in rows] == [
        (minute - timedelta(minutes=1), 1, 1, 0, 9, 9),
        (minute, 3, 2, 1, 95, 70),
    ]


BAD = {
    "a number beyond numeric": ({"request_payload": b'{"n":1e200000}'}, '{"n":1e200000}'),
    "NUL": ({"request_payload": rb'{"a":"x\u0000y"}'}, r'{"a":"x\u0000y"}'),
    "a lone surrogate": ({"response_body": rb'"\ud800"'}, r'"\ud800"'),
    "no JSON at all": ({"response_body": b"<h1>"}, "<h1>"),
    "bytes that are no UTF-8": ({"response_body": b'"\xff\x00"'}, '"\ufffd\ufffd"'),
    "metadata": ({"metadata": rb'["\u0000"]'}, r'["\u0000"]'),
}


@pytest.mark.parametrize("kind", BAD)
async def test_json_that_jsonb_cannot_hold_is_kept_as_text(owner, recorder, webhook, kind):
    fields, text = BAD[kind]
    call = call_of(webhook, **fields)
    await asyncio.wait_for(recorder.put(call), 20)
    row = await kept(owner, call)
    assert row["altered"]
    assert json.loads(row[next(iter(fields))]) == text
    counters, calls, rollups = await totals(owner, webhook.tenant_id)
    assert counters == calls == rollups == {webhook.id: (1, 1, 0)}


@pytest.mark.parametrize("text", ["x\x00y", "\ud800"], ids=["NUL", "lone surrogate"])
async def test_text_that_a_text_column_cannot_hold_is_replaced(owner, recorder, webhook, text):
    call = call_of(webhook, success=False, triggered_by=text, error_message=text)
    assert await recorded([recorder.put(call)]) == [None]
    row = await kept(owner, call)
    assert row["altered"]
    assert row["triggered_by"] == row["error_message"] == text.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")


async def test_a_bad_row_keeps_no_other_from_being_recorded(owner, recorder, webhook):
    calls = [call_of(webhook, response_time=n) for n in range(200)]
    for n, fields in (
        (3, {"request_payload": b"1e200000"}),
        (77, {"response_body": rb'"\u0000"'}),
        (199, {"metadata": b"{"}),
    ):
        calls[n] = calls[n]._replace(**fields)
    hopeless = 120
    calls[hopeless] = calls[hopeless]._replace(response_time=2**40)  # no text form helps here
    ended = await recorded([recorder.put(call) for call in calls])
    errors = {n: error for n, error in enumerate(ended) if error is not None}
    assert set(errors) == {hopeless}
    assert isinstance(errors[hopeless], UnavailableError)
    assert errors[hopeless].code == "recording_unavailable"
    assert errors[hopeless].members["callId"] == str(calls[hopeless].id)
    counters, found, rollups = await totals(owner, webhook.tenant_id)
    assert counters == found == rollups == {webhook.id: (199, 199, 0)}
    altered = await owner(
        "SELECT response_time FROM webhook_analytics WHERE tenant_id = $1 AND altered", webhook.tenant_id
    )
    assert {row[0] for row in altered} == {3, 77, 199}
    await asyncio.wait_for(recorder.put(call_of(webhook)), 20)  # and the writer goes on


@pytest.mark.parametrize("days", [-500, -40, 60, 3000])
async def test_a_missing_day_is_made(owner, recorder, webhook, days):
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    calls = [
        call_of(webhook, timestamp=moment),
        call_of(webhook),
        call_of(webhook, timestamp=moment - timedelta(days=1)),
    ]
    assert await recorded([recorder.put(call) for call in calls]) == [None] * 3
    partition = await owner("SELECT tableoid::regclass::text FROM webhook_analytics WHERE id = $1", calls[0].id)
    assert partition[0][0] == f"webhook_analytics_p{moment:%Y%m%d}"
    assert (await totals(owner, webhook.tenant_id))[0] == {webhook.id: (3, 3, 0)}


async def test_two_writers_that_miss_the_same_day_both_succeed(owner, database_url, webhook):
    moment = datetime.now(UTC) - timedelta(days=800)
    pools = [await Database.connect(database_url, tenant_connections=1, system_connections=1) for _ in range(4)]
    writers = [Recorder(pool) for pool in pools]
    for writer in writers:
        writer.start()
    jobs = [writer.put(call_of(webhook, timestamp=moment)) for writer in writers]
    assert await recorded(jobs) == [None] * 4
    for writer, pool in zip(writers, pools, strict=True):
        await writer.close()
        await pool.close()
    assert (await totals(owner, webhook.tenant_id))[1] == {webhook.id: (4, 4, 0)}


async def test_connections_killed_all_the_while_lose_and_double_nothing(owner, database, recorder, webhook):
    """Also when the connection dies between the commit and its answer: the writer looks before it writes again."""
    killing = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND (state <> 'idle' OR $2)"
    )
    stop, killed, rounds = asyncio.Event(), 0, 0

    async def kill():
        nonlocal killed, rounds
        while not stop.is_set():
            rounds += 1
            killed += len(await owner(killing, BREAKABLE, rounds % 10 == 0))  # idle ones too, now and then
            await asyncio.sleep(0.01)

    killer = asyncio.create_task(kill())
    jobs = []
    for _ in range(100):
        jobs += [recorder.put(call_of(webhook)) for _ in range(20)]
        await asyncio.sleep(0.02)
    stop.set()
    await killer
    ended = await recorded(jobs, 60)
    assert killed > 3
    assert set(ended) == {None}
    counters, calls, rollups = await totals(owner, webhook.tenant_id)
    assert counters == calls == rollups == {webhook.id: (2000, 2000, 0)}


async def test_an_answer_lost_after_the_commit_counts_once(owner, database, recorder, webhook, monkeypatch):
    """The connection breaks exactly there: the row is committed, and the writer is told that it isn't."""
    opened = type(database).system_statement
    broken = []

    class Breaks:
        def __init__(self):
            self.inner = opened(database)

        async def __aenter__(self):
            return await self.inner.__aenter__()

        async def __aexit__(self, *caught):
            await self.inner.__aexit__(*caught)
            if not broken:
                broken.append(True)
                raise UnavailableError("connection lost", code="database_unavailable")

    monkeypatch.setattr(database, "system_statement", Breaks, raising=False)
    await asyncio.wait_for(recorder.put(call_of(webhook)), 20)
    assert broken
    counters, calls, rollups = await totals(owner, webhook.tenant_id)
    assert counters == calls == rollups == {webhook.id: (1, 1, 0)}


async def test_an_admin_s_open_transaction_does_not_stall_recording(owner, database_url, recorder, webhook):
    admin = await asyncpg.connect(database_url)
    try:
        async with admin.transaction():
            locked = "SELECT * FROM n8n_webhooks WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
            assert len(await admin.fetch(locked, webhook.tenant_id, webhook.id)) == 1
            await admin.execute("UPDATE n8n_webhooks SET description = 'x' WHERE tenant_id = $1", webhook.tenant_id)
            await admin.execute("SELECT * FROM tenants WHERE id = $1 FOR UPDATE", webhook.tenant_id)
            await asyncio.wait_for(recorder.put(call_of(webhook)), 3)
    finally:
        await admin.close()
    assert (await totals(owner, webhook.tenant_id))[0] == {webhook.id: (1, 1, 0)}


async def test_calls_of_a_deleted_webhook_and_tenant_are_recorded_still(app, owner, recorder, webhook):
    """They were under way when an admin deleted it."""
    await app.webhooks.delete_n8n_webhook(webhook.tenant_id, webhook.id)
    await asyncio.wait_for(recorder.put(call_of(webhook)), 20)
    await app.tenants.delete_tenant(webhook.tenant_id)
    await asyncio.wait_for(recorder.put(call_of(webhook)), 20)
    assert (await totals(owner, webhook.tenant_id))[1] == {webhook.id: (2, 2, 0)}


async def test_closing_records_what_is_queued_first(owner, database, webhook):
    for count in (1, 2500):
        before = (await totals(owner, webhook.tenant_id))[1].get(webhook.id, (0,))[0]
        recorder = Recorder(database)
        recorder.start()
        jobs = [recorder.put(call_of(webhook)) for _ in range(count)]
        await asyncio.wait_for(recorder.close(), 30)
        assert [job.done() and job.exception() for job in jobs] == [None] * count
        assert (await totals(owner, webhook.tenant_id))[1][webhook.id][0] == before + count
        (late,) = await recorded([recorder.put(call_of(webhook))], 2)  # told so, not left waiting
        assert isinstance(late, UnavailableError)


async def test_callers_are_told_when_the_database_stays_away(owner, database, webhook, monkeypatch):
    monkeypatch.setattr("hookvault.db.writer.PATIENCE_S", 0.3)
    recorder = Recorder(database)
    recorder.start()
    await database.close()
    call = call_of(webhook, retry_of=new_id())
    (error,) = await recorded([recorder.put(call)])
    assert isinstance(error, UnavailableError)
    assert (error.code, error.members["callId"]) == ("recording_unavailable", str(call.retry_of))
    await asyncio.wait_for(recorder.close(), 5)


async def test_a_caller_who_leaves_takes_nothing_along(owner, recorder, webhook):
    jobs = [recorder.put(call_of(webhook)) for _ in range(20)]
    for job in jobs[::2]:
        job.cancel()
    await recorded(jobs)
    await asyncio.wait_for(recorder.put(call_of(webhook)), 20)
    assert (await totals(owner, webhook.tenant_id))[1] == {webhook.id: (21, 21, 0)}


async def test_totals_for_metrics(recorder, webhook):
    await recorded([recorder.put(call_of(webhook, success=n % 3 == 0)) for n in range(9)])
    assert recorder.totals == {"success": 3, "failed": 6}
    assert recorder.waiting == 0
