"""Asking the analytics: beside how many calls the answers cost the same, how exact percentiles are, and the pages of the log."""

import statistics
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import uvloop

import history
import stage as stages
from history import History
from hookvault.analytics.figures import FiguresService
from hookvault.analytics.model import CallFilter
from hookvault.analytics.service import AnalyticsService
from hookvault.clock import now
from hookvault.db.pool import Database
from hookvault.errors import HookvaultError
from processes import VoidError

SIZES = (100_000, 1_000_000)
LARGE = (100_000, 1_000_000, 10_000_000)
SMALL_TENANTS = 999
PERCENTILES = ("p50", "p95", "p99")
_RAW = """
SELECT count(*) AS calls, count(*) FILTER (WHERE NOT success) AS failed, avg(response_time) AS average,
    percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY response_time) AS percentiles
FROM webhook_analytics WHERE tenant_id = $1 AND "timestamp" >= $2 AND "timestamp" < $3
"""
_EXACT = """
SELECT webhook_id, date_trunc('day', "timestamp", 'UTC') AS day, count(*) AS calls,
    percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY response_time) AS percentiles
FROM webhook_analytics WHERE tenant_id = $1 AND "timestamp" >= $2 AND "timestamp" < $3
GROUP BY GROUPING SETS ((), (1, 2))
"""
SHAPES = {
    "log-normal, 2 % slow": history.LATENCY,
    "two peaks": "CASE WHEN random() < 0.6 THEN random_normal(60, 5) ELSE random_normal(900, 60) END",
    "uniform to 5 s": "5000 * random()",
    "all alike": "137",
    "all below 20 ms": "1 + 18 * random()",
}
_SHAPE_CALLS = 150_000


def questions(figures, tenant_id):
    """What is asked, by what it's called in the table."""
    asked = {
        "summary": lambda: figures.summarize(tenant_id),
        "series by day, UTC": lambda: figures.list_series(tenant_id, "day"),
        "series by day, Berlin": lambda: figures.list_series(tenant_id, "day", zone="Europe/Berlin"),
        "series by hour, 48 h": lambda: figures.list_series(tenant_id, "hour"),
        "errors": lambda: figures.list_errors(tenant_id),
        "heat map": lambda: figures.map_heat(tenant_id),
    }
    if tenant_id is None:
        return {**asked, "tenants": figures.list_tenants}
    return {
        **asked,
        "slowest webhooks": lambda: figures.rank_webhooks(tenant_id, "slowest"),
        "health": lambda: figures.list_health(tenant_id),
    }


def reading(rounds, _seconds):
    """Seconds of each question for tenants of several sizes, beside the raw SQL."""
    return _reading(SIZES, rounds)


def reading_large(rounds, _seconds):
    """The same with a tenant of ten million calls: a quarter of an hour."""
    return _reading(LARGE, rounds)


def _reading(sizes, rounds):
    with stages.opened(len(sizes), history.WEBHOOKS) as stage:
        return uvloop.run(_read(stage, sizes, rounds))  # as the service does


async def _read(stage, sizes, rounds):
    histories = [History(calls, _pairs(stage, number)) for number, calls in enumerate(sizes)]
    histories.append(History(sizes[0], await history.add_tenants(stage, SMALL_TENANTS)))
    for each in histories:
        await history.tell(stage, each)
        history.note(f"{each.calls} calls made in {each.loading_s:.0f} s")
    for each in histories:  # what happened meanwhile, before anything is rolled up
        await history.tell(stage, each)
    await history.check(stage, histories)
    rolled_s, built = await history.roll(stage)
    history.note(f"{built} rollups built in {rolled_s:.0f} s")
    await history.analyze(stage)
    found = {"rolled_s": rolled_s, "built": built, "calls": sum(sizes) + sizes[0], "rounds": []}
    database = await Database.connect(stage.database_url)
    for number in range(rounds):
        for each in histories:
            await history.tell(stage, each)
        await history.roll(stage)
        found["rounds"].append(await _asked(stage, database, sizes))
        history.note(f"round {number + 1}, reading")
    await _balanced(stage, database, sizes)
    found["log"] = await logged(database, _tenant(len(sizes) - 1), rounds)
    await database.close()
    return found


async def _balanced(stage, database, sizes):
    """A summary counts the calls that there are."""
    last = now()
    first = last - history.DAYS * timedelta(days=1)
    for number in range(len(sizes)):
        told = (await FiguresService(database).summarize(_tenant(number), first, last)).figures
        async with stages.owner(stage) as connection:
            row = await connection.fetchrow(_RAW, _tenant(number), first, last)
        if (told.total_calls, told.failed_calls) != (row["calls"], row["failed"]):
            raise VoidError(f"{told} was told of {dict(row)}")


async def _asked(stage, database, sizes):
    """A round: every question to every size in turn, and the raw SQL; seconds by question and size."""
    figures = FiguresService(database)
    whose = {str(calls): _tenant(number) for number, calls in enumerate(sizes)} | {"platform": None}
    seconds = {}
    for size, tenant_id in whose.items():
        for name, ask in questions(figures, tenant_id).items():
            seconds.setdefault(name, {})[size] = await _timed(ask)
    async with stages.owner(stage) as connection:
        built = await connection.fetchval("SELECT built_until FROM webhook_rollup_progress")
        for size, tenant_id in whose.items():
            if tenant_id is not None:
                last = now()
                ask = partial(connection.fetchrow, _RAW, tenant_id, last - history.DAYS * timedelta(days=1), last)
                seconds.setdefault("raw SQL", {})[size] = await _timed(ask, times=1)
    return {"seconds": seconds, "tail_s": (datetime.now(UTC) - built).total_seconds()}


async def _timed(ask, times=5):
    """The median of some askings after one."""
    taken = []
    for _ in range(times + 1):
        began = time.perf_counter()
        await ask()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def filters(webhook_id, call_id):
    """The call log's filters, some of which match nothing; and what every call of a page must be like."""
    last = now()
    within = {"start": last - timedelta(days=9), "end": last - timedelta(days=8)}
    never = lambda _: False  # noqa: E731
    return {
        "none": ({}, lambda _: True),
        "a day": (within, lambda call: within["start"] <= call.timestamp < within["end"]),
        "failed": ({"status": "failed"}, lambda call: not call.success),
        "5xx": ({"status": "5xx"}, lambda call: call.status_code in (500, 503)),
        "404": ({"status": "404"}, lambda call: call.status_code == 404),
        "418, never": ({"status": "418"}, never),
        "webhook": ({"webhook_id": webhook_id}, lambda call: call.webhook_id == webhook_id),
        "webhook, failed": ({"webhook_id": webhook_id, "status": "failed"}, lambda call: not call.success),
        "cause": ({"cause": "workflow_not_active"}, lambda call: call.status_code == 404),
        "cause, never": ({"cause": "tls_error"}, never),
        "over 20 s": ({"min_time": 20_000}, lambda call: call.response_time >= 20_000),
        "over 60 s, never": ({"min_time": 60_000}, never),
        "under 20 ms": ({"max_time": 20}, lambda call: call.response_time <= 20),
        "triggered by": ({"triggered_by": "flow-7"}, lambda call: call.triggered_by == "flow-7"),
        "triggered by, never": ({"triggered_by": "nobody"}, never),
        "call": ({"call_id": call_id}, lambda call: call.id == call_id),
    }


async def logged(database, tenant_id, rounds):
    """Seconds of the first page by each filter; no seconds where it takes longer than a request may."""
    service = AnalyticsService(database)
    page = (await service.list_tenant_calls(tenant_id, CallFilter(), limit=500)).items
    found = {}
    for name, (fields, fits) in filters(page[0].webhook_id, page[-1].id).items():
        ask = partial(service.list_tenant_calls, tenant_id, CallFilter(**fields))
        try:
            rows = (await ask()).items
        except HookvaultError:
            found[name] = {"seconds": [], "rows": None}
            continue
        if not all(fits(call) for call in rows):
            raise VoidError(f"the filter {name} lets others through")
        found[name] = {"seconds": [await _timed(ask, times=1) for _ in range(rounds)], "rows": len(rows)}
        history.note(f"log, {name}: {found[name]['seconds'][0]:.3f} s")
    return found


def accuracy(_rounds, _seconds):
    """The worst error of percentiles against exact ones, by the shape of the latencies."""
    with stages.opened(len(SHAPES), history.WEBHOOKS) as stage:
        return uvloop.run(_compared(stage))


async def _compared(stage):
    histories = [
        History(_SHAPE_CALLS, _pairs(stage, number), latency=latency) for number, latency in enumerate(SHAPES.values())
    ]
    for each in histories:
        await history.tell(stage, each)
    await history.check(stage, histories)
    await history.roll(stage)
    database = await Database.connect(stage.database_url)
    found = {name: await _errors(stage, database, _tenant(number)) for number, name in enumerate(SHAPES)}
    await database.close()
    return found


async def _errors(stage, database, tenant_id):
    """The worst relative errors: of the tenant over all days, and of its webhooks by day."""
    figures = FiguresService(database)
    last = now()
    first = (last - history.DAYS * timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    async with stages.owner(stage) as connection:
        rows = await connection.fetch(_EXACT, tenant_id, first, last)
    exact = {(row["webhook_id"], row["day"]): row for row in rows}
    whole = (await figures.summarize(tenant_id, first, last)).figures
    found = {"tenant": _error(whole, exact[None, None]), "webhook": 0.0, "calls": 0}
    for webhook_id in {webhook for webhook, _ in exact} - {None}:
        for point in await figures.list_series(tenant_id, "day", start=first, end=last, webhook_id=webhook_id):
            if (webhook_id, point.start) in exact:
                row = exact[webhook_id, point.start]
                found["webhook"] = max(found["webhook"], _error(point.figures, row))
                found["calls"] += row["calls"]
    return found


def _error(told, row):
    if told.total_calls != row["calls"]:
        raise VoidError(f"{told.total_calls} calls told of {row['calls']}")
    pairs = zip((getattr(told, name) for name in PERCENTILES), row["percentiles"], strict=True)
    return max(abs(mine - exact) / exact if exact else abs(mine) for mine, exact in pairs)


def _tenant(number):
    return f"tenant-{number:05}"


def _pairs(stage, number):
    return [webhook[:2] for webhook in stage.webhooks if webhook[0] == _tenant(number)]
