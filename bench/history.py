"""A past for the analytics: calls of thirty days up to this moment, their minutes and counters, and the service's own rollups.

Latencies are log-normal with a slow tail of 2 %, 3 % of the calls fail for several causes. Rows come from SQL, as the service
would have recorded them; hours, days and histograms are then made by the service's own job.
"""

import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import stage as stages
from hookvault.analytics.rolling.roller import Roller
from hookvault.db.pool import Database
from processes import VoidError

DAYS = 30
WEBHOOKS = 24
LATENCY = "CASE WHEN random() < 0.02 THEN 3000 + 20000 * random() ELSE exp(random_normal(4.8, 0.6)) END"
_DAY = timedelta(days=1)
# $1, $2: tenants and their webhooks, of which the first are called the most; $3, $4: first and last moment, in ms; $5: how many.
_CALLS = """
WITH made AS MATERIALIZED (
    SELECT $3::bigint + floor(($4::bigint - $3::bigint) * ((n + random()) / $5::int))::bigint AS ms,
        1 + floor(cardinality($1::text[]) * random() ^ 1.5)::int AS which, <latency> AS latency,
        CASE WHEN random() < 0.03 THEN floor(random() * 6)::int END AS failure, floor(random() * 16777216)::int AS chance, n
    FROM generate_series(0, $5::int - 1) AS n
)
INSERT INTO webhook_analytics (tenant_id, id, webhook_id, "timestamp", request_payload, status_code, response_time, success,
    error_code, error_message, triggered_by)
SELECT ($1::text[])[which], (lpad(to_hex(ms), 12, '0') || '7000' || '8000' || lpad(to_hex(chance), 6, '0')
        || lpad(to_hex(n % 16777216), 6, '0'))::uuid, ($2::uuid[])[which],
    to_timestamp(ms / 1000.0), <payload>, CASE WHEN failure IS NULL THEN 200 ELSE f.status END, floor(latency)::int,
    failure IS NULL, f.code, f.message, 'flow-' || n % 20
FROM made LEFT JOIN (VALUES
    (0, 404, 'http_404', 'The workflow is not active in n8n, or the URL''s path is wrong (HTTP 404).'),
    (1, 500, 'http_500', 'The n8n workflow ran and failed (HTTP 500).'), (2, 401, 'http_401', 'The webhook refused the call.'),
    (3, NULL, 'timeout', 'No answer within 30 s.'), (4, NULL, 'dns_error', 'The host name does not resolve.'),
    (5, 503, 'http_503', 'The webhook answered HTTP 503.')) AS f (failure, status, code, message) USING (failure)
"""
_MINUTES = """
WITH counted AS MATERIALIZED (
    SELECT tenant_id, webhook_id, date_trunc('minute', "timestamp") AS minute, count(*) AS total,
        count(*) FILTER (WHERE success) AS won, sum(response_time) AS time_sum, max(response_time) AS time_max,
        max("timestamp") AS last_at
    FROM webhook_analytics WHERE tenant_id = ANY($1::text[]) AND "timestamp" >= $2 AND "timestamp" < $3 GROUP BY 1, 2, 3
), counters AS (
    INSERT INTO n8n_webhook_counters AS c
    SELECT tenant_id, webhook_id, sum(total), sum(won), sum(total - won), max(last_at) FROM counted GROUP BY 1, 2
    ON CONFLICT (tenant_id, webhook_id) DO UPDATE SET total_calls = c.total_calls + excluded.total_calls,
        successful_calls = c.successful_calls + excluded.successful_calls,
        failed_calls = c.failed_calls + excluded.failed_calls,
        last_called_at = greatest(c.last_called_at, excluded.last_called_at)
)
INSERT INTO webhook_call_rollups AS r
SELECT tenant_id, webhook_id, minute, total, won, total - won, time_sum, time_max FROM counted
ON CONFLICT (tenant_id, webhook_id, minute) DO UPDATE SET total_calls = r.total_calls + excluded.total_calls,
    successful_calls = r.successful_calls + excluded.successful_calls, failed_calls = r.failed_calls + excluded.failed_calls,
    response_time_sum = r.response_time_sum + excluded.response_time_sum,
    response_time_max = greatest(r.response_time_max, excluded.response_time_max)
"""
_TENANTS = """
INSERT INTO tenants (id, slug, name, created_at, updated_at)
SELECT n, n, n, now(), now() FROM unnest($1::text[]) AS n
"""
_OLD = "UPDATE tenants SET created_at = now() - interval '100 days'"


@dataclass
class History:
    """Who has called how much. `until` is the moment up to which there are calls."""

    calls: int
    pairs: list[tuple]
    latency: str = LATENCY
    payload: str = "NULL"
    days: int = DAYS
    until: datetime = field(default_factory=lambda: _floor(datetime.now(UTC)) - DAYS * _DAY)
    loading_s: float = 0

    @property
    def rate(self):
        """Calls a second."""
        return self.calls / (self.days * 86_400)


async def tell(stage, history, until=None):
    """Records a history's calls up to the present moment unless told, a day at a time."""
    began = time.monotonic()
    tenants, webhooks = (list(column) for column in zip(*history.pairs, strict=True))
    statement = _CALLS.replace("<latency>", history.latency).replace("<payload>", history.payload)
    present = until or _floor(datetime.now(UTC))
    async with stages.owner(stage) as connection:
        await connection.execute("SET synchronous_commit = off; SET jit = off; SET work_mem = '256MB'")
        await connection.execute(_OLD)
        while history.until < present:
            day = history.until.replace(hour=0, minute=0, second=0, microsecond=0)
            last = min(day + _DAY, present)
            await connection.execute("SELECT hookvault_make_day($1)", day.date())
            number = round((last - history.until).total_seconds() * history.rate)
            if number:
                moments = (_ms(history.until), _ms(last))
                await connection.execute(statement, tenants, webhooks, *moments, number, timeout=600)
                await connection.execute(_MINUTES, sorted(set(tenants)), history.until, last, timeout=600)
            history.until = last
    history.loading_s += time.monotonic() - began


async def analyze(stage):
    """As autovacuum does after a while."""
    async with stages.owner(stage) as connection:
        await connection.execute("VACUUM (ANALYZE)", timeout=600)


async def roll(stage):
    """Has the service's own job build what is due; seconds, and how many rollups."""
    database = await Database.connect(stage.database_url)
    began = time.monotonic()
    roller = Roller(database)
    await roller.advance()
    built = await roller.build()
    await database.close()
    return time.monotonic() - began, built


async def add_tenants(stage, number):
    """Tenants that call little, with a webhook each, of which only the counters are there; (tenant id, webhook id) of each."""
    names = [f"small-{each:04}" for each in range(number)]
    async with stages.owner(stage) as connection:
        await connection.execute(_TENANTS, names)
        return [
            tuple(row) for row in await connection.fetch("SELECT n, md5(n)::uuid FROM unnest($1::text[]) AS n", names)
        ]


async def check(stage, histories):
    """The books: as many calls as were meant, in rows, minutes, counters and rollups of days and less."""
    async with stages.owner(stage) as connection:
        for history in histories:
            names = sorted({tenant for tenant, _ in history.pairs})
            found = await connection.fetchrow(
                """SELECT (SELECT count(*) FROM webhook_analytics WHERE tenant_id = ANY($1::text[])) AS calls,
                (SELECT sum(total_calls)::bigint FROM webhook_call_rollups WHERE tenant_id = ANY($1::text[])) AS minutes,
                (SELECT sum(total_calls)::bigint FROM n8n_webhook_counters WHERE tenant_id = ANY($1::text[])) AS counters""",
                names,
                timeout=120,
            )
            if len(set(found.values())) > 1:
                raise VoidError(f"the books of {names[0]} don't balance: {dict(found)}")


def note(text):
    """Says on the way what goes on."""
    print(text, file=sys.stderr, flush=True)


def _ms(moment):
    return int(moment.timestamp() * 1000 + 0.5)


def _floor(moment):
    """At a whole millisecond, where the next calls begin."""
    return datetime.fromtimestamp(_ms(moment) / 1000, UTC)
