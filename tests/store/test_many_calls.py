"""The call log at a million calls: every question follows an index, and one that hardly anything answers ends soon."""

import asyncio
import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from hookvault.analytics import store
from hookvault.analytics.cause import CAUSES, cause_of, cause_sql
from hookvault.analytics.model import CallFilter
from hookvault.analytics.service import AnalyticsService
from hookvault.analytics.walk import Reader, walk
from hookvault.db.migrate import migrate
from hookvault.db.pool import Database
from hookvault.errors import InvalidError, NotFoundError
from hookvault.ids import new_id

pytestmark = pytest.mark.timeout(180)
ROWS = 1_000_000
MAIN = "main"
FEW = [f"few-{n}" for n in range(9)]
BUSY, QUIET, SILENT = (UUID(int=n) for n in (1, 2, 3))  # of every tenant; the silent one stopped three weeks ago

# A call every 2.6 s for 30 days, 90 % of them of one tenant; 2 % failed, in five ways; times to 2 s, and one of 25 s.
FILL = """
INSERT INTO webhook_analytics (tenant_id, id, webhook_id, "timestamp", request_payload, status_code, response_time, success,
    error_code, error_message, triggered_by, retry_of)
SELECT tenant, pg_temp.at_id(moment, n),
    ('00000000-0000-0000-0000-00000000000' || CASE WHEN n % 1000 = 7 THEN 2 WHEN n > 700000 AND n % 5 = 0 THEN 3 ELSE 1 END)::uuid,
    moment, '{"n": 1}', CASE WHEN good THEN 200 ELSE (ARRAY[500, 503, 404, 429, NULL])[n / 50 % 5 + 1] END,
    CASE WHEN n = 600000 THEN 25000 ELSE n % 2000 END, good,
    CASE WHEN good THEN NULL ELSE (ARRAY['http_500', 'http_503', 'http_404', 'http_429', 'timeout'])[n / 50 % 5 + 1] END,
    CASE WHEN good THEN NULL ELSE (ARRAY['The n8n workflow ran and failed (HTTP 500).', 'The webhook answered HTTP 503.',
        'The workflow is not active in n8n, or the URL''s path is wrong (HTTP 404).', 'The webhook answered HTTP 429.',
        'No answer.'])[n / 50 % 5 + 1] END,
    CASE WHEN n % 10000 = 9 THEN 'import' WHEN n % 2 = 0 THEN 'shop' ELSE 'job' END, NULL
FROM (SELECT n, n % 50 <> 0 AS good, CASE WHEN n % 10 = 3 THEN 'few-' || n / 10 % 9 ELSE 'main' END AS tenant,
    $1::timestamptz - n * interval '2590 milliseconds' AS moment FROM generate_series($3::int, $2::int, -1) AS n) AS made
"""
INDEXES = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
WHERE indrelid = 'webhook_analytics'::regclass AND NOT indisprimary
"""
AT_ID = """
CREATE FUNCTION pg_temp.at_id(moment timestamptz, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('0' || to_hex((extract(epoch FROM moment) * 1000)::bigint) || '70008000' || to_hex(n + 17592186044416))::uuid
$$
"""


@pytest.fixture(scope="module")
async def url(make_database):
    made = await make_database()
    await migrate(made)
    return made


@pytest.fixture(scope="module")
async def end():
    """Just after the newest call."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
async def ask(url):
    """Asks the database as its owner."""
    owner = await asyncpg.connect(url)
    yield owner.fetch
    await owner.close()


@pytest.fixture(scope="module")
async def filled(url, end, ask):
    """The database with a million calls."""
    for tenant in (MAIN, *FEW):
        await ask(
            "INSERT INTO tenants (id, name, slug, status, version, created_at, updated_at) "
            "VALUES ($1, $1, $1, 'active', 1, '2000-01-01', '2000-01-01')",
            tenant,
        )
    await ask("SELECT hookvault_make_day((now() AT TIME ZONE 'UTC')::date - n) FROM generate_series(0, 31) AS n")
    indexes = await ask(INDEXES)  # made after the rows, which is faster
    for index in indexes:
        await ask(f"DROP INDEX {index['name']}")
    await asyncio.gather(fill(url, end, ROWS // 2 + 1, ROWS), fill(url, end, 1, ROWS // 2))
    for index in indexes:
        await ask(index["definition"].replace(" ON ONLY ", " ON "))
    await ask("ANALYZE webhook_analytics")
    assert (await ask("SELECT count(*) FROM webhook_analytics"))[0][0] == ROWS


async def fill(url, end, first, last):
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET synchronous_commit = off")
        await connection.execute(AT_ID)
        await connection.execute(FILL, end, first, last, timeout=60)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def database(url, filled):
    opened = await Database.connect(url)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def service(database):
    return AnalyticsService(database)


class Question:
    """A filter, the same in plain SQL, and what a first page may read: blocks of 8 kB, and whether an index of failures."""

    def __init__(self, sql, blocks=900, *, failures=False, **which):
        self.sql = sql
        self.blocks = blocks
        self.failures = failures
        self.which = CallFilter(**which)


ALL = 60_000  # what all calls and their index come to
QUESTIONS = {
    "nothing": Question("true"),
    "success": Question("success", status="success"),
    "failed": Question("NOT success", status="failed", failures=True),
    "2xx": Question("status_code / 100 = 2", status="2xx"),
    "5xx": Question("status_code / 100 = 5", 1500, status="5xx", failures=True),
    "404": Question("status_code = 404", 2000, status="404", failures=True),
    "410, which never was": Question("status_code = 410", 20_500, status="410", failures=True),
    "cause": Question("error_message LIKE '%ran and failed%'", 2000, cause="workflow_failed", failures=True),
    "cause that never was": Question("false", 20_500, cause="tls_error", failures=True),
    "webhook": Question(f"webhook_id = '{BUSY}'", webhook_id=BUSY),
    "quiet webhook": Question(f"webhook_id = '{QUIET}'", ALL, webhook_id=QUIET),
    "silent webhook": Question(f"webhook_id = '{SILENT}'", ALL, webhook_id=SILENT),
    "no such webhook": Question("false", ALL, webhook_id=UUID(int=9)),
    "slow": Question("response_time >= 1900", 12_000, min_time=1900),
    "slow once": Question("response_time >= 20000", ALL, min_time=20_000),
    "slow never": Question("false", ALL, min_time=30_000),
    "quick": Question("response_time <= 3", ALL, max_time=3),
    "trigger": Question("triggered_by = 'shop'", ALL, triggered_by="shop"),
    "rare trigger": Question("triggered_by = 'import'", ALL, triggered_by="import"),
    "no such trigger": Question("false", ALL, triggered_by="nobody"),
    "failures of a quiet webhook": Question(
        f"NOT success AND webhook_id = '{QUIET}'", ALL, status="failed", webhook_id=QUIET
    ),
    "slow timeouts of a webhook": Question(
        f"error_code = 'timeout' AND webhook_id = '{BUSY}' AND response_time BETWEEN 100 AND 1500",
        12_000,
        cause="timeout",
        webhook_id=BUSY,
        min_time=100,
        max_time=1500,
        failures=True,
    ),
    "a status, a trigger": Question(
        "status_code = 503 AND triggered_by = 'shop'", 3000, status="503", triggered_by="shop", failures=True
    ),
}
EVERY = pytest.mark.parametrize("name", QUESTIONS)
VIEWS = pytest.mark.parametrize("tenant", [MAIN, FEW[0], None], ids=["main", "few", "platform"])


class Noted:
    """A transaction that notes what it is asked."""

    def __init__(self, tx):
        self.tx = tx
        self.asked = []
        self.execute = tx.execute
        self.fetchrow = tx.fetchrow

    async def fetch(self, statement, *values):
        self.asked.append((statement, values))
        return await self.tx.fetch(statement, *values)


def begin(database, tenant):
    return database.system() if tenant is None else database.tenant(tenant)


def ranged(question, tenant, end):
    """As the service would ask."""
    return replace(question.which, tenant_id=tenant, start=end - timedelta(days=30), end=end)


def nodes(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def explained(tx, statement, values):
    (row,) = await tx.fetch("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) " + statement, *values)
    return json.loads(row[0])[0]["Plan"]


@EVERY
@VIEWS
async def test_a_page_follows_an_index_and_reads_a_bounded_number_of_rows(database, ask, end, name, tenant):
    question = QUESTIONS[name]
    partial = {row[0] for row in await ask("SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL")}
    async with begin(database, tenant) as tx:
        noted = Noted(tx)
        await walk(noted, ranged(question, tenant, end), None, 100)
        assert noted.asked
        blocks = 0
        for statement, values in noted.asked:
            assert "OFFSET" not in statement
            plan = await explained(tx, statement, values)
            blocks += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            assert plan["Node Type"] == "Limit"
            for node in nodes(plan):
                follows(node, tenant, partial if question.failures else None)
    assert blocks <= question.blocks


def follows(node, tenant, only):
    """A node reads calls along an index from the position on, and sorts next to nothing."""
    kind = node["Node Type"]
    assert kind not in ("Seq Scan", "Bitmap Heap Scan", "Hash Join", "Merge Join"), node
    if "Sort" in kind:  # a webhook's calls of the same moment, by id
        assert kind == "Incremental Sort", node
        assert node["Presorted Key"], node
    if node.get("Alias", "").startswith("a_") or node.get("Relation Name", "").startswith("webhook_analytics"):
        assert kind == "Index Scan", node
        assert '"timestamp"' in node["Index Cond"], node
        # Of a tenant that makes nearly all calls, or minutes with hardly any, the index of all tenants' serves as well.
        others = node.get("Rows Removed by Filter", 0)
        assert tenant in (None, MAIN) or "tenant_id" in node["Index Cond"] or others < 100, node
        assert only is None or node["Index Name"] in only, node


@EVERY
@pytest.mark.parametrize(
    ("tenant", "budget_s"), [(MAIN, 0.0), (FEW[0], 1.0), (None, 1.0)], ids=["main", "few", "platform"]
)
async def test_pages_give_all_that_match_and_nothing_else(database, ask, end, name, tenant, budget_s):
    question, mine = QUESTIONS[name], "true" if tenant is None else f"tenant_id = '{tenant}'"
    wanted = [
        row[0]
        for row in await ask(
            f"SELECT id FROM webhook_analytics WHERE {mine} AND {question.sql} "
            'AND "timestamp" >= $1 AND "timestamp" < $2 ORDER BY "timestamp" DESC, id DESC LIMIT 700',
            end - timedelta(days=30),
            end,
        )
    ]
    found, after, pages = [], None, 0
    while len(found) < 700:
        async with begin(database, tenant) as tx:
            stretch = await walk(tx, ranged(question, tenant, end), after, 350, budget_s=budget_s)
        found += [call.id for call in stretch.calls]
        after = stretch.after
        pages += 1
        if after is None:
            break
    assert found[:700] == wanted
    if budget_s == 0 and not wanted:
        assert pages > 2  # each empty but the last, and none the end of the list
    assert after is None or len(wanted) == 700


async def test_a_page_that_is_short_says_where_to_go_on(database, end):
    which = ranged(QUESTIONS["slow never"], MAIN, end)
    async with database.tenant(MAIN) as tx:
        stretch = await walk(tx, which, None, 100, budget_s=0)
        assert (stretch.calls, stretch.after) == ([], (end - timedelta(hours=6), UUID(int=0)))
        whole = await walk(tx, which, None, 100, budget_s=60)
    assert (whole.calls, whole.after) == ([], None)


async def test_a_reader_gives_every_call_once(database, ask, end):
    which = CallFilter(start=end - timedelta(days=30), end=end, tenant_id=FEW[1])
    reader, seen = Reader(lambda: database.tenant(FEW[1]), which), []
    while not reader.ended:
        seen += [call.id for call in await reader.read(997)]
    (row,) = await ask("SELECT count(*) FROM webhook_analytics WHERE tenant_id = $1", FEW[1])
    assert len(seen) == len(set(seen)) == row[0] > 10_000


async def test_one_call_whatever_its_tenant(database, service, ask):
    for moment in ("2 days", "20 days"):
        (row,) = await ask(
            'SELECT id, tenant_id FROM webhook_analytics WHERE "timestamp" < now() - $1::text::interval '
            'ORDER BY "timestamp" DESC LIMIT 1',
            moment,
        )
        call = await service.get_platform_call(row["id"])
        assert (call.id, call.tenant_id) == tuple(row)
        page = await service.list_platform_calls(CallFilter(call_id=row["id"]))
        assert [found.id for found in page.items] == [row["id"]]
        async with database.system() as tx:
            noted = NotedRow(tx)
            await store.settle_plans(noted)
            await store.find_call(noted, row["id"])
            plan = await explained(tx, *noted.asked[0])
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 200
        assert {node["Node Type"] for node in nodes(plan)} & {"Seq Scan", "Bitmap Heap Scan"} == set()
    with pytest.raises(NotFoundError):
        await service.get_platform_call(new_id())


class NotedRow(Noted):
    """The same for statements that give one row."""

    def __init__(self, tx):
        super().__init__(tx)
        self.fetchrow = self._fetchrow

    async def _fetchrow(self, statement, *values):
        self.asked.append((statement, values))
        return await self.tx.fetchrow(statement, *values)


async def test_a_cursor_is_for_its_question_only(service):
    page = await service.list_tenant_calls(MAIN, CallFilter(status="failed"), limit=2)
    assert page.next_cursor
    again = await service.list_tenant_calls(MAIN, CallFilter(status="failed"), limit=2, cursor=page.next_cursor)
    assert not {call.id for call in page.items} & {call.id for call in again.items}
    for ask in (
        lambda: service.list_tenant_calls(MAIN, CallFilter(), cursor=page.next_cursor),
        lambda: service.list_tenant_calls(MAIN, CallFilter(status="failed", min_time=1), cursor=page.next_cursor),
        lambda: service.list_tenant_calls(FEW[0], CallFilter(status="failed"), cursor=page.next_cursor),
        lambda: service.list_platform_calls(CallFilter(status="failed"), cursor=page.next_cursor),
    ):
        with pytest.raises(InvalidError) as caught:
            await ask()
        assert caught.value.code == "invalid_cursor"


async def test_sql_and_python_find_the_same_cause(ask):
    codes = [None, "timeout", "dns_error", "tls_error", "connection_error", "connection_closed", "response_invalid"]
    codes += ["address_blocked", "invalid_url", "invalid_header", "http_404", "cancelled", "", "TIMEOUT"]
    statuses = [None, 0, 100, 200, 299, 300, 302, 399, 400, 401, 403, 404, 408, 410, 422, 429, 499, 500, 503, 599, 600]
    said = [None, "", "The n8n workflow ran and failed (HTTP 500).", "n8n is starting: its routes are not up yet"]
    said += ["The workflow is not active in n8n, or", "This is n8n's test URL, which", "another HTTP method than POST"]
    said += ["not active in N8N", "test URL; not active in n8n", "100 % _ \\"]
    combined = list(itertools.product(codes, statuses, said))
    rows = await ask(
        f"SELECT {cause_sql('a')} FROM unnest($1::text[], $2::int[], $3::text[]) WITH ORDINALITY "
        "AS a (error_code, status_code, error_message, n) ORDER BY n",
        *map(list, zip(*combined, strict=True)),
    )
    found = [row[0] for row in rows]
    assert found == [cause_of(*one) for one in combined]
    assert set(found) == set(CAUSES)
