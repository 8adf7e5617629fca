"""What the rollups and the call log's indexes cost those who record calls, and what it takes to forget a day."""

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta

import uvloop

import cpu
import fill
import history
import stage as stages
from history import History
from hookvault.analytics.rolling.roller import Roller
from hookvault.db.pool import Database
from hookvault.ids import id_time, new_id
from hookvault.webhooks import store
from hookvault.webhooks.model import CallRecord
from hookvault.webhooks.record import Recorder
from processes import VoidError

BATCHES = {1: 4_000, 16: 16_000, 128: 38_400}  # calls of a run, by how many are recorded at once
FORGOTTEN = 1_000_000
WAYS = ("as it is", "without rollups", "without the log's indexes")
_BODY = b'{"success":true,"message":"Workflow was started"}'
_HEADERS = b'{"content-type":"application/json","authorization":"***","webhook-id":"x","webhook-signature":"v1,x"}'
_INDEXES = """
SELECT indexrelid::regclass::text AS name, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') AS made
FROM pg_index WHERE indrelid = 'webhook_analytics'::regclass AND NOT indisprimary
    AND indexrelid <> 'webhook_analytics_webhook'::regclass ORDER BY 1
"""
_record = store.record
_head, _, _rest = store._RECORD.partition("), rolled_up AS (")  # noqa: SLF001 - edited on purpose
_WITHOUT_ROLLUPS = _head + ")" + _rest[_rest.index("\nINSERT INTO webhook_analytics") :]


async def record_only(tx, calls, *, counted_already=False, **_late):
    """As `store.record`, without minutes."""
    counted = {}
    for call in calls:
        key = (call.tenant_id, call.webhook_id)
        counters = counted.get(key)
        if counters is None:
            counters = counted[key] = [0, 0, 0, call.timestamp]
        if not counted_already:
            counters[0] += 1
            counters[1] += call.success
            counters[2] += not call.success
        counters[3] = max(counters[3], call.timestamp)
    ordered = {key: counted[key] for key in sorted(counted)}
    await tx.execute(_WITHOUT_ROLLUPS, *zip(*calls, strict=True), *store._columns(ordered))  # noqa: SLF001


def recording(rounds, _seconds):
    """CPU of recording a call, of this process and Postgres, by batch and way; each way in turn."""
    with stages.opened(1, history.WEBHOOKS) as stage:
        return uvloop.run(_recorded(stage, rounds))


async def _recorded(stage, rounds):
    database = await Database.connect(stage.database_url)
    await Roller(database).advance()  # from here on late calls would be noted
    async with stages.owner(stage) as connection:
        indexes = await connection.fetch(_INDEXES)
    found = {batch: {way: [] for way in WAYS} for batch in BATCHES}
    for number in range(rounds):
        for batch, calls in BATCHES.items():
            for way in WAYS if number % 2 else reversed(WAYS):
                await _prepare(stage, way, indexes)
                found[batch][way].append(await _run(stage, database, batch, calls))
        history.note(f"round {number + 1}, recording")
    store.record = _record
    await database.close()
    return {"batches": found, "indexes": [row["name"] for row in indexes]}


async def _prepare(stage, way, indexes):
    """All ways begin with an empty day."""
    store.record = record_only if way == WAYS[1] else _record
    async with stages.owner(stage) as connection:
        await connection.execute("TRUNCATE webhook_analytics")
        for row in indexes:
            await connection.execute(f"DROP INDEX IF EXISTS {row['name']}")
            if way != WAYS[2]:
                await connection.execute(row["made"])
        await connection.execute("CHECKPOINT")


async def _run(stage, database, batch, calls):
    """Microseconds of CPU for a call: `python` and `postgres`."""
    recorder = Recorder(database)
    for _ in range(20):
        await _record_some(stage, recorder, batch)
    before = (cpu.process_us(os.getpid()), cpu.tree_us(stage.postmaster))
    for _ in range(calls // batch):
        await _record_some(stage, recorder, batch)
    after = (cpu.process_us(os.getpid()), cpu.tree_us(stage.postmaster))
    await recorder.close()
    async with stages.owner(stage) as connection:
        rows = await connection.fetchval("SELECT count(*) FROM webhook_analytics")
    if rows != calls + 20 * batch:
        raise VoidError(f"{rows} rows of {calls + 20 * batch} calls")
    return {name: (b - a) / calls for name, a, b in zip(("python", "postgres"), before, after, strict=True)}


async def _record_some(stage, recorder, batch):
    await asyncio.gather(
        *[recorder.put(_call(stage.webhooks[number % len(stage.webhooks)])) for number in range(batch)]
    )


def _call(webhook):
    identifier = new_id()
    return CallRecord(
        tenant_id=webhook[0],
        id=identifier,
        webhook_id=webhook[1],
        timestamp=id_time(identifier),
        request_payload=fill.payload(identifier.int % 1000),
        request_headers=_HEADERS,
        status_code=200,
        response_body=_BODY,
        response_time=identifier.int % 500,
        success=True,
        error_code=None,
        error_message=None,
    )


def forgetting(rounds, _seconds):
    """A day of calls with payloads of 1 KB: dropped as retention does, and deleted; seconds, WAL and disk."""
    found = {"dropped": [], "deleted": []}
    for number in range(rounds):
        with stages.opened(1, history.WEBHOOKS) as stage:
            for name, result in asyncio.run(_forgotten(stage)).items():
                found[name].append(result)
        history.note(f"round {number + 1}, forgetting")
    return found


async def _forgotten(stage):
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [today - timedelta(days=each) for each in (5, 4)]
    pairs = [webhook[:2] for webhook in stage.webhooks]
    payload = f"jsonb_build_object('number', n, 'text', repeat('x', {fill.PAYLOAD_BYTES - 30}))"
    for day in days:
        made = History(FORGOTTEN, pairs, payload=payload, days=1, until=day)
        await history.tell(stage, made, until=day + timedelta(days=1))
    delete = 'DELETE FROM webhook_analytics WHERE "timestamp" >= $1 AND "timestamp" < $2'
    drop = "SELECT hookvault_drop_day('webhook_analytics', $1)"
    async with stages.owner(stage) as connection:
        await connection.execute("VACUUM (ANALYZE) webhook_analytics", timeout=600)
        return {
            "dropped": await _measured(connection, lambda: [(drop, days[0].date())]),
            "deleted": await _measured(
                connection, lambda: [(delete, days[1], days[1] + timedelta(days=1)), ("VACUUM webhook_analytics",)]
            ),
        }


async def _measured(connection, statements):
    """Seconds of each statement, bytes of WAL, bytes of disk given back."""
    await connection.execute("CHECKPOINT")
    size = await connection.fetchval("SELECT pg_database_size(current_database())")
    wal = await connection.fetchval("SELECT pg_current_wal_insert_lsn()")
    seconds = []
    for statement in statements():
        began = time.perf_counter()
        await connection.execute(*statement, timeout=600)
        seconds.append(time.perf_counter() - began)
    after = await connection.fetchval("SELECT pg_database_size(current_database())")
    return {
        "seconds": seconds,
        "wal": int(await connection.fetchval("SELECT pg_current_wal_insert_lsn() - $1::pg_lsn", wal)),
        "given_back": size - after,
    }
