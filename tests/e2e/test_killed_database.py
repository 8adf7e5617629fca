"""The embedded Postgres is killed under load; and a key that is not the database's, given to every kind of command."""

import asyncio
import os
import re
import signal

import asyncpg
import pytest
from server import Server

from hookvault.db import embedded
from n8n import N8n

pytestmark = pytest.mark.slow


@pytest.fixture
async def server(tmp_path):
    running = Server(tmp_path)
    await running.start()
    yield running
    await running.close()


async def test_a_killed_postgres_is_brought_back_and_nothing_answered_is_lost(server):
    folder = server.data
    postmaster = embedded.status(folder).pid
    answered, refused = [], []
    async with N8n() as n8n, server.client(await server.platform_key()) as client:
        assert (await client.post("/api/platform/tenants", json={"id": "acme", "name": "Acme"})).status_code == 201
        webhook = {"workflowName": "w", "webhookUrl": n8n.url("/webhook/w")}
        assert (await client.post("/api/platform/tenants/acme/webhooks", json=webhook)).status_code == 201

        async def caller():
            for _ in range(40):
                answer = await client.post("/api/tenants/acme/webhooks/w/call", json={"payload": {"a": 1}})
                (answered if answer.status_code == 200 else refused).append(answer.json())

        callers = [asyncio.create_task(caller()) for _ in range(20)]
        async with asyncio.timeout(60):
            while len(answered) < 200:
                await asyncio.sleep(0.005)
            os.kill(postmaster, signal.SIGKILL)
            await asyncio.gather(*callers)
        sent = {seen.headers["webhook-id"] for seen in n8n.seen}
        assert len(sent) == len(n8n.seen)
    assert {problem["code"] for problem in refused} <= {"recording_unavailable", "database_unavailable"}
    assert embedded.status(folder).pid not in (None, postmaster)
    connection = await asyncpg.connect(embedded.running_url(folder))
    try:
        recorded = {str(row["id"]) for row in await connection.fetch("SELECT id FROM webhook_analytics")}
        counted = await connection.fetchval("SELECT total_calls FROM n8n_webhook_counters")
    finally:
        await connection.close()
    assert len(answered) > 200  # it went on by itself
    assert {call["callId"] for call in answered} <= recorded <= sent
    assert counted == len(recorded)


async def test_every_command_that_opens_the_database_refuses_a_wrong_key(server):
    await server.stop()
    for words in (["serve"], ["tenant", "list"], ["keys", "status"], ["api-key", "create", "--platform"]):
        refused = await server.run(*words, ENCRYPTION_KEY="5e" * 31 + "01")
        assert refused.returncode == 1, words
        assert refused.stdout == ""
        assert len(set(re.findall(r"mk_[0-9a-f]{16}", refused.stderr))) == 2
        assert "Traceback" not in refused.stderr
