"""Whoever builds rollups is killed at every named point, or the database is: what is answered stays what the calls say."""

import asyncio
import random
import signal
from datetime import timedelta

import pytest

from counts import call_at, is_equal
from fleet import Fleet
from hookvault.analytics.rollups.model import Over, Scope
from hookvault.clock import now
from hookvault.db import embedded
from hookvault.db.pool import Database
from hookvault.webhooks.record import write_calls

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
STORIES = ("rollups.closed", "rollups.noted", "rollups.built")
CALLS = 700


@pytest.fixture(scope="module")
async def fleet(zygote, tmp_path_factory):
    opened = Fleet(zygote, tmp_path_factory.mktemp("rollups"))
    await opened.open()
    yield opened
    await opened.close()


class History:
    """A tenant with calls over two days, none of which is rolled up."""

    def __init__(self, fleet, chance):
        self.fleet, self.chance = fleet, chance
        self.tenant_id = f"t-{chance.getrandbits(32)}"
        self.until = now()
        self.webhooks = []

    async def make(self):
        await self.fleet.run("tenant", "create", "Rolled", "--id", self.tenant_id)
        for name in ("a", "b"):
            rows = await self.fleet.sql(
                "INSERT INTO n8n_webhooks (tenant_id, id, workflow_name, webhook_url, key_version, created_at, created_by, "
                "updated_at, updated_by) VALUES ($1, gen_random_uuid(), $2, 'https://n8n.example.com/w', 1, now(), '', now(), '') "
                "RETURNING id",
                self.tenant_id,
                name,
            )
            self.webhooks.append(rows[0]["id"])
        await self.fleet.sql("UPDATE tenants SET created_at = '2000-01-01' WHERE id = $1", self.tenant_id)
        await self.fleet.sql("UPDATE webhook_rollup_progress SET closed_until = '-infinity', built_until = '-infinity'")
        await self.fleet.sql("DELETE FROM webhook_call_spans")
        await self.fleet.sql("DELETE FROM webhook_spans_due")
        await self.more(CALLS)

    async def more(self, calls):
        database = await Database.connect(self.fleet.database_url)
        moments = [self.until - timedelta(seconds=self.chance.randrange(2 * 86_400)) for _ in range(calls)]
        await write_calls(
            database,
            [call_at(self.tenant_id, self.chance.choice(self.webhooks), moment, self.chance) for moment in moments],
        )
        await database.close()

    async def is_right(self, calls):
        """What is answered now is what the calls say, by any scope."""
        await asyncio.to_thread(embedded.ensure_running, self.fleet.data)
        database = await Database.connect(self.fleet.database_url)
        bounds = [self.until - timedelta(days=2, seconds=1), self.until - timedelta(hours=7), now()]
        for scope in (Scope(Over.TENANT, self.tenant_id), Scope(Over.WEBHOOKS, self.tenant_id, self.webhooks)):
            assert await is_equal(database, scope, bounds) == calls
        await is_equal(database, Scope(Over.PLATFORM), bounds)
        await database.close()


@pytest.mark.parametrize("victim", ["command", "database"])
@pytest.mark.parametrize("point", STORIES)
async def test_killed_at(fleet, point, victim):
    history = History(fleet, random.Random(f"{point}{victim}"))
    await history.make()
    fault = point if victim == "command" else f"{point}:1:{fleet.postmaster}"
    code, _, _ = await fleet.ended("analytics", "rebuild", HOOKVAULT_FAULT=fault)
    assert code == (-signal.SIGKILL if victim == "command" else 1)
    await history.is_right(CALLS)
    await history.more(50)
    await history.is_right(CALLS + 50)
    await fleet.run("analytics", "rebuild")
    assert await fleet.value("SELECT count(*) FROM webhook_spans_due") == 0
    assert await fleet.value(
        "SELECT count(*) FROM webhook_call_spans WHERE span = 60 AND tenant_id = $1", history.tenant_id
    )
    await history.is_right(CALLS + 50)
