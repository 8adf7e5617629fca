"""The straightforward way to do the same, for comparison: FastAPI, aiohttp, and each statement a transaction of its own.

It does less: no key is checked, nothing is signed, decrypted or redacted, no address is guarded, no minute is rolled up. It is
tuned where that changes nothing of its shape: one kept session, prepared statements, uvloop and httptools. Takes the port.
"""

import json
import os
import sys
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

TABLES = """
CREATE SCHEMA plain;
CREATE TABLE plain.n8n_webhooks (LIKE public.n8n_webhooks INCLUDING ALL);
CREATE TABLE plain.n8n_webhook_counters (LIKE public.n8n_webhook_counters INCLUDING ALL);
CREATE TABLE plain.webhook_analytics (LIKE public.webhook_analytics INCLUDING ALL);
"""
_SELECT = "SELECT * FROM plain.n8n_webhooks WHERE tenant_id = $1 AND workflow_name = $2 AND deleted_at IS NULL"
_INSERT = """
INSERT INTO plain.webhook_analytics (tenant_id, id, webhook_id, "timestamp", request_payload, request_headers, status_code,
    response_body, response_time, success, error_message, triggered_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
_UPDATE = """
UPDATE plain.n8n_webhook_counters SET total_calls = total_calls + 1, successful_calls = successful_calls + $3,
    failed_calls = failed_calls + 1 - $3, last_called_at = $4
WHERE tenant_id = $1 AND webhook_id = $2
"""
_CONNECTIONS = 16


class Call(BaseModel):
    payload: dict[str, Any]
    triggeredBy: str | None = None  # noqa: N815 - the name on the wire


@asynccontextmanager
async def opened(app):
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=30),
    )
    pool = asyncpg.create_pool(os.environ["BENCH_DATABASE_URL"], min_size=_CONNECTIONS, max_size=_CONNECTIONS)
    async with session, pool:
        app.state.session, app.state.pool = session, pool
        yield


app = FastAPI(lifespan=opened)


@app.post("/api/tenants/{tenant_id}/webhooks/{workflow_name}/call")
async def call(tenant_id: str, workflow_name: str, body: Call):
    pool = app.state.pool
    webhook = await pool.fetchrow(_SELECT, tenant_id, workflow_name)
    if webhook is None:
        raise HTTPException(404)
    call_id, moment, began = uuid4(), datetime.now(UTC), time.perf_counter()
    payload = json.dumps(body.payload)
    headers = {"Content-Type": "application/json", "X-Call-Id": str(call_id)}
    async with app.state.session.post(
        webhook["webhook_url"], data=payload.encode(), headers=headers, allow_redirects=False
    ) as response:
        status, answer = response.status, await response.text()
    elapsed, success = round((time.perf_counter() - began) * 1000), 200 <= status < 300
    key = (webhook["tenant_id"], webhook["id"])
    await pool.execute(
        _INSERT,
        tenant_id,
        call_id,
        webhook["id"],
        moment,
        payload,
        json.dumps(headers),
        status,
        answer,
        elapsed,
        success,
        None if success else f"HTTP {status}",
        body.triggeredBy,
    )
    await pool.execute(_UPDATE, *key, int(success), moment)
    return {
        "callId": str(call_id),
        "success": success,
        "statusCode": status,
        "responseBody": json.loads(answer),
        "responseTime": elapsed,
        "attempts": 1,
    }


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=2048,
    )
